"""The life of one task, from PROVISIONING to STOPPED, on a thread of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping

from slipway_sandbox.containers.awslogs import LogDriverError
from slipway_sandbox.containers.errors import ContainerStartError, ImagePullError
from slipway_sandbox.containers.images import Image
from slipway_sandbox.core.faults import FaultKind
from slipway_sandbox.ecs.changes import tell
from slipway_sandbox.ecs.dependencies import NeverReadyError, is_ready, stop_rounds
from slipway_sandbox.ecs.launch import Launcher, Platform, Running
from slipway_sandbox.ecs.model import Task, TaskContainer
from slipway_sandbox.ecs.pulling import PullRights
from slipway_sandbox.ecs.secrets import ResourceError, Resources
from slipway_sandbox.iam.trust import ECS_TASKS
from slipway_sandbox.roles.acting import ActingRole
from slipway_sandbox.roles.credentials import RoleCredentials

log = logging.getLogger(__name__)

PROVISION_SECONDS = 10.0
"""Simulated time in which the network interface is made."""
PENDING_SECONDS = 5.0
"""Simulated time between the pull and the start; pulling itself takes the time it takes."""
DEPROVISION_SECONDS = 5.0
DEFAULT_STOP_TIMEOUT = 30.0
SHORTEST_TIMEOUT = 2.0
"""Real seconds. Processes run in real time: however fast the sandbox's time runs, they get this long to start or end."""
START_FAULT = "RunTask.start"
"""The operation name by which a planted fault makes the start of a task fail."""


class TaskFailedToStartError(Exception):
    """The task ends before it ran; the text is its `stoppedReason`."""


