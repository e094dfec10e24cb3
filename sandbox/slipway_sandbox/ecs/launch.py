"""Starts a task's containers, with their logs, environment, credentials and volumes."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from slipway_sandbox.containers.awslogs import LogStream
from slipway_sandbox.containers.container import Container, ContainerSpec, Mount
from slipway_sandbox.containers.errors import ContainerStartError
from slipway_sandbox.containers.images import Image
from slipway_sandbox.containers.runtime import ContainerRuntime
from slipway_sandbox.core.world import World
from slipway_sandbox.ecs.metadata import Metadata
from slipway_sandbox.ecs.model import Task, TaskContainer
from slipway_sandbox.iam.trust import ECS_TASKS
from slipway_sandbox.roles.acting import ActingRole
from slipway_sandbox.roles.credentials import CredentialsEndpoint, local_endpoint


@dataclass(frozen=True)
class Platform:
    """What all tasks' containers run on.

    Args:
        world: The sandbox.
        runtime: Runs containers.
        metadata: The endpoint for containers.
        credentials: Where they get the credentials of the task's role from.
    """

    world: World
    runtime: ContainerRuntime
    metadata: Metadata
    credentials: CredentialsEndpoint


@dataclass
class Running:
    """A container that was started, with what goes along with it."""

    container: Container
    logs: LogStream | None


class Launcher:
    """Starts the containers of one task.

    Args:
        platform: What they run on.
        task: The task.
        execution_role: Who writes its logs.
        on_exit: Called when a container has ended, on the container's own thread.
    """

    def __init__(
        self,
        platform: Platform,
        task: Task,
        execution_role: ActingRole,
        on_exit: Callable[[], None],
    ) -> None:
        self._platform = platform
        self._task = task
        self._on_exit = on_exit
        self._folder = platform.world.data / "tasks" / task.id
        self._execution_role = execution_role
        self._served: list[str] = []
        """Names of credentials that are served for the task."""

    def start(self, container: TaskContainer, image: Image, variables: Mapping[str, str]) -> Running:
        """Start one container.

        Args:
            container: The container.
            image: Its image.
            variables: What it gets by secrets and files.

        Raises:
            LogDriverError: Its log stream cannot be made.
            ContainerStartError: Its command cannot be run.
        """
        logs = self._open_logs(container)
        spec = self._spec_of(container, variables, logs)
        try:
            started = self._platform.runtime.start(image, spec)
        except ContainerStartError:
            if logs:
                logs.close()
            raise
        return Running(started, logs)

    def close(self) -> None:
        """Take away what the containers had: credentials, metadata, volumes."""
        self._platform.metadata.remove(self._task)
        for name in self._served:
            self._platform.credentials.remove(name)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _open_logs(self, container: TaskContainer) -> LogStream | None:
        configuration = container.definition.get("logConfiguration")
        if not configuration or configuration["logDriver"] != "awslogs":
            return None
        options = configuration["options"]
        prefix = options.get("awslogs-stream-prefix")
        name = f"{prefix}/{container.name}/{self._task.id}" if prefix else container.runtime_id
        region = options.get("awslogs-region") or self._task.region
        return LogStream(lambda: self._execution_role.client("logs", region), options, name)

    def _spec_of(self, container: TaskContainer, variables: Mapping[str, str], logs: LogStream | None) -> ContainerSpec:
        definition = container.definition
        return ContainerSpec(
            name=definition.get("hostname") or f"{self._task.id[:12]}",
            entry_point=definition.get("entryPoint"),
            command=container.setting("command"),
            environment=self._environment_of(container, variables),
            working_directory=definition.get("workingDirectory"),
            user=definition.get("user"),
            mounts=self._mounts_of(container),
            on_output=logs.write if logs else discard,
            on_exit=self._on_exit,
        )

    def _environment_of(self, container: TaskContainer, variables: Mapping[str, str]) -> dict[str, str]:
        base = local_endpoint(self._platform.world.endpoint)
        region = self._task.region
        around = {
            "AWS_EXECUTION_ENV": "AWS_ECS_FARGATE",
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            # On AWS the network leads to AWS; here this does.
            "AWS_ENDPOINT_URL": base,
            "ECS_CONTAINER_METADATA_URI_V4": base + self._platform.metadata.add_container(self._task, container),
        }
        role = self._task.task_role
        if role:
            name, own = self._platform.credentials.add(self._task.caller, ECS_TASKS, role, self._task.id)
            self._served.append(name)
            around |= own
        settings = [container.definition["environment"], container.override.get("environment", [])]
        by_definition, by_override = ({item["name"]: item.get("value", "") for item in items} for items in settings)
        return around | {**variables} | by_definition | by_override

    def _mounts_of(self, container: TaskContainer) -> list[Mount]:
        """Volumes are folders of the task, and gone with it."""
        mounts: list[Mount] = []
        for point in container.definition["mountPoints"]:
            folder = self._folder / "volumes" / point["sourceVolume"]
            folder.mkdir(parents=True, exist_ok=True)
            mounts.append(Mount(folder, point["containerPath"], read_only=point.get("readOnly", False)))
        return mounts


def discard(_line: str) -> None:
    """A container without a log driver that the sandbox has."""
