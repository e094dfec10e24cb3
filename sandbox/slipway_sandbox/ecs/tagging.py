"""The tags of everything in ECS."""

from __future__ import annotations

from typing import Any

from slipway_sandbox.core.calls import Caller
from slipway_sandbox.core.world import Room, World, operation
from slipway_sandbox.ecs import errors
from slipway_sandbox.ecs.model import Cluster, Task, TaskDefinition, merged_tags
from slipway_sandbox.ecs.store import Store

MOST_TAGS = 50
RESERVED = "aws:"
DIFFERS = "clusters, tasks and task definitions, which are all there is; the wording of its errors is not verified"


class TagRoom(Room):
    """Sets, shows and removes tags."""

    service = "ecs"

    def __init__(self, world: World, store: Store) -> None:
        super().__init__(world)
        self._store = store

    def reset(self, account: str | None) -> None:
        """Tags are their resource's."""

    @operation("TagResource", differs=DIFFERS)
    def tag_resource(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """Set tags."""
        resource = self._find(caller, request)
        check_tags(request["tags"])
        tags = merged_tags(resource.tags, request["tags"])
        if len(tags) > MOST_TAGS:
            raise errors.too_many_tags(MOST_TAGS)
        resource.tags = tags
        return {}

    @operation("UntagResource", differs=DIFFERS)
    def untag_resource(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """Remove tags by key."""
        resource = self._find(caller, request)
        resource.tags = [tag for tag in resource.tags if tag["key"] not in request["tagKeys"]]
        return {}

    @operation("ListTagsForResource", differs=DIFFERS)
    def list_tags_for_resource(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """Show them."""
        resource = self._store.find_tagged(caller, request["resourceArn"])
        if resource is None:
            raise errors.tags_not_listed()
        return {"tags": resource.tags}

    def _find(self, caller: Caller, request: dict[str, Any]) -> Cluster | TaskDefinition | Task:
        resource = self._store.find_tagged(caller, request["resourceArn"])
        if resource is None:
            raise errors.resource_not_found()
        return resource


def check_tags(tags: list[dict[str, str]]) -> None:
    """Refuse tags that only AWS itself may set.

    Raises:
        AwsError: `InvalidParameterException`.
    """
    for tag in tags:
        if not tag.get("key"):
            raise errors.invalid_parameter("Tag keys can not be empty.")
        if tag["key"].lower().startswith(RESERVED):
            raise errors.invalid_parameter("Invalid tag key: keys that begin with aws: are reserved for AWS use.")
