"""AWS as a task's execution role sees it."""

from __future__ import annotations

from typing import Any

from slipway_sandbox.calls import Caller
from slipway_sandbox.credentials import RoleCredentials
from slipway_sandbox.ecs.model import Task
from slipway_sandbox.iam import stored
from slipway_sandbox.iam.trust import ECS_TASKS
from slipway_sandbox.world import World


class ExecutionRole:
    """Acts as a task's execution role. For one that IAM does not know, or a task without any, its account acts.

    Args:
        world: The sandbox.
        task: The task.
    """

    def __init__(self, world: World, task: Task) -> None:
        self._world = world
        self._caller = task.caller
        self.credentials: RoleCredentials | None = None
        """Those of a role that IAM knows."""
        if task.execution_role and stored.role(task.execution_role):
            self.credentials = RoleCredentials(world, task.caller, ECS_TASKS, task.execution_role, task.id)

    def client(self, service: str, region: str) -> Any:
        """A client of a service.

        Raises:
            ClientError: The role cannot be assumed.
        """
        if self.credentials:
            return self.credentials.client(service, region)
        return self._world.client(service, Caller(self._caller.account, region, self._caller.access_key))
