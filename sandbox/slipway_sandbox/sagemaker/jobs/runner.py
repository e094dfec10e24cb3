"""The life of one job, on a thread of its own: start, download, run, upload."""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from slipway_sandbox.containers import (
    Container,
    ContainerRuntime,
    ContainerSpec,
    ContainerStartError,
    Image,
    ImagePullError,
    Mount,
    roots,
)
from slipway_sandbox.credentials import local_endpoint
from slipway_sandbox.ecs.logs import LogDriverError, LogStream
from slipway_sandbox.images import ImageUri
from slipway_sandbox.sagemaker.jobs.job import (
    COMPLETED,
    LONGEST_REASON,
    OUT_OF_TIME,
    STOPPED,
    Ending,
    Job,
    JobFailedError,
    failed,
)
from slipway_sandbox.sagemaker.jobs.storage import Storage
from slipway_sandbox.world import World

log = logging.getLogger(__name__)

START_SECONDS = 10.0
"""Simulated time in which instances are launched."""
STOP_GRACE = 120.0
"""Simulated seconds between SIGTERM and SIGKILL, as SageMaker gives."""
SHORTEST_STOP_GRACE = 2.0
"""Real seconds. Processes run in real time: however fast the sandbox's time runs, they get this long to end in good order."""
DEFAULT_MAX_RUNTIME = 86_400
HOST = "algo-1"
ML = "/opt/ml"
INTERNAL_ERROR = "InternalServerError: We encountered an internal error. Please try again."


@dataclass(frozen=True)
class Command:
    """What a job runs."""

    image: str
    entry_point: Sequence[str] | None
    command: Sequence[str] | None
    environment: Mapping[str, str] = field(default_factory=dict[str, str])


class Work(ABC):
    """What differs between kinds of jobs: how the contract's files are made, and where its output goes.

    Args:
        job: The job.
    """

    log_group: ClassVar[str]

    def __init__(self, job: Job) -> None:
        self.job = job

    @abstractmethod
    def command(self) -> Command:
        """What to run."""

    @abstractmethod
    def prepare(self, ml: Path, storage: Storage) -> None:
        """Fill the folder that the container sees as `/opt/ml`.

        Raises:
            JobFailedError: The input is not there.
        """

    @abstractmethod
    def collect(self, ml: Path, storage: Storage, ending: Ending) -> None:
        """Store what the container has left.

        Raises:
            JobFailedError: It cannot be stored.
        """

    @abstractmethod
    def read_line(self, line: str) -> None:
        """Look at a line of the container's output, on the container's own thread."""


