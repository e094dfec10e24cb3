"""The processes behind an endpoint: one serving container for each variant of an endpoint configuration."""

from __future__ import annotations

import logging
import shutil
import socket
import tarfile
import tempfile
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, Protocol

import httpx
from botocore.exceptions import ClientError

from slipway_sandbox.calls import Caller
from slipway_sandbox.containers import (
    Container,
    ContainerRuntime,
    ContainerSpec,
    ContainerStartError,
    Image,
    ImagePullError,
    Mount,
)
from slipway_sandbox.ecs.logs import LogStream
from slipway_sandbox.sagemaker.hosting.configs import EndpointConfig
from slipway_sandbox.sagemaker.hosting.models import ServedContainer
from slipway_sandbox.world import World

log = logging.getLogger(__name__)

BIND_TO_PORT_LABEL = "com.amazonaws.sagemaker.capabilities.accept-bind-to-port"
DEFAULT_STARTUP_TIMEOUT = 480
"""Simulated seconds until a container has to answer /ping, where the variant does not say."""
SHORTEST_STARTUP = 20.0
"""Real seconds that a container has at least, however fast the sandbox's time runs: containers run in real time."""
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
    """A fleet did not come up. The text is AWS's FailureReason."""


class HaltedError(Exception):
    """The endpoint is gone; nobody waits for this fleet any more."""


@dataclass(frozen=True)
class DeployedImage:
    """Which image a variant runs."""

    specified: str
    resolved: str
    at: datetime


class VariantServer(Protocol):
    """One variant's serving process."""

    @property
    def url(self) -> str: ...

    @property
    def image(self) -> DeployedImage: ...

    def enter(self) -> None: ...

    def leave(self) -> None: ...

    def stop(self) -> None: ...


@dataclass(frozen=True)
class Fleet:
    """The servers of one endpoint configuration, by variant."""

    servers: Mapping[str, VariantServer]

    def stop(self) -> None:
        """End all of them, after the requests under way."""
        stops = [threading.Thread(target=server.stop) for server in self.servers.values()]
        for stop in stops:
            stop.start()
        for stop in stops:
            stop.join()


class Fleets(Protocol):
    """Makes fleets."""

    def start(self, caller: Caller, endpoint: str, config: EndpointConfig, halted: threading.Event) -> Fleet:
        """Start a fleet and wait until every variant answers /ping.

        Raises:
            FleetError: One does not.
            HaltedError: Nobody wants it any more.
        """
        ...


class InFlight:
    """Counts the requests under way."""

    def __init__(self) -> None:
        self._count = 0
        self._changed = threading.Condition()

    def enter(self) -> None:
        """One more."""
        with self._changed:
            self._count += 1

    def leave(self) -> None:
        """One less."""
        with self._changed:
            self._count -= 1
            self._changed.notify_all()

    def drain(self, seconds: float) -> None:
        """Wait until there are none, for so many real seconds at most."""
        with self._changed:
            self._changed.wait_for(lambda: self._count <= 0, seconds)


class ContainerServer:
    """A serving container that is started again when it exits.

    Args:
        runtime: Starts it.
        image: What to run.
        spec: How to run it.
        port: Where it was told to listen.
        deployed: The image as DescribeEndpoint shows it.
        stream: Where its output goes.
        folder: Its own files, removed when it is stopped.
    """

    def __init__(
        self,
        runtime: ContainerRuntime,
        image: Image,
        spec: ContainerSpec,
        port: int,
        deployed: DeployedImage,
        stream: LogStream,
        folder: Path,
    ) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.image = deployed
        self._runtime = runtime
        self._pulled = image
        self._spec = spec
        self._stream = stream
        self._folder = folder
        self._requests = InFlight()
        self._stopping = threading.Event()
        self._exits = 0
        self._container: Container | None = None
        self._lock = threading.Lock()
        self._supervisor = threading.Thread(target=self._supervise, name=f"serve-{spec.name}", daemon=True)
        self.enter = self._requests.enter
        self.leave = self._requests.leave

    def start(self, variant: str, timeout: float, halted: threading.Event) -> None:
        """Start it and wait until it answers /ping with 200.

        Args:
            variant: For the error's text.
            timeout: Real seconds to wait.
            halted: Set when nobody waits any more.

        Raises:
            FleetError: It did not.
            HaltedError: `halted` was set.
        """
        self._supervisor.start()
        deadline = time.monotonic() + timeout
        with httpx.Client(trust_env=False, timeout=PING_TIMEOUT) as client:
            while not self._is_healthy(client):
                if halted.wait(PING_EVERY):
                    raise HaltedError
                if self._exits > EXITS_FORGIVEN or time.monotonic() > deadline:
                    raise FleetError(
                        f"The primary container for production variant {variant} did not pass the ping health check. "
                        "Please check CloudWatch logs for this endpoint."
                    )

    def stop(self) -> None:
        """End it, after the requests under way."""
        self._requests.drain(DRAIN_SECONDS)
        self._stopping.set()
        with self._lock:
            container = self._container
        if container:
            container.stop(STOP_GRACE)
        if self._supervisor.ident:
            self._supervisor.join()
        self._stream.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _is_healthy(self, client: httpx.Client) -> bool:
        try:
            return client.get(f"{self.url}/ping").status_code == HTTPStatus.OK
        except httpx.HTTPError:
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
                self._container = self._runtime.start(self._pulled, self._spec)
        except ContainerStartError as error:
            self._stream.write(str(error))
            return
        self._container.wait()


