"""Tags of SageMaker resources of every kind."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from slipway_sandbox.core.calls import Caller
from slipway_sandbox.core.errors import validation_error
from slipway_sandbox.core.world import Room, World, operation

MOST_TAGS = 50
VERSION = re.compile(r"arn:[^:]+:sagemaker:[^:]*:[^:]*:model-package/[^/]+/\d+")
UNTAGGABLE = "Tags are not supported in Model Package versions. Please add them to the Model Package Group"
Tag = dict[str, str]


class TagRoom(Room):
    """Keeps tags by ARN. A room that creates or deletes a resource says so here."""

    service = "sagemaker"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._tags: dict[str, dict[str, str]] = {}

    def put(self, arn: str, tags: Iterable[Tag]) -> None:
        """Note a resource, with the tags that it was created with."""
        self._tags[arn] = {tag["Key"]: tag["Value"] for tag in tags}

    def forget(self, arn: str) -> None:
        """A resource is gone, and its tags with it."""
        self._tags.pop(arn, None)

    def of(self, arn: str) -> dict[str, str]:
        """A resource's tags; none for one that is not there."""
        return dict(self._tags.get(arn, {}))

    @operation("AddTags", differs="wording for too many tags, and for a resource that is not there, is not verified on AWS")
    def add_tags(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        tags = self._find(caller, request)
        if VERSION.fullmatch(request["ResourceArn"]):
            raise validation_error(UNTAGGABLE)
        merged = {**tags, **{tag["Key"]: tag["Value"] for tag in request["Tags"]}}
        if len(merged) > MOST_TAGS:
            raise validation_error(f"A resource can have at most {MOST_TAGS} tags; this one would have {len(merged)}.")
        tags.update(merged)
        return {"Tags": shown(tags)}

    @operation("ListTags")
    def list_tags(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        return {"Tags": shown(self._find(caller, request))}

    @operation("DeleteTags")
    def delete_tags(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        tags = self._find(caller, request)
        for key in request["TagKeys"]:
            tags.pop(key, None)
        return {}

    def reset(self, account: str | None) -> None:
        """Forget the tags of one account's resources, or of all."""
        for arn in [arn for arn in self._tags if account in (None, arn.split(":")[4])]:
            self.forget(arn)

    def _find(self, caller: Caller, request: dict[str, Any]) -> dict[str, str]:
        arn = request["ResourceArn"]
        if arn not in self._tags or arn.split(":")[4] != caller.account:
            raise validation_error(f'Could not find resource "{arn}".')
        return self._tags[arn]


def shown(tags: dict[str, str]) -> list[Tag]:
    """Tags as the API lists them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]
