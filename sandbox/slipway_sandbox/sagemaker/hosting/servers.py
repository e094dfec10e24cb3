"""The processes that serve one variant: its containers, kept running and healthy."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from pathlib import Path

from urllib3 import PoolManager
from urllib3.exceptions import HTTPError

from slipway_sandbox.containers.awslogs import Log
from slipway_sandbox.containers.container import Container, ContainerSpec
from slipway_sandbox.containers.errors import ContainerStartError
from slipway_sandbox.containers.images import Image
from slipway_sandbox.containers.runtime import ContainerRuntime

PING_EVERY = 0.05
PING_TIMEOUT = 2.0
EXITS_FORGIVEN = 2
"""How often a container may exit before it was ever healthy."""
LONGEST_PAUSE = 5.0
"""Real seconds before a container that keeps exiting is started again."""
DRAIN_SECONDS = 10.0
"""Real seconds that a server has to answer the requests under way before it is stopped."""
STOP_GRACE = 2.0


class FleetError(Exception):
    """A fleet did not start. The text is AWS's FailureReason."""


class HaltedError(Exception):
    """The endpoint is gone; the fleet is not needed any more."""


@dataclass(frozen=True)
class DeployedImage:
    """Which image a container runs."""

    specified: str
    resolved: str
    at: datetime


class InFlight:
    """Counts the requests in flight, and refuses those over the limit."""

    def __init__(self, limit: int | None = None) -> None:
        self.limit = limit
        self._count = 0
        self._changed = threading.Condition()

    def enter(self) -> bool:
        """One more, if there is room."""
        with self._changed:
            if self.limit is not None and self._count >= self.limit:
                return False
            self._count += 1
            return True

    def leave(self) -> None:
        """One less."""
        with self._changed:
            self._count -= 1
            self._changed.notify_all()

    def drain(self, seconds: float) -> None:
        """Wait until there are none, for at most `seconds` of real time."""
        with self._changed:
            self._changed.wait_for(lambda: self._count <= 0, seconds)


@dataclass(frozen=True)
class Process:
    """What one container of a variant is to be.

    Attributes:
        hostname: What it is called within the variant.
        image: What to run.
        spec: How to run it.
        port: Where it will listen.
        deployed: The image as DescribeEndpoint shows it.
        stream: Where its output goes.
        folder: Its own files, removed when it is stopped.
        after: Called once it has ended for good.
    """

    hostname: str
    image: Image
    spec: ContainerSpec
    port: int
    deployed: DeployedImage
    stream: Log
    folder: Path
    after: Callable[[], None]


class ContainerServer:
    """A serving container that is started again when it exits.

    Args:
        runtime: Starts it.
        process: What to start.
    """

    def __init__(self, runtime: ContainerRuntime, process: Process) -> None:
        self.process = process
        self._runtime = runtime
        self._stopping = threading.Event()
        self._exits = 0
        self._refusal: str | None = None
        """Why it could not even be started."""
        self._container: Container | None = None
        self._lock = threading.Lock()
        self._supervisor = threading.Thread(target=self._supervise, name=f"serve-{process.spec.name}", daemon=True)

    @property
    def url(self) -> str:
        """Where it listens now: a port of its own network leads to another one of this machine's with every start."""
        container = self._container
        port = container.published.get(self.process.port) if container else None
        return f"http://127.0.0.1:{port or self.process.port}"

    def start(self) -> None:
        """Start it, without waiting for anything."""
        self._supervisor.start()

    def wait_healthy(self, variant: str, deadline: float, halted: threading.Event) -> None:
        """Wait until it answers /ping with 200.

        Args:
            variant: For the error's text.
            deadline: The moment of the monotonic clock until which it has time.
            halted: Set when the fleet is not needed any more.

        Raises:
            FleetError: It did not.
            HaltedError: `halted` was set.
        """
        with PoolManager(timeout=PING_TIMEOUT, retries=False) as client:
            while not self._is_healthy(client):
                if halted.wait(PING_EVERY):
                    raise HaltedError
                if self._refusal:
                    raise FleetError(
                        f"The {self.process.hostname} container for production variant {variant} could not be started: "
                        f"{self._refusal}"
                    )
                if self._exits > EXITS_FORGIVEN or time.monotonic() > deadline:
                    raise FleetError(
                        f"The {self.process.hostname} container for production variant {variant} did not pass the ping health "
                        "check. Please check CloudWatch logs for this endpoint."
                    )

    def stop(self) -> None:
        """End it."""
        self._stopping.set()
        with self._lock:
            container = self._container
        if container:
            container.stop(STOP_GRACE)
        if self._supervisor.ident:
            self._supervisor.join()
        self.process.stream.close()
        self.process.after()
        shutil.rmtree(self.process.folder, ignore_errors=True)

    def _is_healthy(self, client: PoolManager) -> bool:
        try:
            return client.request("GET", f"{self.url}/ping").status == HTTPStatus.OK
        except HTTPError:
            return False

    def _supervise(self) -> None:
        while not self._stopping.is_set():
            self._run_once()
            self._exits += 1
            self._stopping.wait(min(LONGEST_PAUSE, 0.1 * 2**self._exits))

    def _run_once(self) -> None:
        try:
            with self._lock:
                if self._stopping.is_set():
                    return
                self._container = self._runtime.start(self.process.image, self.process.spec)
        except ContainerStartError as error:
            self.process.stream.write(str(error))
            self._refusal = str(error)
            return
        self._container.wait()


class ContainerVariant:
    """One variant: a container, or a pipeline of several.

    Args:
        containers: In the order in which a request passes them.
        direct: Each request names its one container instead.
        limit: How many requests it may answer at a time; None for any number.
    """

    def __init__(self, containers: Sequence[ContainerServer], *, direct: bool, limit: int | None) -> None:
        self._containers: Mapping[str, ContainerServer] = {server.process.hostname: server for server in containers}
        self._direct = direct
        self._requests = InFlight(limit)
        self.enter = self._requests.enter
        self.leave = self._requests.leave

    @property
    def images(self) -> Sequence[DeployedImage]:
        """The images of its containers."""
        return [server.process.deployed for server in self._containers.values()]

    @property
    def limit(self) -> int | None:
        """How many requests it may answer at a time."""
        return self._requests.limit

    def set_limit(self, limit: int | None) -> None:
        """Limit how many requests it answers at a time, from now on."""
        self._requests.limit = limit

    @property
    def direct(self) -> bool:
        """Whether each request has to name its container."""
        return self._direct

    def urls(self, hostname: str | None) -> Sequence[tuple[str, str]]:
        """Name and address of each container that a request passes; none for a name that no container has."""
        if hostname is None:
            return [(name, server.url) for name, server in self._containers.items()]
        return [(name, server.url) for name, server in self._containers.items() if name == hostname]

    def start(self, variant: str, timeout: float, halted: threading.Event) -> None:
        """Start all containers and wait until each answers /ping.

        Raises:
            FleetError: One does not.
            HaltedError: `halted` was set.
        """
        for server in self._containers.values():
            server.start()
        deadline = time.monotonic() + timeout
        for server in self._containers.values():
            server.wait_healthy(variant, deadline, halted)

    def stop(self) -> None:
        """End it, after the requests under way."""
        self._requests.drain(DRAIN_SECONDS)
        for server in self._containers.values():
            server.stop()