class ContainerFleets:
    """Makes fleets of containers, as SageMaker hosting runs them.

    Each variant is one process, however many instances it is to have.
    """

    def __init__(self, world: World, runtime: ContainerRuntime, shortest_startup: float = SHORTEST_STARTUP) -> None:
        self._world = world
        self._runtime = runtime
        self._shortest_startup = shortest_startup
        self._folder = world.data.resolve() / "hosting"
        self._folder.mkdir(parents=True, exist_ok=True)

    def start(self, caller: Caller, endpoint: str, config: EndpointConfig, halted: threading.Event) -> Fleet:
        """Start a fleet and wait until every variant answers /ping.

        Raises:
            FleetError: One does not.
            HaltedError: Nobody wants it any more.
        """
        servers: dict[str, ContainerServer] = {}
        try:
            for variant in config.variants:
                name = variant["VariantName"]
                servers[name] = self._server(caller, endpoint, name, config.models[name].container)
                servers[name].start(name, self._startup_seconds(variant), halted)
        except Exception:
            Fleet(servers).stop()
            raise
        return Fleet(servers)

    def _startup_seconds(self, variant: dict[str, Any]) -> float:
        timeout = variant.get("ContainerStartupHealthCheckTimeoutInSeconds", DEFAULT_STARTUP_TIMEOUT)
        return self._world.clock.real(timeout, self._shortest_startup)

    def _server(self, caller: Caller, endpoint: str, variant: str, container: ServedContainer) -> ContainerServer:
        image = self._pull(container.image)
        folder = Path(tempfile.mkdtemp(prefix=f"{endpoint}-", dir=self._folder))
        try:
            model = folder / "model"
            model.mkdir()
            if container.model_data_url:
                self._unpack(caller, container.model_data_url, folder / "model.tar.gz", model)
        except FleetError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        port = free_port()
        group = {"awslogs-group": f"/aws/sagemaker/Endpoints/{endpoint}", "awslogs-create-group": "true"}
        stream = LogStream(self._world, caller, group, f"{variant}/i-{uuid.uuid4().hex[:17]}")
        spec = ContainerSpec(
            name=f"{variant[:40]}-{uuid.uuid4().hex[:8]}",
            command=["serve"],
            environment={**self._standard_environment(caller, port), **container.environment},
            mounts=[Mount(model, "/opt/ml/model")],
            on_output=stream.write,
        )
        repository = container.image.partition("@")[0].rpartition("/")
        resolved = f"{repository[0]}/{repository[2].partition(':')[0]}@{image.digest}"
        deployed = DeployedImage(container.image, resolved, self._world.clock.now())
        return ContainerServer(self._runtime, image, spec, port, deployed, stream, folder)

    def _pull(self, uri: str) -> Image:
        try:
            image = self._runtime.pull(uri)
        except ImagePullError as error:
            raise FleetError(f"The image '{uri}' could not be pulled: {error.detail}") from error
        if image.labels.get(BIND_TO_PORT_LABEL) != "true":
            raise FleetError(
                f"The image '{uri}' does not have the label {BIND_TO_PORT_LABEL}=true. Many containers share the sandbox's "
                "machine: each has to listen on the port named in SAGEMAKER_BIND_TO_PORT, and to say by this label that it does."
            )
        return image

    def _unpack(self, caller: Caller, url: str, archive: Path, folder: Path) -> None:
        bucket, _, key = url.removeprefix("s3://").partition("/")
        client = self._world.client("s3", caller)
        try:
            client.download_file(bucket, key, str(archive))
        except ClientError as error:
            raise FleetError(f"Could not find model data at {url}.") from error
        try:
            with tarfile.open(archive) as members:
                members.extractall(folder, filter="data")
        except (tarfile.TarError, OSError, EOFError) as error:
            raise FleetError(f"Failed to extract model data archive from URL {url}: {error}") from error
        finally:
            archive.unlink()

    def _standard_environment(self, caller: Caller, port: int) -> dict[str, str]:
        return {
            "SAGEMAKER_BIND_TO_PORT": str(port),
            "SAGEMAKER_SAFE_PORT_RANGE": f"{port}-{port}",
            "SAGEMAKER_CONTAINER_LOG_LEVEL": "20",
            "SAGEMAKER_REGION": caller.region,
            "AWS_REGION": caller.region,
            "AWS_DEFAULT_REGION": caller.region,
            "AWS_ENDPOINT_URL": self._world.endpoint,
        }


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
