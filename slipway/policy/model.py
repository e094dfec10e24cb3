"""The worker's policy, as frozen models: which applications may use the worker, and what each of them may touch.

Keys are camelCase in the file and snake_case here. `*` and `?` stand for any characters in a value, as in a shell.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Annotated, Literal

from slipway.api import IdentityLevel
from slipway.app.rules import Bounds, rule, when_reading
from slipway.app.signers import SignedBy
from slipway.app.spec_model import SpecModel
from slipway.errors import RefusedError
from slipway.git.rules import AllowedBranch, FileInRepository, app_file, check_branch, normalise_url, split_branch

EVERYWHERE = "**"
"""The folder glob for all folders of a repository."""
_WHOEVER = "whoever may change that app could add a key of their own"
MOST_TARGETS = 1_000
"""The targets that `promotion.yaml` has room for: 20 waves of 50."""


def _repository(url: str) -> str:
    try:
        normalise_url(url.removesuffix("/*"))
    except RefusedError as error:
        raise ValueError(f"must be a repository's URL, or one that ends in /*: {error.report.answered}") from error
    return url


def _branch(branch: str) -> str:
    try:
        return check_branch(branch)
    except RefusedError as error:
        raise ValueError("must be a branch's name such as main") from error


def _place(place: str) -> str:
    try:
        FileInRepository.of(place)
    except RefusedError as error:
        raise ValueError(f"must be a path, or <repository>@<branch>:<path>: {error.report.answered}") from error
    return place


Pattern = Annotated[str, Bounds(min_length=1, max_length=2_048)]
Patterns = Annotated[tuple[Pattern, ...], Bounds(min_length=1, max_length=1_000)]
Account = Annotated[str, Bounds(pattern=r"^([0-9]{12}|\*)$")]


class ApprovalFloor(SpecModel):
    """The least that the app's own approval rules must ask for."""

    quorum: Annotated[int, Bounds(ge=1, le=20)] = 1
    """The least `quorum` of a manual approval."""
    auto: bool = False
    """Whether `mode: auto` is allowed, where the gates alone decide."""
    identity: Literal["signed", "temporal", "claimed"] = "signed"
    """How well it must be known who decides. `signed`: by a signature with a key of `allowedSigners`. `temporal`: at least by the
    principal that Temporal's server names. `claimed`: by a name that anybody may write who can reach the Temporal namespace."""

    @property
    def level(self) -> IdentityLevel:
        """`identity`, to compare with what is known of somebody."""
        return IdentityLevel(self.identity)


class Limits(SpecModel):
    """How much of a worker one application may take. Each application counts by itself, also where an entry covers several."""

    activities: Annotated[int, Bounds(ge=1, le=1_000)] = 50
    """The short activities that one worker runs for the application at once. One more is tried again by itself."""
    waits: Annotated[int, Bounds(ge=1, le=5_000)] = 1_000
    """The same for activities that only wait: for a scan, a task, an execution or an endpoint."""
    targets: Annotated[int, Bounds(ge=1, le=MOST_TARGETS)] = 200
    """The targets of a rollout, in all waves together."""


