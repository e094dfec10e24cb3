"""The life of one task, from PROVISIONING to STOPPED, on a thread of its own."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Mapping
from dataclasses import dataclass

from slipway_sandbox.containers import (
    Container,
    ContainerRuntime,
    ContainerSpec,
    ContainerStartError,
    Image,
    ImagePullError,
    Mount,
)
from slipway_sandbox.credentials import CredentialsEndpoint, local_endpoint
from slipway_sandbox.ecs.logs import LogDriverError, LogStream
from slipway_sandbox.ecs.metadata import Metadata
from slipway_sandbox.ecs.store import Task, TaskContainer
from slipway_sandbox.ecs.validation import environment_of, override_of
from slipway_sandbox.faults import FaultKind
from slipway_sandbox.world import World

log = logging.getLogger(__name__)

PROVISION_SECONDS = 10.0
"""Simulated time in which the network interface is made."""
PENDING_SECONDS = 5.0
"""Simulated time between the pull and the start; pulling itself takes the time it takes."""
DEPROVISION_SECONDS = 5.0
DEFAULT_STOP_TIMEOUT = 30.0
SHORTEST_STOP_TIMEOUT = 2.0
"""Real seconds. Processes run in real time: however fast the sandbox's time runs, they get this long to end in good order."""
START_FAULT = "RunTask.start"
"""The operation name by which a planted fault befalls the start of a task."""


class TaskFailedToStartError(Exception):
    """The task ends before it ran; the text is its `stoppedReason`."""


@dataclass
class Running:
    """A container that was started, with where its lines go."""

    container: Container
    logs: LogStream | None


