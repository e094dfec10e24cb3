"""The fleets behind an endpoint: a server for each variant of an endpoint configuration."""

from __future__ import annotations

import shutil
import tempfile
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from slipway_sandbox.containers.awslogs import Log
from slipway_sandbox.containers.container import ContainerSpec, Mount, OwnNetwork
from slipway_sandbox.containers.errors import ImagePullError
from slipway_sandbox.containers.images import Image
from slipway_sandbox.containers.runtime import ContainerRuntime
from slipway_sandbox.core.calls import Caller
from slipway_sandbox.core.world import World
from slipway_sandbox.iam.trust import SAGEMAKER
from slipway_sandbox.roles.credentials import CredentialsEndpoint, local_endpoint
from slipway_sandbox.roles.registry_access import PullDeniedError
from slipway_sandbox.sagemaker.access import SESSION, SageMakerRole
from slipway_sandbox.sagemaker.artifacts import ArtifactError
from slipway_sandbox.sagemaker.hosting.artifacts import fetch
from slipway_sandbox.sagemaker.hosting.configs import EndpointConfig
from slipway_sandbox.sagemaker.hosting.model_containers import ServedContainer
from slipway_sandbox.sagemaker.hosting.servers import ContainerServer, ContainerVariant, DeployedImage, FleetError, Process
from slipway_sandbox.sagemaker.ports import BIND_TO_PORT_LABEL, free_port

DEFAULT_STARTUP_TIMEOUT = 480
"""Simulated seconds until a container has to answer /ping, where the variant does not say."""
SHORTEST_STARTUP = 20.0
"""Real seconds that a container has at least, however fast the sandbox's time runs: containers run in real time."""
SERVING_PORT = 8080
"""Where containers listen by SageMaker's contract, unless they are several and take another port."""


class VariantServer(Protocol):
    """What serves one variant."""

    @property
    def limit(self) -> int | None: ...

    def set_limit(self, limit: int | None) -> None: ...

    @property
    def images(self) -> Sequence[DeployedImage]: ...

    @property
    def direct(self) -> bool: ...

    def urls(self, hostname: str | None) -> Sequence[tuple[str, str]]: ...

    def enter(self) -> bool: ...

    def leave(self) -> None: ...

    def stop(self) -> None: ...


@dataclass(frozen=True)
class Fleet:
    """The servers of one endpoint configuration, by variant."""

    servers: Mapping[str, VariantServer]
    shadows: Mapping[str, VariantServer] = field(default_factory=dict[str, VariantServer])

    @property
    def all(self) -> Mapping[str, VariantServer]:
        """The servers of production and shadow variants."""
        return {**self.servers, **self.shadows}

    def stop(self) -> None:
        """End all of them, after the requests under way."""
        stops = [threading.Thread(target=server.stop) for server in self.all.values()]
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


@dataclass(frozen=True)
class Place:
    """Where a container belongs: the endpoint and variant, their account and region, and the role to act in.

    Attributes:
        isolated: The containers may make no calls, so that they get no credentials.
    """

    caller: Caller
    endpoint: str
    variant: str
    role: str | None
    isolated: bool


