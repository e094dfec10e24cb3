"""A task's credentials, and the endpoint that its containers get them from."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

from slipway_sandbox.ecs.store import Task
from slipway_sandbox.world import World

RENEW_BEFORE = timedelta(minutes=20)
"""AWS's SDKs ask anew a quarter of an hour before the end."""


class TaskCredentials:
    """Credentials of the task's role, by AssumeRole, so that whoever uses them acts in the role's account."""

    def __init__(self, world: World, task: Task, role: str) -> None:
        self._world = world
        self._task = task
        self._role = role
        self._current: dict[str, Any] | None = None
        self._lock = threading.Lock()

    def get(self) -> dict[str, Any]:
        """The answer of the credentials endpoint; renewed in time."""
        with self._lock:
            current = self._current
            if current is None or current["Expiration"] - datetime.now(UTC) < RENEW_BEFORE:
                current = self._current = self._assume_role()
        return {
            "RoleArn": self._role,
            "AccessKeyId": current["AccessKeyId"],
            "SecretAccessKey": current["SecretAccessKey"],
            "Token": current["SessionToken"],
            "Expiration": f"{current['Expiration']:%Y-%m-%dT%H:%M:%SZ}",
        }

    def _assume_role(self) -> dict[str, Any]:
        client = self._world.client("sts", self._task.caller)
        return client.assume_role(RoleArn=self._role, RoleSessionName=self._task.id)["Credentials"]