class TaskRunner:
    """Takes a task through its states.

    Args:
        world: The sandbox.
        runtime: What runs containers.
        metadata: The endpoint for containers.
        credentials: Where they get the credentials of the task's role from.
        task: The task. All that other threads see of it changes under `lock`.
        lock: The service's lock.
    """

    def __init__(
        self,
        world: World,
        runtime: ContainerRuntime,
        metadata: Metadata,
        credentials: CredentialsEndpoint,
        task: Task,
        lock: threading.RLock,
    ) -> None:
        self.task = task
        self._world = world
        self._runtime = runtime
        self._metadata = metadata
        self._lock = lock
        self._folder = world.data / "tasks" / task.id
        self._credentials = credentials
        self._served: list[str] = []
        """Names of credentials that are served for the task."""
        self._running: dict[str, Running] = {}
        self._wake = threading.Event()
        self._aborted = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=f"ecs-task-{task.id}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, code: str, reason: str) -> None:
        """Ask the task to end, with the reason to show. Callers hold the lock; the first reason stays."""
        if self.task.desired_status == "STOPPED":
            return
        self.task.desired_status = "STOPPED"
        self.task.stop_code = code
        self.task.stopped_reason = reason
        self.task.stopping_at = self._world.clock.now()
        self.task.version += 1
        self._stopping = True
        self._wake.set()

    def abort(self) -> None:
        """End at once, without grace or further states."""
        self._aborted.set()
        with self._lock:
            self.stop("ServiceSchedulerInitiated", "The sandbox was reset.")

    def _run(self) -> None:
        try:
            self._live()
        except TaskFailedToStartError as error:
            with self._lock:
                self.stop("TaskFailedToStart", str(error))
        except Exception:
            log.exception("the task %s was lost", self.task.arn)
            with self._lock:
                self.stop(
                    "TaskFailedToStart", "ResourceInitializationError: the sandbox made a mistake; its log has the details."
                )
        try:
            self._end_containers()
            self._deprovision()
        finally:
            self._metadata.remove(self.task)
            for name in self._served:
                self._credentials.remove(name)
            shutil.rmtree(self._folder, ignore_errors=True)
            self._set_status("STOPPED")

    def _live(self) -> None:
        self._pause(PROVISION_SECONDS)
        fault = self._world.faults.strike("ecs", START_FAULT, self.task.cluster.account)
        if fault and fault.fault.kind is FaultKind.error:
            raise TaskFailedToStartError(fault.fault.message)
        if self._stopping:
            return
        self._set_status("PENDING")
        images = self._pull_images()
        self._pause(PENDING_SECONDS)
        self._run_containers(images)

    def _pull_images(self) -> dict[str, Image]:
        with self._lock:
            self.task.pull_started_at = self._world.clock.now()
        images: dict[str, Image] = {}
        for container in self.task.containers:
            try:
                image = self._runtime.pull(container.definition["image"])
            except ImagePullError as error:
                self._fail(container, str(error))
                raise TaskFailedToStartError(str(error)) from error
            images[container.name] = image
            with self._lock:
                container.image_digest = image.digest
        with self._lock:
            self.task.pull_stopped_at = self._world.clock.now()
        return images

    def _run_containers(self, images: Mapping[str, Image]) -> None:
        """Start each container when those it depends on are ready; until one that is essential ends, or all have."""
        while not self._stopping:
            for container in self.task.containers:
                if container.name not in self._running and self._is_free(container):
                    self._start_container(container, images[container.name])
            if len(self._running) == len(self.task.containers) and self.task.status == "PENDING":
                self._set_status("RUNNING")
            self._note_exits()
            if self._stopping:
                return
            self._wake.wait()
            self._wake.clear()

    def _is_free(self, container: TaskContainer) -> bool:
        """Whether all that it depends on is ready. Health checks are not run: HEALTHY is as good as START."""
        for dependency in container.definition.get("dependsOn", []):
            other = self._running.get(dependency["containerName"])
            if other is None:
                return False
            if dependency["condition"] in ("COMPLETE", "SUCCESS") and other.container.running:
                return False
            if dependency["condition"] == "SUCCESS" and other.container.exit_code != 0:
                raise TaskFailedToStartError(
                    f"Task failed to start: container {container.name} depends on {dependency['containerName']}, "
                    f"which ended with exit code {other.container.exit_code}."
                )
        return True

    def _start_container(self, container: TaskContainer, image: Image) -> None:
        logs = self._open_logs(container)
        spec = self._spec_of(container, logs)
        try:
            started = self._runtime.start(image, spec)
        except ContainerStartError as error:
            if logs:
                logs.close()
            self._fail(container, str(error))
            raise TaskFailedToStartError(str(error)) from error
        self._running[container.name] = Running(started, logs)
        with self._lock:
            container.status = "RUNNING"
            container.started_at = self._world.clock.now()
            self.task.version += 1

    def _open_logs(self, container: TaskContainer) -> LogStream | None:
        configuration = container.definition.get("logConfiguration")
        if not configuration or configuration["logDriver"] != "awslogs":
            return None
        options = configuration["options"]
        prefix = options.get("awslogs-stream-prefix")
        name = f"{prefix}/{container.name}/{self.task.id}" if prefix else container.runtime_id
        try:
            return LogStream(self._world, self.task.caller, options, name)
        except LogDriverError as error:
            self._fail(container, str(error))
            raise TaskFailedToStartError(str(error)) from error

    def _spec_of(self, container: TaskContainer, logs: LogStream | None) -> ContainerSpec:
        definition = container.definition
        override = override_of(self.task, definition)
        return ContainerSpec(
            name=definition.get("hostname") or f"{self.task.id[:12]}",
            entry_point=definition.get("entryPoint"),
            command=override.get("command") or definition.get("command"),
            environment=self._environment_of(container),
            working_directory=definition.get("workingDirectory"),
            user=definition.get("user"),
            mounts=self._mounts_of(container),
            on_output=logs.write if logs else discard,
            on_exit=self._wake.set,
        )

    def _environment_of(self, container: TaskContainer) -> dict[str, str]:
        if container.definition.get("secrets"):
            reason = "ResourceInitializationError: the sandbox does not fetch secrets for containers; pass them as environment"
            self._fail(container, reason)
            raise TaskFailedToStartError(reason)
        base = local_endpoint(self._world.endpoint)
        region = self.task.cluster.region
        platform = {
            "AWS_EXECUTION_ENV": "AWS_ECS_FARGATE",
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            # On AWS the network leads to AWS; here this does.
            "AWS_ENDPOINT_URL": base,
            "ECS_CONTAINER_METADATA_URI_V4": base + self._metadata.add_container(self.task, container),
        }
        role = self.task.task_role
        if role:
            name, variables = self._credentials.add(self.task.caller, role, self.task.id)
            self._served.append(name)
            platform |= variables
        return platform | environment_of(self.task, container.definition)

    def _mounts_of(self, container: TaskContainer) -> list[Mount]:
        """Volumes are folders of the task, and gone with it."""
        mounts: list[Mount] = []
        for point in container.definition["mountPoints"]:
            folder = self._folder / "volumes" / point["sourceVolume"]
            folder.mkdir(parents=True, exist_ok=True)
            mounts.append(Mount(folder, point["containerPath"], read_only=point.get("readOnly", False)))
        return mounts

    def _note_exits(self) -> None:
        for container in self.task.containers:
            running = self._running.get(container.name)
            if running is None or running.container.running or container.finished_at:
                continue
            self._note_exit(container, running)
            if running.container.failure:
                raise TaskFailedToStartError(container.reason)
            if container.essential:
                with self._lock:
                    self.stop("EssentialContainerExited", "Essential container in task exited")
        if all(container.finished_at for container in self.task.containers):
            with self._lock:
                self.stop("EssentialContainerExited", "Essential container in task exited")

    def _note_exit(self, container: TaskContainer, running: Running) -> None:
        """Show that a container ended, once its logs are where they belong."""
        if running.logs:
            running.logs.close()
        failure = running.container.failure
        with self._lock:
            container.status = "STOPPED"
            container.finished_at = self._world.clock.now()
            container.exit_code = None if failure else running.container.exit_code
            container.reason = f"CannotStartContainerError: {failure}" if failure else None
            self.task.version += 1

    def _end_containers(self) -> None:
        left = [container for container in self.task.containers if not container.finished_at and container.name in self._running]
        if left:
            self._set_status("STOPPING")
        stops = [threading.Thread(target=self._stop_container, args=(container,)) for container in left]
        for stop in stops:
            stop.start()
        for stop in stops:
            stop.join()
        with self._lock:
            for container in self.task.containers:
                container.status = "STOPPED"
            if self.task.started_at:
                self.task.execution_stopped_at = self._world.clock.now()

    def _stop_container(self, container: TaskContainer) -> None:
        running = self._running[container.name]
        timeout = float(container.definition.get("stopTimeout", DEFAULT_STOP_TIMEOUT))
        grace = min(timeout, self._world.clock.real(timeout, SHORTEST_STOP_TIMEOUT))
        running.container.stop(0 if self._aborted.is_set() else grace)
        self._note_exit(container, running)

    def _deprovision(self) -> None:
        if self._aborted.is_set():
            return
        self._set_status("DEPROVISIONING")
        done = threading.Event()
        self._world.clock.call_later(DEPROVISION_SECONDS, done.set)
        done.wait()

    def _pause(self, seconds: float) -> None:
        """Let simulated time pass, or less where the task is to stop."""
        timer = self._world.clock.call_later(seconds, self._wake.set)
        self._wake.wait()
        self._wake.clear()
        timer.cancel()

    def _fail(self, container: TaskContainer, reason: str) -> None:
        with self._lock:
            container.reason = reason
            container.status = "STOPPED"
            container.finished_at = self._world.clock.now()

    def _set_status(self, status: str) -> None:
        with self._lock:
            self.task.status = status
            self.task.version += 1
            if status == "RUNNING":
                self.task.started_at = self._world.clock.now()
            if status == "STOPPED":
                self.task.stopped_at = self._world.clock.now()


def discard(_line: str) -> None:
    """A container without a log driver that the sandbox has."""