class ContainerFleets:
    """Makes fleets of containers, as SageMaker hosting runs them.

    Each variant is one process, or one for each container of its pipeline, however many instances it is to have.
    """

    def __init__(
        self, world: World, runtime: ContainerRuntime, roles: CredentialsEndpoint, shortest_startup: float = SHORTEST_STARTUP
    ) -> None:
        self._world = world
        self._runtime = runtime
        self._roles = roles
        self._shortest_startup = shortest_startup
        self._folder = world.data.resolve() / "hosting"
        # Folders of an earlier sandbox's containers are not needed any more.
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True, exist_ok=True)

    def start(self, caller: Caller, endpoint: str, config: EndpointConfig, halted: threading.Event) -> Fleet:
        """Start a fleet and wait until every variant answers /ping.

        Raises:
            FleetError: One does not.
            HaltedError: Nobody wants it any more.
        """
        servers: dict[str, ContainerVariant] = {}
        try:
            for variant in [*config.variants, *config.shadows]:
                name = variant["VariantName"]
                servers[name] = self._variant(caller, endpoint, config, variant)
                servers[name].start(name, self._startup_seconds(variant), halted)
        except Exception:
            Fleet(servers).stop()
            raise
        shadows = {variant["VariantName"] for variant in config.shadows}
        return Fleet(
            {name: server for name, server in servers.items() if name not in shadows},
            {name: server for name, server in servers.items() if name in shadows},
        )

    def _startup_seconds(self, variant: dict[str, Any]) -> float:
        timeout = variant.get("ContainerStartupHealthCheckTimeoutInSeconds", DEFAULT_STARTUP_TIMEOUT)
        return self._world.clock.real(timeout, self._shortest_startup)

    def _variant(self, caller: Caller, endpoint: str, config: EndpointConfig, variant: dict[str, Any]) -> ContainerVariant:
        name = variant["VariantName"]
        model = config.models[name]
        place = Place(caller, endpoint, name, config.role(name), model.isolated)
        processes: list[Process] = []
        try:
            for number, container in enumerate(model.containers, start=1):
                processes.append(self._process(place, number, container, alone=len(model.containers) == 1))
        except FleetError:
            for process in processes:
                process.after()
                shutil.rmtree(process.folder, ignore_errors=True)
            raise
        servers = [ContainerServer(self._runtime, process) for process in processes]
        limit = variant.get("ServerlessConfig", {}).get("MaxConcurrency")
        return ContainerVariant(servers, direct=model.direct, limit=limit)

    def _process(self, place: Place, number: int, container: ServedContainer, *, alone: bool) -> Process:
        access = SageMakerRole(self._world, place.caller, place.role)
        image = self._pull(place, access, container.image)
        folder = Path(tempfile.mkdtemp(prefix=f"{place.endpoint}-", dir=self._folder))
        try:
            model = folder / "model"
            model.mkdir()
            if container.artifact:
                fetch(access, container.artifact, f"container_{number}", model)
        except ArtifactError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise FleetError(str(error)) from error
        takes_port = not alone and image.labels.get(BIND_TO_PORT_LABEL) == "true"
        port = free_port() if takes_port else SERVING_PORT
        credentials, after = self._credentials(place)
        stream = self._stream(place, access, container)
        spec = ContainerSpec(
            name=f"{place.variant[:40]}-{uuid.uuid4().hex[:8]}",
            command=["serve"],
            environment={
                **self._standard_environment(place.caller),
                **({} if alone else bound_to(port)),
                **credentials,
                **container.environment,
            },
            mounts=[Mount(model, "/opt/ml/model")],
            network=None if takes_port else self._own_network(),
            on_output=stream.write,
        )
        deployed = DeployedImage(container.image, resolved(container.image, image), self._world.clock.now())
        return Process(container.hostname, image, spec, port, deployed, stream, folder, after)

    def _credentials(self, place: Place) -> tuple[dict[str, str], Callable[[], None]]:
        """The variables that lead to the role's credentials, and what takes them away."""
        if place.role is None or place.isolated:
            return {}, _nothing
        name, variables = self._roles.add(place.caller, SAGEMAKER, place.role, SESSION)
        return variables, lambda: self._roles.remove(name)

    def _stream(self, place: Place, access: SageMakerRole, container: ServedContainer) -> Log:
        instance = f"i-{uuid.uuid4().hex[:17]}"
        pipeline = "" if container.hostname == "primary" else f"/{container.hostname}"
        return access.open_log(f"/aws/sagemaker/Endpoints/{place.endpoint}", f"{place.variant}/{instance}{pipeline}")

    def _pull(self, place: Place, access: SageMakerRole, uri: str) -> Image:
        try:
            access.check_pull(uri)
            return self._runtime.pull(uri)
        except PullDeniedError as error:
            raise FleetError(
                f"The role '{place.role}' does not have {error.action} permission for the image: '{uri}'."
            ) from error
        except ImagePullError as error:
            raise FleetError(
                f"Please make sure all images included in the model for the production variant {place.variant} exist, and "
                "that the execution role used to create the model has permissions to access them. "
                f"The pull of {uri} said: {error.detail}"
            ) from error

    def _own_network(self) -> OwnNetwork:
        """A network in which 8080 is there, however many containers listen on it."""
        address = urlsplit(local_endpoint(self._world.endpoint))
        return OwnNetwork((SERVING_PORT,), ((address.hostname or "127.0.0.1", address.port or 80),))

    def _standard_environment(self, caller: Caller) -> dict[str, str]:
        return {
            "SAGEMAKER_CONTAINER_LOG_LEVEL": "20",
            "SAGEMAKER_REGION": caller.region,
            "AWS_REGION": caller.region,
            "AWS_DEFAULT_REGION": caller.region,
            "AWS_ENDPOINT_URL": local_endpoint(self._world.endpoint),
        }


def bound_to(port: int) -> dict[str, str]:
    """Tells one of several containers where to listen. A container that is alone is told nothing."""
    return {"SAGEMAKER_BIND_TO_PORT": str(port), "SAGEMAKER_SAFE_PORT_RANGE": f"{port}-{port}"}


def resolved(uri: str, image: Image) -> str:
    """An image's name with its digest, as DescribeEndpoint resolves it."""
    repository = uri.partition("@")[0].rpartition("/")
    return f"{repository[0]}/{repository[2].partition(':')[0]}@{image.digest}"


def _nothing() -> None:
    """Nothing is to be taken away."""
