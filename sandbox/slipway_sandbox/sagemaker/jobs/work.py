"""What the runner needs of each kind of job: its command, its files, and where they go."""

from __future__ import annotations

import json
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from slipway_sandbox.containers import roots
from slipway_sandbox.containers.container import Container, Mount, OwnNetwork
from slipway_sandbox.core.world import World
from slipway_sandbox.sagemaker.access import SageMakerRole
from slipway_sandbox.sagemaker.jobs.job import LONGEST_REASON, Ending, Job
from slipway_sandbox.sagemaker.jobs.storage import Storage

HOST = "algo-1"
ML = "/opt/ml"
DEFAULT_MAX_RUNTIME = 86_400


@dataclass(frozen=True)
class Command:
    """What a job's container runs, and in which network."""

    entry_point: Sequence[str] | None
    command: Sequence[str] | None
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    network: OwnNetwork | None = None
    """None: the host's."""


class Work(ABC):
    """What differs between kinds of jobs: how the contract's files are made, and where its output goes.

    Args:
        world: The sandbox.
        job: The job.
    """

    log_group: ClassVar[str]

    def __init__(self, world: World, job: Job) -> None:
        self.job = job
        self._world = world

    @cached_property
    def access(self) -> SageMakerRole:
        """AWS as the job's role sees it."""
        return SageMakerRole(self._world, self.job.caller, self.role)

    @property
    def role(self) -> str | None:
        """The ARN of the role that the job acts as, if it has one."""
        return self.job.request["RoleArn"]

    @property
    def longest(self) -> float:
        """Real seconds that its container may run: containers run in real time."""
        return self.job.request.get("StoppingCondition", {}).get("MaxRuntimeInSeconds", DEFAULT_MAX_RUNTIME)

    @property
    def isolated(self) -> bool:
        """Whether the container is to have no way to AWS, and so no credentials either."""
        return self.job.request.get("EnableNetworkIsolation", False)

    @property
    @abstractmethod
    def image(self) -> str:
        """The image's URI."""

    @abstractmethod
    def command(self) -> Command:
        """What to run of the image, and how."""

    @abstractmethod
    def prepare(self, ml: Path, storage: Storage) -> None:
        """Fill the folder that the container sees as `/opt/ml`.

        Raises:
            JobFailedError: The input is not there.
        """

    def mounts(self, ml: Path) -> list[Mount]:  # noqa: ARG002  (for those that have some)
        """Folders beside `/opt/ml` that the container sees. Called after `prepare`."""
        return []

    def attend(self, container: Container, stopping: threading.Event) -> Ending | None:  # noqa: ARG002  (for those that do)
        """What the job does while its container runs; None where there is nothing to do but to wait for its end.

        Args:
            container: What runs.
            stopping: Set when the job is to end at once.

        Raises:
            JobFailedError: It could not be done.
        """
        return None

    @abstractmethod
    def collect(self, ml: Path, storage: Storage, ending: Ending) -> None:
        """Store what the container has left.

        Raises:
            JobFailedError: It cannot be stored.
        """

    def read_line(self, line: str) -> None:  # noqa: B027  (most look at none)
        """Look at a line of the container's output, on the container's own thread."""

    def pulse(self) -> None:  # noqa: B027  (most have nothing to tell meanwhile)
        """Called about every second while the container runs, and once after its end."""


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
