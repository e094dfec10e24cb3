"""Task definitions: families of revisions."""

from __future__ import annotations

from typing import Any

from slipway_sandbox.core.calls import Caller
from slipway_sandbox.core.world import Room, World, operation
from slipway_sandbox.ecs import errors
from slipway_sandbox.ecs.definition_rules import check_definition, normalised
from slipway_sandbox.ecs.listing import page
from slipway_sandbox.ecs.model import TaskDefinition, merged_tags
from slipway_sandbox.ecs.store import Store, own_identifier

MOST_DELETED = 10
DELETE_SECONDS = 60.0
"""Simulated time between two looks whether the last task of a revision that is to be deleted has ended."""


class TaskDefinitionRoom(Room):
    """Registers, shows, deregisters and deletes revisions."""

    service = "ecs"

    def __init__(self, world: World, store: Store) -> None:
        super().__init__(world)
        self._store = store

    def reset(self, account: str | None) -> None:
        """The room of tasks forgets the store, since it has to stop them first."""

    @operation(
        "RegisterTaskDefinition",
        differs="requiresAttributes stay empty; EFS, FSx and Docker volumes are folders of the task; health checks, restart "
        "policies, FireLens, GPUs, ulimits and the like are shown and do nothing; memory is no limit; log drivers other than "
        "awslogs discard; the wording for bounds of health checks, storage and dependencies is not verified",
    )
    def register(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """Register a new revision. Every call makes a new one."""
        check_definition(request)
        definition = TaskDefinition(
            account=caller.account,
            region=caller.region,
            family=request["family"],
            revision=0,
            content=normalised(request),
            registered_at=self.world.clock.now(),
            registered_by=caller.principal or f"arn:aws:iam::{caller.account}:root",
            tags=merged_tags([], request.get("tags", [])),
        )
        self._store.add_definition(definition)
        return {"taskDefinition": definition.shown(), "tags": definition.tags}

    @operation("DescribeTaskDefinition")
    def describe(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """A revision, an inactive one too; of a bare family, the latest that is active."""
        definition = self._find(caller, request["taskDefinition"])
        tags = definition.tags if "TAGS" in request.get("include", []) else None
        return {"taskDefinition": definition.shown(), "tags": tags}

    @operation("DeregisterTaskDefinition", differs="takes effect at once, where AWS may take ten minutes")
    def deregister(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """Make a revision inactive. Its number is not used again."""
        name = request["taskDefinition"]
        if not has_revision(name):
            raise errors.client_error("Invalid revision number. Number: null")
        definition = self._find(caller, name)
        if definition.status != "ACTIVE":
            raise errors.invalid_parameter("The specified task definition is inactive. Specify an active task definition.")
        definition.deregistered_at = self.world.clock.now()
        return {"taskDefinition": definition.shown()}

    @operation(
        "DeleteTaskDefinitions",
        differs="a revision without tasks is gone a simulated minute later; the reasons of failures but that of an active "
        "revision are not verified",
    )
    def delete(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """Delete inactive revisions, once no task of theirs runs."""
        names = request["taskDefinitions"]
        if not 1 <= len(names) <= MOST_DELETED:
            raise errors.invalid_parameter(f"The number of task definitions must be between 1 and {MOST_DELETED}.")
        for name in names:
            own_identifier(caller, name)
        shown: list[dict[str, Any]] = []
        failures: list[dict[str, Any]] = []
        for name in names:
            definition = self._store.find_definition(caller, name) if has_revision(name) else None
            reason = deletion_refusal(name, definition)
            if definition is None or reason:
                failures.append({"arn": definition.arn if definition else arn_of(caller, name), "reason": reason})
                continue
            if definition.delete_requested_at is None:
                definition.delete_requested_at = self.world.clock.now()
                self._delete_later(definition)
            shown.append(definition.shown())
        return {"taskDefinitions": shown, "failures": failures}

    @operation("ListTaskDefinitions", differs="the wording for a bad token or size of the page is not verified")
    def list_definitions(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """ARNs of revisions. `familyPrefix` is the whole family's name here, as on AWS."""
        status = request.get("status") or "ACTIVE"
        family = request.get("familyPrefix")
        rows = [one for one in self._store.definitions(caller) if one.status == status and family in (None, one.family)]
        if request.get("sort") == "DESC":
            rows.reverse()
        arns, token = page([one.arn for one in rows], request)
        return {"taskDefinitionArns": arns, "nextToken": token}

    @operation("ListTaskDefinitionFamilies", differs="the wording for a bad token or size of the page is not verified")
    def list_families(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """Names of families. One without an active revision is inactive."""
        prefix = request.get("familyPrefix") or ""
        rows = [one for one in self._store.definitions(caller) if one.family.startswith(prefix)]
        known = dict.fromkeys(one.family for one in rows)
        active = dict.fromkeys(one.family for one in rows if one.status == "ACTIVE")
        wanted = {"ACTIVE": list(active), "INACTIVE": [name for name in known if name not in active], "ALL": list(known)}
        families, token = page(wanted[request.get("status") or "ALL"], request)
        return {"families": families, "nextToken": token}

    def _find(self, caller: Caller, name: str) -> TaskDefinition:
        own_identifier(caller, name)
        definition = self._store.find_definition(caller, name)
        if definition is None:
            raise errors.task_definition_not_described()
        return definition

    def _delete_later(self, definition: TaskDefinition) -> None:
        self.world.clock.call_later(DELETE_SECONDS, lambda: self._delete(definition))

    def _delete(self, definition: TaskDefinition) -> None:
        with self.lock:
            running = [t for t in self._store.all_tasks() if t.definition.arn == definition.arn and t.status != "STOPPED"]
            if running:
                self._delete_later(definition)
            else:
                self._store.remove_definition(definition)


def has_revision(name: str) -> bool:
    """Whether a name says which revision of its family."""
    return ":" in name.rpartition("/")[2]


def arn_of(caller: Caller, name: str) -> str:
    """The ARN that a name stands for."""
    return name if name.startswith("arn:") else f"arn:aws:ecs:{caller.region}:{caller.account}:task-definition/{name}"


def deletion_refusal(name: str, definition: TaskDefinition | None) -> str | None:
    """Why a revision cannot be deleted."""
    if not has_revision(name):
        return "Invalid revision number. Number: null"
    if definition is None:
        return "The specified task definition does not exist. Specify a valid account, family, revision and try again."
    if definition.status == "ACTIVE":
        return "The specified task definition is still in ACTIVE status. Please deregister the target and try again."
    return None
