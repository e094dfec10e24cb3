"""Puts SageMaker's hosting together: models, endpoint configurations, endpoints, their fleets, metrics, alarms and runtime."""

from __future__ import annotations

from collections.abc import Callable
from wsgiref.types import WSGIApplication

from slipway_sandbox.calls import Caller
from slipway_sandbox.containers import ContainerRuntime
from slipway_sandbox.operations import Signature
from slipway_sandbox.sagemaker.hosting.alarms import AlarmWatch
from slipway_sandbox.sagemaker.hosting.configs import EndpointConfigRoom
from slipway_sandbox.sagemaker.hosting.dials import DIALS_PREFIX, Dials
from slipway_sandbox.sagemaker.hosting.endpoints import EndpointRoom
from slipway_sandbox.sagemaker.hosting.fleet import ContainerFleets
from slipway_sandbox.sagemaker.hosting.metrics import Metrics
from slipway_sandbox.sagemaker.hosting.models import ModelRoom, Packages
from slipway_sandbox.sagemaker.hosting.rollout import Workshop
from slipway_sandbox.sagemaker.hosting.runtime import RUNTIME_PREFIX, Runtime
from slipway_sandbox.sagemaker.tags import TagRoom
from slipway_sandbox.world import Room, World


class Hosting:
    """The rooms and paths of SageMaker's hosting.

    Args:
        world: What all rooms share.
        containers: Runs the serving containers.
        packages: The model registry.
        tags: The tags of all SageMaker resources.
    """

    def __init__(self, world: World, containers: ContainerRuntime, packages: Packages, tags: TagRoom) -> None:
        self._world = world
        self._metrics = Metrics(world)
        self._dials = Dials()
        workshop = Workshop(
            clock=world.clock,
            lock=world.lock("sagemaker"),
            fleets=ContainerFleets(world, containers),
            alarms=AlarmWatch(world, self._metrics),
        )
        self._models = ModelRoom(world, packages, tags)
        self.models = self._models.models
        configs = EndpointConfigRoom(world, self._models, tags)
        self._endpoints = EndpointRoom(world, configs, workshop, self._dials, tags)
        self.rooms: list[Room] = [self._models, configs, self._endpoints]

    def paths(self, caller_of: Callable[[Signature | None], Caller]) -> dict[str, WSGIApplication]:
        """The applications for whole paths: the runtime, and the dials.

        Args:
            caller_of: Finds account and region by a request's signature.
        """
        runtime = Runtime(self._world, self._endpoints.endpoints, self._metrics, caller_of)
        return {RUNTIME_PREFIX: runtime, DIALS_PREFIX: self._dials}
