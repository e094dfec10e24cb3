"""ECR's lifecycle policies: put, shown, deleted. No image expires by them."""

from __future__ import annotations

from typing import Any

from slipway_sandbox.core.calls import Caller
from slipway_sandbox.core.world import Room, World, operation
from slipway_sandbox.ecr import errors
from slipway_sandbox.ecr.lifecycle import Policy
from slipway_sandbox.ecr.service import registry_of
from slipway_sandbox.ecr.store import Repository, Store


class LifecycleRoom(Room):
    """Lifecycle policies."""

    service = "ecr"

    def __init__(self, world: World, store: Store) -> None:
        super().__init__(world)
        self._store = store

    def reset(self, account: str | None) -> None:
        """Policies go with their repositories."""

    @operation(
        "PutLifecyclePolicy",
        differs="policies are checked and shown, and no image expires; the wording of what breaks the rules is not verified",
    )
    def put_lifecycle_policy(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """Keep a policy."""
        repository = self._repository(caller, request)
        Policy.check(request["lifecyclePolicyText"])
        repository.lifecycle_policy = request["lifecyclePolicyText"]
        return policy_of(repository)

    @operation("GetLifecyclePolicy")
    def get_lifecycle_policy(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """The policy."""
        return policy_of(self._repository(caller, request))

    @operation("DeleteLifecyclePolicy")
    def delete_lifecycle_policy(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """Drop the policy."""
        repository = self._repository(caller, request)
        gone = policy_of(repository)
        repository.lifecycle_policy = None
        return gone

    def _repository(self, caller: Caller, request: dict[str, Any]) -> Repository:
        return self._store.get(registry_of(caller, request), caller.region, request["repositoryName"])


def policy_of(repository: Repository) -> dict[str, Any]:
    """The policy as the API shows it.

    Raises:
        AwsError: `LifecyclePolicyNotFoundException`.
    """
    if repository.lifecycle_policy is None:
        raise errors.lifecycle_policy_not_found(repository.name, repository.account)
    return {
        "registryId": repository.account,
        "repositoryName": repository.name,
        "lifecyclePolicyText": repository.lifecycle_policy,
    }
