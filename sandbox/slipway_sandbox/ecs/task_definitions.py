"""Task definitions: families of revisions."""

from __future__ import annotations

from typing import Any

from slipway_sandbox.calls import Caller
from slipway_sandbox.ecs import errors
from slipway_sandbox.ecs.store import Store, TaskDefinition, merged_tags
from slipway_sandbox.ecs.validation import check_definition, normalised
from slipway_sandbox.pages import page
from slipway_sandbox.world import Room, World, operation


class TaskDefinitionRoom(Room):
    """Registers, shows and deregisters revisions."""

    service = "ecs"

    def __init__(self, world: World, store: Store) -> None:
        super().__init__(world)
        self._store = store

    def reset(self, account: str | None) -> None:
        """The room of tasks forgets the store, since it has to stop them first."""

    @operation("RegisterTaskDefinition")
    def register(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """Register a new revision. Every call makes one, whatever is there already."""
        check_definition(request)
        definition = TaskDefinition(
            account=caller.account,
            region=caller.region,
            family=request["family"],
            revision=0,
            content=normalised(request),
            registered_at=self.world.clock.now(),
            registered_by=f"arn:aws:iam::{caller.account}:root",
            tags=merged_tags([], request.get("tags", [])),
        )
        self._store.add_definition(definition)
        return {"taskDefinition": definition.shown(), "tags": definition.tags}

    @operation("DescribeTaskDefinition")
    def describe(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """A revision, an inactive one too; of a bare family, the latest that is active."""
        definition = self._store.find_definition(caller, request["taskDefinition"])
        if definition is None:
            raise errors.task_definition_not_described()
        tags = definition.tags if "TAGS" in request.get("include", []) else None
        return {"taskDefinition": definition.shown(), "tags": tags}

    @operation("DeregisterTaskDefinition")
    def deregister(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """Make a revision inactive. Its number is not used again."""
        name = request["taskDefinition"]
        if ":" not in name.rpartition("/")[2]:
            raise errors.client_error("Invalid revision number. Number: null")
        definition = self._store.find_definition(caller, name)
        if definition is None:
            raise errors.task_definition_not_described()
        if not definition.active:
            raise errors.invalid_parameter("The specified task definition is inactive. Specify an active task definition.")
        definition.deregistered_at = self.world.clock.now()
        return {"taskDefinition": definition.shown()}

    @operation("ListTaskDefinitions")
    def list_definitions(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """ARNs of revisions. `familyPrefix` is the whole family's name here, as on AWS."""
        active = request.get("status", "ACTIVE") == "ACTIVE"
        family = request.get("familyPrefix")
        rows = [one for one in self._store.definitions(caller) if one.active is active and family in (None, one.family)]
        if request.get("sort") == "DESC":
            rows.reverse()
        arns, token = page([one.arn for one in rows], request)
        return {"taskDefinitionArns": arns, "nextToken": token}

    @operation("ListTaskDefinitionFamilies")
    def list_families(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """Names of families. One without an active revision is inactive."""
        prefix = request.get("familyPrefix") or ""
        rows = [one for one in self._store.definitions(caller) if one.family.startswith(prefix)]
        known = dict.fromkeys(one.family for one in rows)
        active = dict.fromkeys(one.family for one in rows if one.active)
        wanted = {"ACTIVE": list(active), "INACTIVE": [name for name in known if name not in active], "ALL": list(known)}
        families, token = page(wanted[request.get("status") or "ACTIVE"], request)
        return {"families": families, "nextToken": token}
