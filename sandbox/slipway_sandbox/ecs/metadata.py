"""`/_ecs/`: what a container asks about itself: the task metadata endpoint, version 4."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from datetime import datetime
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

from werkzeug.exceptions import HTTPException, NotFound
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from slipway_sandbox.ecs.store import Task, TaskContainer

ROUTES = Map(
    [
        Rule("/_ecs/v4/<name>", endpoint="container", methods=["GET"]),
        Rule("/_ecs/v4/<name>/task", endpoint="task", methods=["GET"]),
        Rule("/_ecs/v4/<name>/taskWithTags", endpoint="task_with_tags", methods=["GET"]),
    ]
)


class Metadata:
    """Serves the tasks that run now."""

    def __init__(self) -> None:
        self._containers: dict[str, tuple[Task, TaskContainer]] = {}
        self._lock = threading.Lock()

    def add_container(self, task: Task, container: TaskContainer) -> str:
        """Serve a container; returns the path of its metadata."""
        with self._lock:
            self._containers[container.runtime_id] = (task, container)
        return f"/_ecs/v4/{container.runtime_id}"

    def remove(self, task: Task) -> None:
        """Serve a task no longer."""
        with self._lock:
            for container in task.containers:
                self._containers.pop(container.runtime_id, None)

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
        task, container = self._find(name)
        return described_container(task, container)

    def task(self, name: str) -> dict[str, Any]:
        """The container's task."""
        return described_task(self._find(name)[0])

    def task_with_tags(self, name: str) -> dict[str, Any]:
        """The same, with its tags."""
        task = self._find(name)[0]
        return {**described_task(task), "TaskTags": {tag["key"]: tag["value"] for tag in task.tags}}

    def _find(self, name: str) -> tuple[Task, TaskContainer]:
        with self._lock:
            found = self._containers.get(name)
        if found is None:
            raise NotFound("no container of this id runs")
        return found


def described_task(task: Task) -> dict[str, Any]:
    """A task as the metadata endpoint shows it."""
    content = task.definition.content
    described = {
        "Cluster": task.cluster.arn,
        "TaskARN": task.arn,
        "Family": task.definition.family,
        "Revision": str(task.definition.revision),
        "DesiredStatus": task.desired_status,
        "KnownStatus": task.status,
        "Limits": {"CPU": int(content.get("cpu", 0)) / 1024, "Memory": int(content.get("memory", 0))},
        "PullStartedAt": moment(task.pull_started_at),
        "PullStoppedAt": moment(task.pull_stopped_at),
        "AvailabilityZone": f"{task.cluster.region}a",
        "LaunchType": task.launch_type,
        "Containers": [described_container(task, container) for container in task.containers],
    }
    return {name: value for name, value in described.items() if value is not None}


def described_container(task: Task, container: TaskContainer) -> dict[str, Any]:
    """A container as the metadata endpoint shows it."""
    logs = container.definition.get("logConfiguration", {})
    described = {
        "DockerId": container.runtime_id,
        "Name": container.name,
        "DockerName": container.name,
        "Image": container.definition["image"],
        "ImageID": container.image_digest,
        "Labels": {
            "com.amazonaws.ecs.cluster": task.cluster.arn,
            "com.amazonaws.ecs.container-name": container.name,
            "com.amazonaws.ecs.task-arn": task.arn,
            "com.amazonaws.ecs.task-definition-family": task.definition.family,
            "com.amazonaws.ecs.task-definition-version": str(task.definition.revision),
        },
        "DesiredStatus": task.desired_status,
        "KnownStatus": container.status,
        "ExitCode": container.exit_code,
        "Limits": {"CPU": container.definition["cpu"]},
        "CreatedAt": moment(container.started_at),
        "StartedAt": moment(container.started_at),
        "FinishedAt": moment(container.finished_at),
        "Type": "NORMAL",
        "LogDriver": logs.get("logDriver"),
        "LogOptions": logs.get("options"),
        "ContainerARN": container.arn,
    }
    return {name: value for name, value in described.items() if value is not None}


def moment(value: datetime | None) -> str | None:
    """A time in RFC 3339."""
    return value.isoformat().replace("+00:00", "Z") if value else None


def answer(body: object, status: int = 200) -> Response:
    """A JSON response."""
    return Response(json.dumps(body), status, content_type="application/json")