class AppEntry(SpecModel):
    """Some applications, and what they may touch. A value outside refuses the promotion before anything is changed."""

    repository: Annotated[str, when_reading(_repository)]
    """The URL of the deployment repository. One that ends in `/*` stands for all below it."""
    branch: Annotated[str, when_reading(_branch)] = "main"
    """The deployment branch. No other branch of the repository can be promoted from."""
    folder: Pattern = "."
    """The application's folder: a glob by the parts of the path. `*` is one part, and `**` alone is every folder."""
    accounts: Annotated[tuple[Account, ...], Bounds(min_length=1, max_length=1_000)]
    """The accounts of the target repository, the cluster, the model packages and every role; `*` for any."""
    regions: Patterns
    """The regions of the target repository, the cluster and the endpoints."""
    image_sources: Patterns
    """The repositories that `spec.image.source` may name, with their registries. The worker asks no other outside ECR."""
    image_targets: Patterns
    """The repositories that `spec.image.target` may name."""
    families: Patterns
    """The families of task definitions."""
    clusters: Patterns
    """The clusters as `app.pipecd.yaml` names them, by ARN or by name."""
    pipelines: Patterns
    """The names of SageMaker pipelines."""
    package_groups: Patterns
    """The model package groups."""
    endpoints: Patterns
    """The names of endpoints."""
    roles: Annotated[tuple[Pattern, ...], Bounds(max_length=1_000)] = ()
    """The ARNs of roles: those that the worker assumes, those of endpoints, and the two of the task. Absent: none."""
    allowed_signers: Annotated[str, Bounds(min_length=1, max_length=2_048), when_reading(_place)] | None = None
    """OpenSSH's `allowed_signers` file with the approvers' keys: a path on the worker, or `<repository>@<branch>:<path>` of a
    file that no app on the list can change."""
    signed_by: SignedBy = ()
    """One of these must have signed the image with cosign, whatever `spec.image.signedBy` says beside that."""
    approval: ApprovalFloor = ApprovalFloor()
    """The least that approval must ask for."""
    limits: Limits = Limits()
    """How much of a worker the application may take."""

    @rule
    def _names_a_folder(self) -> None:
        """`folder` is a relative path without `..`."""
        try:
            app_file(self.folder)
        except RefusedError as error:
            raise ValueError("has a folder that leaves the repository") from error

    @rule
    def _has_keys(self) -> None:
        """`approval.identity: signed`, the default, needs `allowedSigners`."""
        if self.approval.identity == "signed" and self.allowed_signers is None:
            raise ValueError(
                "asks for signed decisions, but names no keys: add allowedSigners, the file with the approvers' keys; or write "
                "approval: {identity: claimed}, and everybody who can reach the Temporal namespace can approve under any name"
            )

    @rule
    def _does_not_hold_its_own_keys(self) -> None:
        """`allowedSigners` is not in a folder of the entry: who may change the app could add a key."""
        if self.allowed_signers and self.holds(self.allowed_signers):
            raise ValueError(f"has allowedSigners in the app's own folder, where {_WHOEVER}: keep them in another repository")

    def holds(self, place: str) -> bool:
        """Whether a place is a file in a folder that the entry covers, on whichever branch.

        Args:
            place: A path on the worker, or `url@branch:path`.
        """
        file, own = FileInRepository.of(place), AllowedBranch.of(self.repository, self.branch)
        if file is None or not replace(own, url=_address(own.url)).covers(_address(normalise_url(file.url)), own.branch):
            return False
        folders = (app_file(str(folder)) for folder in PurePosixPath(file.path).parents)
        return any(_matches_folder(folder, self.folder) for folder in folders)

    def covers(self, url: str, branch: str, folder: str) -> bool:
        """Whether the entry is for this application.

        Args:
            url: The repository's normal form.
            branch: The deployment branch.
            folder: The application's folder, normalised; nothing is the repository's root.
        """
        return self.covers_branch(url, branch) and _matches_folder(folder, self.folder)

    def covers_branch(self, url: str, branch: str) -> bool:
        """Whether the entry is for some application on this branch."""
        return AllowedBranch.of(self.repository, self.branch).covers(url, branch)


class WorkerPolicy(SpecModel):
    """The whole file. The first entry that covers an application counts; an application without one is refused."""

    api_version: Literal["slipway.dev/v1"]
    """The version of this format."""
    kind: Literal["WorkerPolicy"]
    """What the file is."""
    apps: Annotated[tuple[AppEntry, ...], Bounds(min_length=1, max_length=10_000)]
    """The applications that the worker serves."""

    @rule
    def _keys_are_out_of_reach(self) -> None:
        """No `allowedSigners` is in a folder of another entry."""
        for place in {entry.allowed_signers for entry in self.apps if entry.allowed_signers}:
            holder = next((number for number, entry in enumerate(self.apps) if entry.holds(place)), None)
            if holder is not None:
                raise ValueError(f"has the allowedSigners {place} in the folder of apps[{holder}], where {_WHOEVER}")


def _address(url: str) -> str:
    """Host and path: a repository is the same one over https and over ssh, whoever the user is."""
    return re.sub(r"^[a-z]+://([^@/]*@)?", "", url)


def policy_of_branches(entries: Iterable[str]) -> WorkerPolicy:
    """The policy of one trust domain: every application on these branches may do all that the worker may, and names are claimed.

    Args:
        entries: Each `url@branch`, or `url/*@branch` for all repositories below.
    """
    anything = ("*",)
    apps = tuple(
        AppEntry(
            repository=url,
            branch=branch,
            folder=EVERYWHERE,
            accounts=anything,
            regions=anything,
            image_sources=anything,
            image_targets=anything,
            families=anything,
            clusters=anything,
            pipelines=anything,
            package_groups=anything,
            endpoints=anything,
            roles=anything,
            approval=ApprovalFloor(auto=True, identity="claimed"),
            limits=Limits(targets=MOST_TARGETS),
        )
        for url, branch in map(split_branch, entries)
    )
    return WorkerPolicy(api_version="slipway.dev/v1", kind="WorkerPolicy", apps=apps)


def _matches_folder(folder: str, pattern: str) -> bool:
    if pattern == EVERYWHERE:
        return True
    parts, globs = PurePosixPath(folder).parts, PurePosixPath(app_file(pattern)).parts
    return len(parts) == len(globs) and all(fnmatchcase(part, glob) for part, glob in zip(parts, globs, strict=True))