class JobRunner:
    """Takes a job through its phases.

    Args:
        world: The sandbox.
        runtime: What runs containers.
        folder: Where jobs have their folders.
        work: What to do.
    """

    def __init__(self, world: World, runtime: ContainerRuntime, folder: Path, work: Work) -> None:
        self._world = world
        self._runtime = runtime
        self._job = work.job
        self._work = work
        self._home = Path(tempfile.mkdtemp(prefix=f"{work.job.name}-", dir=folder))
        self._ml = self._home / "ml"
        self._stopping = threading.Event()
        self._aborted = threading.Event()
        self._wake = threading.Event()
        self._container: Container | None = None
        self._thread = threading.Thread(target=self._run, name=f"job-{work.job.name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Ask the job to end; returns at once."""
        self._job.stop(self._world.clock.now())
        self._stopping.set()
        self._wake.set()

    def abort(self) -> None:
        """Kill what runs; nobody looks at the job any more."""
        self._aborted.set()
        self.stop()
        container = self._container
        if container:
            container.stop(0)

    def join(self, seconds: float) -> None:
        """Wait for the end, for so many real seconds at most."""
        self._thread.join(seconds)

    def _run(self) -> None:
        ending = failed(INTERNAL_ERROR)
        try:
            self._ml.mkdir()
            ending = self._live()
        except JobFailedError as error:
            ending = failed(str(error))
        except Exception:
            log.exception("the job %s was lost", self._job.arn)
        finally:
            shutil.rmtree(self._home, ignore_errors=True)
            self._job.end(ending, self._world.clock.now())

    def _live(self) -> Ending:
        self._pause(START_SECONDS)
        if self._stopping.is_set():
            return STOPPED
        caller = self._job.caller
        storage = Storage(self._world.client("s3", caller), caller.region, self._job.request["RoleArn"])
        self._move("Downloading")
        self._work.prepare(self._ml, storage)
        command = self._work.command()
        image = self._pull(command.image)
        if self._stopping.is_set():
            return STOPPED
        self._move("Training")
        ending = self._execute(image, command)
        if not self._aborted.is_set():
            self._move("Uploading")
            self._work.collect(self._ml, storage, ending)
        return ending

    def _move(self, phase: str) -> None:
        self._job.move(phase, self._world.clock.now())

    def _pause(self, seconds: float) -> None:
        timer = self._world.clock.call_later(seconds, self._wake.set)
        self._wake.wait()
        timer.cancel()
        self._wake.clear()

    def _pull(self, uri: str) -> Image:
        try:
            return self._runtime.pull(uri)
        except ImagePullError as error:
            raise JobFailedError(self._no_image(uri, error)) from error

    def _no_image(self, uri: str, error: ImagePullError) -> str:
        try:
            name = ImageUri.parse(uri)
        except ValueError:
            return f"ClientError: Cannot pull the image {uri}: {error.detail}"
        return (
            f"ClientError: Cannot find repository or image: {name.repository} ({name.reference}) in registry ID: {name.account}. "
            f"Please check if your ECR repository exists and role {self._job.request['RoleArn']} has proper pull permissions for "
            "SageMaker: ecr:BatchCheckLayerAvailability, ecr:BatchGetImage, ecr:GetDownloadUrlForLayer. "
            f"The pull said: {error.detail}"
        )

    def _execute(self, image: Image, command: Command) -> Ending:
        logs = self._open_logs()
        try:
            container = self._start(image, command, logs)
            ending = self._follow(container)
        finally:
            logs.close()
        if ending:
            return ending
        if container.failure:
            return failed(f"ClientError: {container.failure}")
        if container.exit_code == 0:
            return COMPLETED
        return failed(algorithm_error(self._said("output/failure"), container.exit_code))

    def _open_logs(self) -> LogStream:
        group = {"awslogs-group": self._work.log_group, "awslogs-create-group": "true"}
        try:
            return LogStream(self._world, self._job.caller, group, f"{self._job.name}/{HOST}-{int(time.time())}")
        except LogDriverError as error:
            raise JobFailedError(f"InternalServerError: the log stream could not be made: {error}") from error

    def _start(self, image: Image, command: Command, logs: LogStream) -> Container:
        def take(line: str) -> None:
            logs.write(line)
            self._work.read_line(line)

        spec = ContainerSpec(
            name=HOST,
            entry_point=command.entry_point,
            command=command.command,
            environment={**self._standard_environment(), **command.environment},
            mounts=[Mount(self._ml, ML), *own_files(image, self._ml)],
            on_output=take,
            on_exit=self._wake.set,
        )
        try:
            self._container = self._runtime.start(image, spec)
        except ContainerStartError as error:
            raise JobFailedError(f"ClientError: {error}") from error
        return self._container

    def _follow(self, container: Container) -> Ending | None:
        """Wait for the container's end; the job's ending, where it did not end by itself."""
        limit = self._job.request.get("StoppingCondition", {}).get("MaxRuntimeInSeconds", DEFAULT_MAX_RUNTIME)
        deadline = time.monotonic() + limit
        while container.running:
            if self._stopping.is_set():
                self._end(container)
                return STOPPED
            if time.monotonic() >= deadline:
                self._move("Stopping")
                self._end(container)
                return OUT_OF_TIME
            self._wake.wait(deadline - time.monotonic())
            self._wake.clear()
        # The container may have ended between the request to stop and the look at it.
        return STOPPED if self._stopping.is_set() else None

    def _end(self, container: Container) -> None:
        grace = 0.0 if self._aborted.is_set() else self._world.clock.real(STOP_GRACE, SHORTEST_STOP_GRACE)
        container.stop(grace)

    def _said(self, path: str) -> str:
        return read_text(self._ml, path)

    def _standard_environment(self) -> dict[str, str]:
        region = self._job.caller.region
        return {
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            # On AWS the network leads to AWS; here this does.
            "AWS_ENDPOINT_URL": local_endpoint(self._world.endpoint),
        }


def algorithm_error(text: str, exit_code: int | None) -> str:
    """The FailureReason of a container that failed; its own text is cut, so that the code is always there."""
    end = f", exit code: {exit_code}"
    start = "AlgorithmError: "
    return start + text[: LONGEST_REASON - len(start) - len(end)] + end


def read_text(ml: Path, path: str) -> str:
    """The beginning of a text file that the container may have written, with its links resolved within its folder."""
    place = roots.resolve(ml, path)
    if not place.is_file():
        return ""
    with place.open("rb") as file:
        return file.read(4 * LONGEST_REASON).decode(errors="replace").strip()[:LONGEST_REASON]


def write_json(path: Path, content: Any) -> None:
    """Write one of the contract's configuration files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


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
