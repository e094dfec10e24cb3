"""ECR's lifecycle policies: kept, previewed, and applied once a day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pydantic import Field

from slipway_sandbox.core.calls import Caller
from slipway_sandbox.core.errors import AwsError
from slipway_sandbox.core.models import Frozen
from slipway_sandbox.core.world import Room, World, dial, operation
from slipway_sandbox.ecr import errors
from slipway_sandbox.ecr.image_room import ImageId, matches, require
from slipway_sandbox.ecr.lifecycle import Candidate, Expiry, Policy, expiring
from slipway_sandbox.ecr.service import registry_of
from slipway_sandbox.ecr.store import Repository, Store
from slipway_sandbox.protocol.pages import page

PREVIEW_SECONDS = 5.0
"""Simulated seconds that a preview takes."""
EVERY = timedelta(days=1).total_seconds()
"""Simulated seconds between two evaluations. AWS: images expire within 24 hours."""
Key = tuple[str, str, str]


@dataclass
class Preview:
    """What a policy would do."""

    text: str
    status: str
    expiries: list[Expiry]


class Evaluation(Frozen):
    """Whose policy the dial applies, and as of when."""

    account: str
    repository: str
    region: str = "us-east-1"
    days_later: float = Field(default=0, ge=0, alias="daysLater")


class LifecycleRoom(Room):
    """Lifecycle policies."""

    service = "ecr"

    def __init__(self, world: World, store: Store) -> None:
        super().__init__(world)
        self._store = store
        self._previews: dict[Key, Preview] = {}
        self.world.clock.call_later(EVERY, self._evaluate_all)

    def reset(self, account: str | None) -> None:
        """Forget the previews; policies go with their repositories."""
        self._previews = {key: preview for key, preview in self._previews.items() if account not in (None, key[0])}

    def _repository(self, caller: Caller, request: dict[str, Any]) -> Repository:
        return self._store.get(registry_of(caller, request), caller.region, request["repositoryName"])

    @operation("PutLifecyclePolicy", differs="wording for a policy that breaks the rules is not verified on AWS")
    def put_lifecycle_policy(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """Keep a policy, applied within a day."""
        repository = self._repository(caller, request)
        Policy.read(request["lifecyclePolicyText"])
        repository.lifecycle_policy = request["lifecyclePolicyText"]
        repository.evaluated_at = None
        return named(repository) | {"lifecyclePolicyText": repository.lifecycle_policy}

    @operation("GetLifecyclePolicy")
    def get_lifecycle_policy(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """The policy, and when it was applied last."""
        return policy_of(self._repository(caller, request))

    @operation("DeleteLifecyclePolicy")
    def delete_lifecycle_policy(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """Drop the policy."""
        repository = self._repository(caller, request)
        gone = policy_of(repository)
        repository.lifecycle_policy = repository.evaluated_at = None
        return gone

    @operation("StartLifecyclePolicyPreview")
    def start_lifecycle_policy_preview(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """Find out what a policy would do: the one given, else the repository's own."""
        repository = self._repository(caller, request)
        text = request.get("lifecyclePolicyText") or policy_of(repository)["lifecyclePolicyText"]
        policy = Policy.read(text)
        known = self._previews.get(key_of(repository))
        if known and known.status == "IN_PROGRESS":
            raise errors.lifecycle_preview_in_progress(repository.name, repository.account)
        preview = self._previews[key_of(repository)] = Preview(text, "IN_PROGRESS", [])

        def complete() -> None:
            with self.lock:
                preview.expiries = expiring(policy, candidates(repository), self.world.clock.now())
                preview.status = "COMPLETE"

        self.world.clock.call_later(PREVIEW_SECONDS, complete)
        return named(repository) | {"lifecyclePolicyText": text, "status": preview.status}

    @operation("GetLifecyclePolicyPreview", differs="a restart forgets previews")
    def get_lifecycle_policy_preview(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """What the policy would do to each image."""
        repository = self._repository(caller, request)
        preview = self._previews.get(key_of(repository))
        if preview is None:
            raise errors.lifecycle_preview_not_found(repository.name, repository.account)
        answer = named(repository) | {"lifecyclePolicyText": preview.text, "status": preview.status}
        if preview.status != "COMPLETE":
            return answer
        wanted = self._wanted(repository, preview, request)
        shown, more = page(wanted, request)
        return answer | {
            "previewResults": [described(expiry) for expiry in shown],
            "nextToken": more,
            "summary": {"expiringImageTotalCount": len(preview.expiries)},
        }

    @staticmethod
    def _wanted(repository: Repository, preview: Preview, request: dict[str, Any]) -> list[Expiry]:
        ids: list[ImageId] | None = request.get("imageIds")
        digests = {require(repository, image_id).manifest.digest for image_id in ids} if ids else None
        return [
            expiry
            for expiry in preview.expiries
            if (image := repository.images.get(expiry.candidate.digest))
            and matches(repository, image, request.get("filter", {}))
            and (digests is None or expiry.candidate.digest in digests)
        ]

    @dial("evaluate-lifecycle")
    def evaluate(self, body: dict[str, Any]) -> dict[str, Any]:
        """Apply a repository's policy now, as of `daysLater` (`Evaluation`); answers the digests that expired."""
        asked = Evaluation.model_validate(body)
        try:
            repository = self._store.get(asked.account, asked.region, asked.repository)
        except AwsError as error:
            raise ValueError(error.message) from error
        return {"expired": self._apply(repository, self.world.clock.now() + timedelta(days=asked.days_later))}

    def _evaluate_all(self) -> None:
        with self.lock:
            for repository in self._store.all():
                self._apply(repository, self.world.clock.now())
        self.world.clock.call_later(EVERY, self._evaluate_all)

    def _apply(self, repository: Repository, as_of: datetime) -> list[str]:
        if repository.lifecycle_policy is None:
            return []
        policy = Policy.read(repository.lifecycle_policy)
        repository.evaluated_at = self.world.clock.now()
        expired: list[str] = []
        for expiry in expiring(policy, candidates(repository), as_of):
            try:
                self._store.delete_image(repository, expiry.candidate.digest)
                expired.append(expiry.candidate.digest)
            except AwsError:
                """An index still refers to it: it goes in a later evaluation, after the index."""
        return expired


def key_of(repository: Repository) -> Key:
    """What a preview is kept by."""
    return repository.account, repository.region, repository.name


def named(repository: Repository) -> dict[str, Any]:
    """How every answer begins."""
    return {"registryId": repository.account, "repositoryName": repository.name}


def policy_of(repository: Repository) -> dict[str, Any]:
    """The policy as the API shows it.

    Raises:
        AwsError: `LifecyclePolicyNotFoundException`.
    """
    if repository.lifecycle_policy is None:
        raise errors.lifecycle_policy_not_found(repository.name, repository.account)
    return named(repository) | {
        "lifecyclePolicyText": repository.lifecycle_policy,
        "lastEvaluatedAt": repository.evaluated_at,
    }


def candidates(repository: Repository) -> list[Candidate]:
    """The repository's images as the rules see them. What an index refers to stays as long as the index does."""
    children = {digest for image in repository.images.values() for digest in image.content.children}
    return [
        Candidate(digest, tuple(repository.tags_of(digest)), image.pushed_at, image.pulled_at)
        for digest, image in repository.images.items()
        if digest not in children
    ]


def described(expiry: Expiry) -> dict[str, Any]:
    """An image that expires, as the API shows it."""
    return {
        "imageTags": list(expiry.candidate.tags),
        "imageDigest": expiry.candidate.digest,
        "imagePushedAt": expiry.candidate.pushed_at,
        "action": {"type": "EXPIRE"},
        "appliedRulePriority": expiry.priority,
    }