class TaskRunner:
    """Takes a task through its states.

    Args:
        platform: What its containers run on.
        task: The task. All that other threads see of it changes under `lock`.
        lock: The service's lock.
        on_stopped: Called under the lock when it has stopped.
    """

    def __init__(self, platform: Platform, task: Task, lock: threading.RLock, on_stopped: Callable[[Task], None]) -> None:
        self.task = task
        self._world = platform.world
        self._runtime = platform.runtime
        self._lock = lock
        self._on_stopped = on_stopped
        self._running: dict[str, Running] = {}
        self._late_at: dict[str, float] = {}
        """When each container's `startTimeout` is over, in real time."""
        self._wake = threading.Event()
        self._aborted = threading.Event()
        self._network_gone = threading.Event()
        self._host_lost = False
        self._stopping = False
        self._execution_role = ActingRole(platform.world, task.caller, ECS_TASKS, task.execution_role, task.id)
        self._launcher = Launcher(platform, task, self._execution_role, self._wake.set)
        self._thread = threading.Thread(target=self._run, name=f"ecs-task-{task.id}", daemon=True)

    def start(self) -> None:
        """Begin. Callers hold the lock."""
        self._tell()
        self._thread.start()

    def stop(self, code: str, reason: str) -> None:
        """Ask the task to end, with the reason to show. Callers hold the lock; the first reason stays."""
        if self.task.desired_status == "STOPPED":
            return
        self.task.desired_status = "STOPPED"
        self.task.stop_code = code
        self.task.stopped_reason = reason
        self.task.stopping_at = self._world.clock.now()
        self._stopping = True
        self._tell()
        self._wake.set()

    def lose_host(self, code: str, reason: str) -> None:
        """What the task runs on is gone: it ends at once, and its exit codes are lost. Callers hold the lock."""
        self._host_lost = True
        self.stop(code, reason)

    def abort(self) -> None:
        """End at once, without grace or further states."""
        self._aborted.set()
        self._network_gone.set()
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
            self._launcher.close()
            self._set_status("STOPPED")

    def _live(self) -> None:
        self._pause(PROVISION_SECONDS)
        fault = self._world.faults.strike("ecs", START_FAULT, self.task.account)
        if fault and fault.fault.kind is FaultKind.error:
            raise TaskFailedToStartError(fault.fault.message)
        if self._stopping:
            return
        self._set_status("PENDING")
        rights = PullRights(self._world.endpoint, self._execution_role)
        variables = self._fetch_resources(rights)
        images = self._pull_images(rights)
        self._pause(PENDING_SECONDS)
        self._run_containers(images, variables)

    def _fetch_resources(self, rights: PullRights) -> dict[str, dict[str, str]]:
        """What the containers get by secrets and files, by container."""
        resources = Resources(self._fetcher(), self.task.region)
        found: dict[str, dict[str, str]] = {}
        for container in self.task.containers:
            try:
                rights.authorize(container.definition["image"])
                found[container.name] = resources.variables_of(container)
            except ResourceError as error:
                self._fail(container, str(error))
                raise TaskFailedToStartError(str(error)) from error
        return found

    def _fetcher(self) -> ActingRole | RoleCredentials:
        """Who fetches secrets: the role even where IAM does not know it, so that the call log has what was read."""
        role = self.task.execution_role
        if role is None or self._execution_role.credentials:
            return self._execution_role
        return RoleCredentials(self._world, self.task.caller, ECS_TASKS, role, self.task.id)

    def _pull_images(self, rights: PullRights) -> dict[str, Image]:
        with self._lock:
            self.task.pull_started_at = self._world.clock.now()
        images: dict[str, Image] = {}
        for container in self.task.containers:
            try:
                rights.check(container.definition["image"])
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

    def _run_containers(self, images: Mapping[str, Image], variables: Mapping[str, Mapping[str, str]]) -> None:
        """Start each container when those it depends on are ready; until one that is essential ends, or all have."""
        while not self._stopping:
            ready = [c for c in self.task.containers if not c.started_at and not c.finished_at and self._is_ready(c)]
            for container in ready:
                self._start_container(container, images[container.name], variables[container.name])
            if self.task.status == "PENDING" and all(c.started_at or c.finished_at for c in self.task.containers):
                self._set_status("RUNNING")
            # What has changed may be what another container waits for.
            if not self._note_exits() and not ready:
                self._wake.wait(self._until_late())
            self._wake.clear()

    def _is_ready(self, container: TaskContainer) -> bool:
        others = {other.name: other for other in self.task.containers}
        try:
            return is_ready(container, others, self._is_late)
        except NeverReadyError as error:
            self._cannot_start(container, f"CannotStartContainerError: {error}")
            return False

    def _is_late(self, container: TaskContainer) -> bool:
        """Whether its `startTimeout` is over."""
        at = self._late_at.get(container.name)
        return at is not None and at <= time.monotonic()

    def _until_late(self) -> float | None:
        """Real seconds until the next `startTimeout` is over, where a container waits for that."""
        waiting = [at for at in self._late_at.values() if at > time.monotonic()]
        return min(waiting) - time.monotonic() if waiting else None

    def _start_container(self, container: TaskContainer, image: Image, variables: Mapping[str, str]) -> None:
        try:
            self._running[container.name] = self._launcher.start(container, image, variables)
        except (ContainerStartError, LogDriverError) as error:
            self._cannot_start(container, str(error))
            return
        timeout = container.definition.get("startTimeout")
        if timeout:
            self._late_at[container.name] = time.monotonic() + self._world.clock.real(timeout, SHORTEST_TIMEOUT)
        with self._lock:
            container.status = "RUNNING"
            container.started_at = self._world.clock.now()
            self._tell()

    def _cannot_start(self, container: TaskContainer, reason: str) -> None:
        """A container cannot start; the task runs on without it, unless it is essential."""
        self._fail(container, reason)
        if container.essential:
            raise TaskFailedToStartError(reason)

    def _note_exits(self) -> bool:
        """Show which containers ended; returns whether there were any."""
        ended = [c for c in self.task.containers if c.name in self._running and not c.finished_at]
        ended = [container for container in ended if not self._running[container.name].container.running]
        for container in ended:
            self._note_exit(container, self._running[container.name])
            if container.essential and self._running[container.name].container.failure:
                raise TaskFailedToStartError(container.reason)
            if container.essential:
                with self._lock:
                    self.stop("EssentialContainerExited", "Essential container in task exited")
        return bool(ended)

    def _note_exit(self, container: TaskContainer, running: Running) -> None:
        """Show that a container ended, once its logs are where they belong."""
        if running.logs:
            running.logs.close()
        failure = running.container.failure
        code = running.container.exit_code
        with self._lock:
            container.status = "STOPPED"
            container.finished_at = self._world.clock.now()
            container.exit_code = None if failure or self._host_lost else code
            if failure:
                container.reason = f"CannotStartContainerError: {failure}"
            self._tell()

    def _end_containers(self) -> None:
        left = [container for container in self.task.containers if not container.finished_at and container.name in self._running]
        if left:
            self._set_status("STOPPING")
        for together in stop_rounds(left):
            stops = [threading.Thread(target=self._stop_container, args=(container,)) for container in together]
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
        grace = min(timeout, self._world.clock.real(timeout, SHORTEST_TIMEOUT))
        running.container.stop(0 if self._aborted.is_set() or self._host_lost else grace)
        self._note_exit(container, running)

    def _deprovision(self) -> None:
        if self._aborted.is_set():
            return
        self._set_status("DEPROVISIONING")
        self._world.clock.call_later(DEPROVISION_SECONDS, self._network_gone.set)
        self._network_gone.wait()

    def _pause(self, seconds: float) -> None:
        """Wait for simulated time to pass, or until the task is to stop."""
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
            now = self._world.clock.now()
            self.task.status = status
            if status == "PENDING":
                self.task.connected_at = now
            if status == "RUNNING":
                self.task.started_at = now
            if status == "STOPPED":
                self.task.stopped_at = now
                self._on_stopped(self.task)
            self._tell()

    def _tell(self) -> None:
        if not self._aborted.is_set():
            tell(self._world, self.task)
