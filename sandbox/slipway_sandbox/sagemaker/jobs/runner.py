"""The life of one job, on a thread of its own: start, download, run, upload."""

from __future__ import annotations

import logging
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from slipway_sandbox.containers import roots
from slipway_sandbox.containers.awslogs import Log
from slipway_sandbox.containers.container import Container, ContainerSpec, Mount
from slipway_sandbox.containers.errors import ContainerStartError, ImagePullError
from slipway_sandbox.containers.image_uri import ImageUri
from slipway_sandbox.containers.images import Image
from slipway_sandbox.containers.runtime import ContainerRuntime
from slipway_sandbox.core.world import World
from slipway_sandbox.iam.trust import SAGEMAKER
from slipway_sandbox.roles.credentials import CredentialsEndpoint, local_endpoint
from slipway_sandbox.roles.registry_access import PullDeniedError
from slipway_sandbox.sagemaker.access import SESSION
from slipway_sandbox.sagemaker.jobs.job import (
    COMPLETED,
    INTERRUPTED,
    LONGEST_REASON,
    OUT_OF_TIME,
    STOPPED,
    Ending,
    JobFailedError,
    failed,
)
from slipway_sandbox.sagemaker.jobs.storage import Storage
from slipway_sandbox.sagemaker.jobs.work import HOST, ML, Command, Work, read_text

log = logging.getLogger(__name__)

START_SECONDS = 10.0
"""Simulated time in which instances are launched."""
STOP_GRACE = 120.0
"""Simulated seconds between SIGTERM and SIGKILL, as SageMaker gives."""
SHORTEST_STOP_GRACE = 2.0
"""Real seconds. Processes run in real time: however fast the sandbox's time runs, they get this long to shut down."""
PULSE_SECONDS = 1.0
"""Real seconds between two looks at what a running container has said."""
NO_CAPACITY = "CapacityError: Unable to provision requested ML compute capacity. Please retry using a different ML instance type."
INTERNAL_ERROR = "InternalServerError: We encountered an internal error. Please try again."


@dataclass(frozen=True)
class Tools:
    """What every runner needs."""

    world: World
    containers: ContainerRuntime
    roles: CredentialsEndpoint
    folder: Path
    """Where jobs have their folders."""


