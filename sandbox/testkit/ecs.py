"""Words for what tests do with ECS tasks.

Example:
    desk = TaskDesk(sandbox, account)
    task = desk.finish("echo hello; exit 3")
    assert desk.lines(task) == ["hello"]
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from slipway_sandbox.testing import SandboxProcess, build_image, push_image, shell_layer

PATIENCE = 60.0
"""Real seconds; a busy machine takes its time."""
NETWORK = {"awsvpcConfiguration": {"subnets": ["subnet-0a"]}}


class TaskDesk:
    """One account's ECS: a cluster named `main`, an image with a shell, and what it takes to run tasks."""

    def __init__(self, sandbox: SandboxProcess, account: str) -> None:
        self.sandbox = sandbox
        self.account = account
        self.ecs = sandbox.client("ecs", account)
        self.logs = sandbox.client("logs", account)
        self.cluster = self.ecs.create_cluster(clusterName="main")["cluster"]["clusterArn"]
        self.image = push_image(sandbox, account, "shell", "v1", build_image([shell_layer()]))
        self.role = f"arn:aws:iam::{account}:role/execution"

    def container(self, script: str = "true", **more: Any) -> dict[str, Any]:
        """A container definition that runs a script."""
        logs = {
            "awslogs-group": "/tasks",
            "awslogs-region": "us-east-1",
            "awslogs-stream-prefix": "p",
            "awslogs-create-group": "true",
        }
        base = {"name": "main", "image": self.image, "command": ["sh", "-c", script]}
        return {**base, "logConfiguration": {"logDriver": "awslogs", "options": logs}, **more}

    def register(self, *containers: dict[str, Any], **more: Any) -> str:
        """Register a task definition; returns its ARN."""
        request = {
            "family": "job",
            "networkMode": "awsvpc",
            "requiresCompatibilities": ["FARGATE"],
            "cpu": "256",
            "memory": "512",
            "executionRoleArn": self.role,
            **more,
        }
        return self.ecs.register_task_definition(containerDefinitions=list(containers), **request)["taskDefinition"][
            "taskDefinitionArn"
        ]

    def run(self, definition: str, **more: Any) -> dict[str, Any]:
        """RunTask's answer; a `launchType` of None leaves it to the capacity providers."""
        request = {"cluster": "main", "launchType": "FARGATE", "networkConfiguration": NETWORK, **more}
        given = {name: value for name, value in request.items() if value is not None}
        return self.ecs.run_task(taskDefinition=definition, **given)

    def start(self, definition: str, **more: Any) -> str:
        """Run one task; returns its ARN."""
        return self.run(definition, **more)["tasks"][0]["taskArn"]

    def describe(self, task: str, **more: Any) -> dict[str, Any]:
        """One task."""
        return self.ecs.describe_tasks(cluster="main", tasks=[task], **more)["tasks"][0]

    def until(self, task: str, status: str) -> dict[str, Any]:
        """Wait for a state."""
        found: dict[str, Any] = {}

        def is_there() -> bool:
            found.update(self.describe(task))
            return found["lastStatus"] == status

        until(is_there, f"{status} of {task}")
        return found

    def until_line(self, task: str, line: str) -> None:
        """Wait until the container `main` has written a line."""
        until(lambda: line in self.lines({"taskArn": task}), f"the line {line!r} of {task}")

    def finish(self, script: str, **more: Any) -> dict[str, Any]:
        """Run a script in a task; returns the stopped task."""
        return self.until(self.start(self.register(self.container(script)), **more), "STOPPED")

    def lines(self, task: dict[str, Any], container: str = "main") -> list[str]:
        """What a container wrote."""
        stream = f"p/{container}/{task['taskArn'].rpartition('/')[2]}"
        try:
            events = self.logs.get_log_events(logGroupName="/tasks", logStreamName=stream, startFromHead=True)["events"]
        except self.logs.exceptions.ResourceNotFoundException:
            return []
        return [event["message"] for event in events]


def until(condition: Callable[[], bool], wanted: str) -> None:
    """Wait for a condition.

    Raises:
        TimeoutError: It did not come.
    """
    end = time.monotonic() + PATIENCE
    pause = threading.Event()
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"timeout after {PATIENCE} s waiting for {wanted}")
        pause.wait(0.02)
