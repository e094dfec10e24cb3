"""Task protection, which is for tasks of services alone: of any other, AWS says so."""

from __future__ import annotations

from typing import Any

from slipway_sandbox.core.calls import Caller
from slipway_sandbox.core.world import Room, World, operation
from slipway_sandbox.ecs import errors
from slipway_sandbox.ecs.model import task_arn
from slipway_sandbox.ecs.store import Store

MOST_PROTECTED = 10
MOST_ASKED = 100
LONGEST_MINUTES = 2880
DIFFERS = "there are no services, so every task is refused as TASK_NOT_VALID; the wording of its errors is not verified"


class ProtectionRoom(Room):
    """Answers what AWS does for tasks of no service."""

    service = "ecs"

    def __init__(self, world: World, store: Store) -> None:
        super().__init__(world)
        self._store = store

    def reset(self, account: str | None) -> None:
        """Nothing is ever protected."""

    @operation("UpdateTaskProtection", differs=DIFFERS)
    def update(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """Protect tasks, or no longer."""
        if not 1 <= request.get("expiresInMinutes", 1) <= LONGEST_MINUTES:
            raise errors.invalid_parameter(f"expiresInMinutes must be between 1 and {LONGEST_MINUTES}.")
        return self._answer(caller, request, MOST_PROTECTED)

    @operation("GetTaskProtection", differs=DIFFERS)
    def get(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """Show how tasks are protected."""
        return self._answer(caller, request, MOST_ASKED)

    def _answer(self, caller: Caller, request: dict[str, Any], most: int) -> dict[str, Any]:
        cluster = self._store.active_cluster(caller, request["cluster"])
        names = request.get("tasks", [])
        if not names:
            raise errors.invalid_parameter("Tasks cannot be empty.")
        if len(names) > most:
            raise errors.invalid_parameter(f"Tasks cannot have more than {most} elements.")
        failures: list[dict[str, str]] = []
        for name in names:
            task = self._store.find_task(caller, cluster, name)
            arn = task.arn if task else (name if name.startswith("arn:") else task_arn(cluster.arn, name))
            failures.append({"arn": arn, "reason": "TASK_NOT_VALID" if task else "MISSING"})
        return {"protectedTasks": [], "failures": failures}