class JobRunner:
    """Takes a job through its phases.

    Args:
        tools: The sandbox's parts.
        work: What to do.
        changed: Called after each change of the job, without its lock.
        has_capacity: Whether there are instances for it.
    """

    def __init__(self, tools: Tools, work: Work, changed: Callable[[], None], *, has_capacity: bool) -> None:
        self._tools = tools
        self._world = tools.world
        self._job = work.job
        self._work = work
        self._changed = changed
        self._access = work.access
        self._has_capacity = has_capacity
        self._home = Path(tempfile.mkdtemp(prefix=f"{work.job.name}-", dir=tools.folder))
        self._ml = self._home / "ml"
        self._stopping = threading.Event()
        self._aborted = threading.Event()
        self._interrupted = threading.Event()
        self._lost = threading.Event()
        self._wake = threading.Event()
        self._container: Container | None = None
        self._thread = threading.Thread(target=self._run, name=f"job-{work.job.name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Ask the job to end; returns at once."""
        if self._job.stop(self._world.clock.now()):
            self._changed()
        self._stopping.set()
        self._wake.set()

    def interrupt(self) -> None:
        """Take its instance away, as happens to Spot instances: it starts again, with its checkpoints.

        Raises:
            ValueError: It has no Spot instance.
        """
        if not self._job.request.get("EnableManagedSpotTraining"):
            raise ValueError(f"the job {self._job.name} has no Spot instance")
        self._interrupted.set()
        self._wake.set()

    def lose_host(self) -> None:
        """Its instance breaks, and the job fails."""
        self._lost.set()
        self._wake.set()
        container = self._container
        if container:
            container.stop(0)

    def abort(self) -> None:
        """Kill what runs; the job is forgotten."""
        self._aborted.set()
        self._job.stop(self._world.clock.now())
        self._stopping.set()
        self._wake.set()
        container = self._container
        if container:
            container.stop(0)

    def join(self, seconds: float) -> None:
        """Wait for the end, for at most `seconds` of real time."""
        self._thread.join(seconds)

    def _run(self) -> None:
        ending = failed(INTERNAL_ERROR)
        try:
            ending = self._live()
            while ending is INTERRUPTED:
                self._move("Interrupted")
                self._move("Starting")
                ending = self._live()
        except JobFailedError as error:
            ending = failed(str(error))
        except Exception:
            log.exception("the job %s was lost", self._job.arn)
        finally:
            shutil.rmtree(self._home, ignore_errors=True)
            self._job.end(ending, self._world.clock.now())
            if not self._aborted.is_set():
                self._changed()

    def _live(self) -> Ending:
        """One life of the job's instance."""
        self._interrupted.clear()
        shutil.rmtree(self._ml, ignore_errors=True)
        self._ml.mkdir()
        self._pause(START_SECONDS)
        if self._stopping.is_set():
            return STOPPED
        if not self._has_capacity:
            raise JobFailedError(NO_CAPACITY)
        self._move("Downloading")
        storage = self._storage()
        self._work.prepare(self._ml, storage)
        image = self._pull(self._work.image)
        command = self._work.command()
        if self._stopping.is_set():
            return STOPPED
        self._move("Training")
        ending = self._execute(image, command)
        if not self._aborted.is_set():
            if ending is not INTERRUPTED:
                self._move("Uploading")
            # Its role's first credentials may have ended by now.
            self._work.collect(self._ml, self._storage(), ending)
        return ending

    def _storage(self) -> Storage:
        role = self._work.role
        try:
            client = self._access.client("s3")
        except (ClientError, BotoCoreError) as error:
            raise JobFailedError(f"ClientError: the role {role} could not be assumed: {error}") from error
        return Storage(client, self._job.caller.region, role or "")

    def _move(self, phase: str) -> None:
        if self._job.move(phase, self._world.clock.now()):
            self._changed()

    def _pause(self, seconds: float) -> None:
        timer = self._world.clock.call_later(seconds, self._wake.set)
        self._wake.wait()
        timer.cancel()
        self._wake.clear()

    def _pull(self, uri: str) -> Image:
        try:
            self._access.check_pull(uri)
            return self._tools.containers.pull(uri)
        except PullDeniedError as error:
            raise JobFailedError(self._no_image(uri, str(error))) from error
        except ImagePullError as error:
            raise JobFailedError(self._no_image(uri, error.detail)) from error

    def _no_image(self, uri: str, detail: str) -> str:
        try:
            name = ImageUri.parse(uri)
        except ValueError:
            return f"ClientError: Cannot pull the image {uri}: {detail}"
        return (
            f"ClientError: Cannot find repository or image: {name.repository} ({name.reference}) in registry ID: {name.account}. "
            f"Please check if your ECR repository exists and role {self._work.role} has proper pull permissions for "
            "SageMaker: ecr:BatchCheckLayerAvailability, ecr:BatchGetImage, ecr:GetDownloadUrlForLayer. "
            f"The pull said: {detail}"
        )

    def _execute(self, image: Image, command: Command) -> Ending:
        logs = self._access.open_log(self._work.log_group, f"{self._job.name}/{HOST}-{int(time.time())}")
        role = self._work.role
        served, access = self._tools.roles.add(self._job.caller, SAGEMAKER, role, SESSION) if role else ("", {})
        try:
            container = self._start(image, command, logs, access)
            try:
                ending = self._follow(container)
            finally:
                # No container outlives its job, even after an error.
                container.stop(0)
            self._work.pulse()
        finally:
            self._tools.roles.remove(served)
            logs.close()
        if ending:
            return ending
        if container.failure:
            return failed(f"ClientError: {container.failure}")
        if container.exit_code == 0:
            return COMPLETED
        return failed(algorithm_error(read_text(self._ml, "output/failure"), container.exit_code))

    def _start(self, image: Image, command: Command, logs: Log, access: dict[str, str]) -> Container:
        def take(line: str) -> None:
            logs.write(line)
            self._work.read_line(line)

        spec = ContainerSpec(
            name=HOST,
            entry_point=command.entry_point,
            command=command.command,
            environment={**self._standard_environment(access), **command.environment},
            network=command.network,
            mounts=[Mount(self._ml, ML), *self._work.mounts(self._ml), *own_files(image, self._ml)],
            on_output=take,
            on_exit=self._wake.set,
        )
        try:
            self._container = self._tools.containers.start(image, spec)
        except ContainerStartError as error:
            raise JobFailedError(f"ClientError: {error}") from error
        return self._container

    def _follow(self, container: Container) -> Ending | None:
        """See to it until the container's end; the job's ending, where it did not end by itself."""
        done = self._work.attend(container, self._stopping)
        if done and not self._lost.is_set():
            self._end(container)
            return done
        deadline = time.monotonic() + self._work.longest
        while container.running:
            if self._lost.is_set():
                container.stop(0)
                break
            if self._stopping.is_set() or self._interrupted.is_set():
                self._end(container)
                return STOPPED if self._stopping.is_set() else INTERRUPTED
            if time.monotonic() >= deadline:
                self._move("Stopping")
                self._end(container)
                return OUT_OF_TIME
            self._wake.wait(min(PULSE_SECONDS, deadline - time.monotonic()))
            self._wake.clear()
            self._work.pulse()
        if self._lost.is_set():
            raise JobFailedError(INTERNAL_ERROR)
        # The container may have ended between the request to stop and the look at it.
        return STOPPED if self._stopping.is_set() else None

    def _end(self, container: Container) -> None:
        grace = 0.0 if self._aborted.is_set() else self._world.clock.real(STOP_GRACE, SHORTEST_STOP_GRACE)
        container.stop(grace)

    def _standard_environment(self, access: dict[str, str]) -> dict[str, str]:
        region = self._job.caller.region
        regions = {"AWS_REGION": region, "AWS_DEFAULT_REGION": region}
        if self._work.isolated:
            return regions
        # On AWS the network leads to AWS; here the endpoint does.
        return {**regions, "AWS_ENDPOINT_URL": local_endpoint(self._world.endpoint), **access}


def algorithm_error(text: str, exit_code: int | None) -> str:
    """The FailureReason of a container that failed; its own text is cut, so that the code is always there."""
    end = f", exit code: {exit_code}"
    start = "AlgorithmError: "
    return start + text[: LONGEST_REASON - len(start) - len(end)] + end


def own_files(image: Image, ml: Path) -> list[Mount]:
    """What the image itself has below `/opt/ml`, such as `code`. SageMaker's own folders come before it."""
    folder = roots.resolve(image.root, ML)
    if not folder.is_dir():
        return []
    mounts: list[Mount] = []
    for child in folder.iterdir():
        source = roots.resolve(image.root, f"{ML}/{child.name}")
        # Empty folders are the mount points of other containers of this image.
        has_content = source.is_file() or (source.is_dir() and any(source.iterdir()))
        if has_content and not (ml / child.name).exists():
            mounts.append(Mount(source, f"{ML}/{child.name}", read_only=True))
    return mounts
