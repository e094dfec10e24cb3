"""`/_ecs/`: the task metadata endpoint, version 4."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

from werkzeug.exceptions import HTTPException, NotFound
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request

from slipway_sandbox.core.clock import Clock
from slipway_sandbox.ecs.changes import moment
from slipway_sandbox.ecs.model import DEFAULT_STORAGE, HEALTH, LOCAL_ADDRESS, Task, TaskContainer
from slipway_sandbox.protocol.responses import json_response

ROUTES = Map(
    [
        Rule("/_ecs/v4/<name>", endpoint="container", methods=["GET"]),
        Rule("/_ecs/v4/<name>/task", endpoint="task", methods=["GET"]),
        Rule("/_ecs/v4/<name>/taskWithTags", endpoint="task_with_tags", methods=["GET"]),
    ]
)
CPU_UNITS = 1024
"""In a processor."""
MEBIBYTES = 1024
"""In a gibibyte."""


@dataclass(frozen=True)
class Served:
    """A container that is served, in its task."""

    task: Task
    container: TaskContainer


class Metadata:
    """Serves the tasks that run now.

    Args:
        clock: The sandbox's.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._served: dict[str, Served] = {}
        self._lock = threading.Lock()

    def add_container(self, task: Task, container: TaskContainer) -> str:
        """Serve a container; returns the path of its metadata."""
        with self._lock:
            self._served[container.runtime_id] = Served(task, container)
        return f"/_ecs/v4/{container.runtime_id}"

    def remove(self, task: Task) -> None:
        """Serve a task no longer."""
        with self._lock:
            for container in task.containers:
                self._served.pop(container.runtime_id, None)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        Request(environ).get_data()
        try:
            endpoint, arguments = ROUTES.bind_to_environ(environ).match()
            response = json_response(getattr(self, endpoint)(**arguments))
        except HTTPException as error:
            response = json_response({"code": str(error.code), "message": error.description}, error.code or 500)
        return response(environ, start_response)

    def container(self, name: str) -> dict[str, Any]:
        """One container."""
        served = self._find(name)
        return described_container(served.task, served.container)

    def task(self, name: str) -> dict[str, Any]:
        """The container's task."""
        return self._described_task(self._find(name).task)

    def task_with_tags(self, name: str) -> dict[str, Any]:
        """The same, with its tags."""
        task = self._find(name).task
        return {**self._described_task(task), "TaskTags": {tag["key"]: tag["value"] for tag in task.tags}}

    def _find(self, name: str) -> Served:
        with self._lock:
            found = self._served.get(name)
        if found is None:
            raise NotFound("no container of this id runs")
        return found

    def _described_task(self, task: Task) -> dict[str, Any]:
        now = self._clock.now()
        storage = (task.setting("ephemeralStorage") or {"sizeInGiB": DEFAULT_STORAGE})["sizeInGiB"]
        return without_none(
            {
                "Cluster": task.cluster_arn,
                "TaskARN": task.arn,
                "Family": task.family,
                "Revision": str(task.definition.revision),
                "DesiredStatus": task.desired_status,
                "KnownStatus": task.status,
                "Limits": {"CPU": int(task.setting("cpu") or 0) / CPU_UNITS, "Memory": int(task.setting("memory") or 0)},
                "PullStartedAt": time_of(task.pull_started_at),
                "PullStoppedAt": time_of(task.pull_stopped_at),
                "AvailabilityZone": f"{task.region}a",
                "LaunchType": task.launch_type,
                "Containers": [described_container(task, container) for container in task.containers],
                "ClockDrift": {
                    "ClockErrorBound": 0.5,
                    "ReferenceTimestamp": moment(now),
                    "ClockSynchronizationStatus": "SYNCHRONIZED",
                },
                "EphemeralStorageMetrics": {"Utilized": 0, "Reserved": storage * MEBIBYTES},
                "FaultInjectionEnabled": False,
            }
        )


def described_container(task: Task, container: TaskContainer) -> dict[str, Any]:
    """A container as the metadata endpoint shows it."""
    logs = container.definition.get("logConfiguration", {})
    limits = {"CPU": container.setting("cpu") or 0, "Memory": container.memory_limit}
    health = {"status": HEALTH} if container.definition.get("healthCheck") else None
    network = {"NetworkMode": task.definition.content.get("networkMode"), "IPv4Addresses": [LOCAL_ADDRESS]}
    volumes = [
        {"Source": point["sourceVolume"], "Destination": point["containerPath"]} for point in container.definition["mountPoints"]
    ]
    return without_none(
        {
            "DockerId": container.runtime_id,
            "Name": container.name,
            "DockerName": container.name,
            "Image": container.definition["image"],
            "ImageID": container.image_digest,
            "Labels": {
                "com.amazonaws.ecs.cluster": task.cluster_arn,
                "com.amazonaws.ecs.container-name": container.name,
                "com.amazonaws.ecs.task-arn": task.arn,
                "com.amazonaws.ecs.task-definition-family": task.family,
                "com.amazonaws.ecs.task-definition-version": str(task.definition.revision),
                **container.definition.get("dockerLabels", {}),
            },
            "DesiredStatus": task.desired_status,
            "KnownStatus": container.status,
            "ExitCode": container.exit_code,
            "Limits": without_none(limits),
            "CreatedAt": time_of(container.started_at),
            "StartedAt": time_of(container.started_at),
            "FinishedAt": time_of(container.finished_at),
            "Health": health,
            "Type": "NORMAL",
            "Volumes": volumes or None,
            "LogDriver": logs.get("logDriver"),
            "LogOptions": logs.get("options"),
            "ContainerARN": container.arn,
            "Networks": [network],
            "Snapshotter": "overlayfs",
        }
    )


def without_none(members: dict[str, Any]) -> dict[str, Any]:
    """What is there."""
    return {name: value for name, value in members.items() if value is not None}


def time_of(value: datetime | None) -> str | None:
    """A time in RFC 3339."""
    return moment(value) if value else None
