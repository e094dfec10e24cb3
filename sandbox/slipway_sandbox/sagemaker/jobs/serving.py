"""What a transform job serves, and where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from slipway_sandbox.containers.container import Container, OwnNetwork
from slipway_sandbox.roles.credentials import local_endpoint
from slipway_sandbox.sagemaker.hosting.models import Model
from slipway_sandbox.sagemaker.jobs.contract import not_implemented

PORT = 8080
"""Where containers listen by SageMaker's contract."""
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


def serving_network(endpoint: str, *, isolated: bool) -> OwnNetwork:
    """Where a container listens: a network in which 8080 is its own.

    Args:
        endpoint: The sandbox's own address, which the container may call.
        isolated: Whether it may not.
    """
    address = urlsplit(local_endpoint(endpoint))
    reachable = () if isolated else ((address.hostname or "", address.port or 80),)
    return OwnNetwork(published=(PORT,), reachable=reachable)


def url_of(container: Container) -> str:
    """Where a container is reached."""
    return f"http://127.0.0.1:{container.published[PORT]}"
