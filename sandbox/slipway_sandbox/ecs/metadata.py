"""`/_ecs/`: what a container asks about itself: the task metadata endpoint, version 4."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

from werkzeug.exceptions import HTTPException, NotFound
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from slipway_sandbox.containers.container import Container
from slipway_sandbox.core.clock import Clock
from slipway_sandbox.ecs.changes import moment
from slipway_sandbox.ecs.model import DEFAULT_STORAGE, LOCAL_ADDRESS, Task, TaskContainer
from slipway_sandbox.ecs.processes import usage_of

ROUTES = Map(
    [
        Rule("/_ecs/v4/<name>", endpoint="container", methods=["GET"]),
        Rule("/_ecs/v4/<name>/task", endpoint="task", methods=["GET"]),
        Rule("/_ecs/v4/<name>/taskWithTags", endpoint="task_with_tags", methods=["GET"]),
        Rule("/_ecs/v4/<name>/stats", endpoint="stats", methods=["GET"]),
        Rule("/_ecs/v4/<name>/task/stats", endpoint="task_stats", methods=["GET"]),
    ]
)
CPU_UNITS = 1024
"""In a processor."""
MEBIBYTES = 1024
"""In a gibibyte."""
MEBIBYTE = 1 << 20
NANOSECONDS = 10**9


@dataclass
class Served:
    """A container that is served, and how it ran when it was asked about before."""

    task: Task
    container: TaskContainer
    running: Container | None = None
    before: dict[str, Any] | None = None
    """The statistics that were told last."""


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

    def note_started(self, container: TaskContainer, running: Container) -> None:
        """A container runs, so that it has statistics from now on."""
        with self._lock:
            self._served[container.runtime_id].running = running

    def remove(self, task: Task) -> None:
        """Serve a task no longer."""
        with self._lock:
            for container in task.containers:
                self._served.pop(container.runtime_id, None)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        Request(environ).get_data()
        try:
            endpoint, arguments = ROUTES.bind_to_environ(environ).match()
            response = answer(getattr(self, endpoint)(**arguments))
        except HTTPException as error:
            response = answer({"code": str(error.code), "message": error.description}, error.code or 500)
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

    def stats(self, name: str) -> dict[str, Any] | None:
        """What a container uses, as the engine tells it; null for one that has ended."""
        served = self._find(name)
        now = measured(served)
        if now is None:
            return None
        before, served.before = served.before or now, now
        return {**now, "preread": before["read"], "precpu_stats": before["cpu_stats"]}

    def task_stats(self, name: str) -> dict[str, Any]:
        """The same of each of the task's containers, by its id."""
        task = self._find(name).task
        with self._lock:
            known = [container.runtime_id for container in task.containers if container.runtime_id in self._served]
        return {name: self.stats(name) for name in known}

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
    health = {"status": container.health} if container.definition.get("healthCheck") else None
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


def measured(served: Served) -> dict[str, Any] | None:
    """What a container uses now, in the members of the engine's statistics that the sandbox can tell."""
    usage = usage_of(served.running.pid) if served.running else None
    if usage is None:
        return None
    limit = served.container.memory_limit or int(served.task.setting("memory") or 0)
    return {
        "id": served.container.runtime_id,
        "name": served.container.name,
        "read": moment(datetime.now(UTC)),
        "num_procs": usage.processes,
        "pids_stats": {"current": usage.processes},
        "cpu_stats": {
            "cpu_usage": {"total_usage": int(usage.cpu_seconds * NANOSECONDS)},
            "system_cpu_usage": int(time.clock_gettime(time.CLOCK_MONOTONIC) * (os.cpu_count() or 1) * NANOSECONDS),
            "online_cpus": os.cpu_count(),
        },
        "memory_stats": {"usage": usage.memory, "limit": limit * MEBIBYTE},
        "networks": {},
    }


def without_none(members: dict[str, Any]) -> dict[str, Any]:
    """What is there."""
    return {name: value for name, value in members.items() if value is not None}


def time_of(value: datetime | None) -> str | None:
    """A time in RFC 3339."""
    return moment(value) if value else None


def answer(body: object, status: int = 200) -> Response:
    """A JSON response."""
    return Response(json.dumps(body), status, content_type="application/json")
