"""What a transform job serves, and where: at a port that it is given or, if it insists on one, in a network of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from slipway_sandbox.containers.container import Container, OwnNetwork
from slipway_sandbox.containers.images import Image
from slipway_sandbox.roles.credentials import local_endpoint
from slipway_sandbox.sagemaker.hosting.models import Model
from slipway_sandbox.sagemaker.jobs.contract import not_implemented
from slipway_sandbox.sagemaker.ports import BIND_TO_PORT_LABEL, free_port

PORT = 8080
"""Where all others listen."""
STARTUP_SECONDS = 480.0
"""Simulated time that a container has to answer /ping."""
SHORTEST_STARTUP = 20.0
"""Real seconds that it has at least: containers run in real time."""


@dataclass(frozen=True)
class Served:
    """What a transform job needs to know of its model."""

    image: str
    artifact: str | None
    """The URI of a `tar.gz`."""
    environment: Mapping[str, str]
    role: str | None
    isolated: bool

    @classmethod
    def of(cls, model: Model) -> Served:
        """That of a model.

        Raises:
            AwsError: It is of a kind that transform jobs do not run here.
        """
        container, request = model.container, model.request
        if len(model.containers) > 1:
            raise not_implemented("transform jobs of inference pipelines")
        if container.artifact and not container.artifact.packed:
            raise not_implemented("transform jobs of model data that is no tar.gz")
        return cls(
            image=container.image,
            artifact=container.model_data_url,
            environment=container.environment,
            role=request.get("ExecutionRoleArn"),
            isolated=request.get("EnableNetworkIsolation", False),
        )


class ServingAddress:
    """Where a container is to listen, and where it is reached.

    Args:
        endpoint: The sandbox's own address, which the container may call.
        isolated: Whether it may not.
    """

    def __init__(self, endpoint: str, *, isolated: bool) -> None:
        self._endpoint = local_endpoint(endpoint)
        self._isolated = isolated
        self._port = PORT

    def network(self, image: Image) -> OwnNetwork | None:
        """A network of its own for an image that takes no other port; None for one that does."""
        if image.labels.get(BIND_TO_PORT_LABEL) == "true":
            self._port = free_port()
            return None
        address = urlsplit(self._endpoint)
        reachable = () if self._isolated else ((address.hostname or "", address.port or 80),)
        return OwnNetwork(published=(PORT,), reachable=reachable)

    def environment(self) -> dict[str, str]:
        """The variables that tell a container where to listen."""
        return {"SAGEMAKER_BIND_TO_PORT": str(self._port), "SAGEMAKER_SAFE_PORT_RANGE": f"{self._port}-{self._port}"}

    def url(self, container: Container) -> str:
        """Where it is reached."""
        return f"http://127.0.0.1:{container.published.get(PORT, self._port)}"
