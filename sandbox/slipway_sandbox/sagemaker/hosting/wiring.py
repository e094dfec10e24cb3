"""Puts SageMaker's hosting together: models, endpoint configurations, endpoints, their fleets, metrics, alarms and runtime."""

from __future__ import annotations

from collections.abc import Callable
from wsgiref.types import WSGIApplication

from slipway_sandbox.autoscaling import ScalableTargets
from slipway_sandbox.autoscaling.room import Variants
from slipway_sandbox.containers.runtime import ContainerRuntime
from slipway_sandbox.core.calls import Caller
from slipway_sandbox.core.world import Room, World
from slipway_sandbox.moto.cloudwatch import CloudWatch
from slipway_sandbox.protocol.operations import Signature
from slipway_sandbox.roles.credentials import CredentialsEndpoint
from slipway_sandbox.sagemaker.hosting.alarms import AlarmWatch
from slipway_sandbox.sagemaker.hosting.configs import EndpointConfigRoom
from slipway_sandbox.sagemaker.hosting.dials import DialRoom
from slipway_sandbox.sagemaker.hosting.endpoints import EndpointRoom
from slipway_sandbox.sagemaker.hosting.fleet import ContainerFleets
from slipway_sandbox.sagemaker.hosting.metrics import Metrics
from slipway_sandbox.sagemaker.hosting.model_containers import Packages
from slipway_sandbox.sagemaker.hosting.models import ModelRoom
from slipway_sandbox.sagemaker.hosting.rollout import RolloutContext
from slipway_sandbox.sagemaker.hosting.runtime import RUNTIME_PREFIX, Runtime
from slipway_sandbox.sagemaker.quotas import SageMakerQuotas
from slipway_sandbox.sagemaker.tags import TagRoom


class Hosting:
    """The rooms and paths of SageMaker's hosting.

    Args:
        world: What all rooms share.
        containers: Runs the serving containers.
        roles: Gives them credentials.
        packages: The model registry.
        tags: The tags of all SageMaker resources.
        quotas: How many resources and instances an account may have.
        targets: The variants that Application Auto Scaling looks after.
        cloudwatch: Keeps alarms and metrics.
    """

    def __init__(
        self,
        world: World,
        containers: ContainerRuntime,
        roles: CredentialsEndpoint,
        packages: Packages,
        tags: TagRoom,
        quotas: SageMakerQuotas,
        targets: ScalableTargets,
        cloudwatch: CloudWatch,
    ) -> None:
        self._world = world
        self._metrics = Metrics(cloudwatch)
        self.alarms = AlarmWatch(world, self._metrics, cloudwatch)
        """For those who make alarms and put metric data."""
        context = RolloutContext(
            clock=world.clock,
            lock=world.lock("sagemaker"),
            fleets=ContainerFleets(world, containers, roles),
            alarms=self.alarms,
            events=world.events,
        )
        dials = DialRoom(world)
        models = ModelRoom(world, packages, tags, quotas)
        self.models = models.models
        """For transform jobs, which serve them too."""
        configs = EndpointConfigRoom(world, models, tags, quotas)
        self._endpoints = EndpointRoom(world, configs, context, dials, tags, quotas, targets)
        self.rooms: list[Room] = [models, configs, self._endpoints, dials]
        self.variants: Variants = self._endpoints
        """For Application Auto Scaling."""

    def paths(self, caller_of: Callable[[Signature | None], Caller]) -> dict[str, WSGIApplication]:
        """The application for the runtime's paths.

        Args:
            caller_of: Finds account and region by a request's signature.
        """
        return {RUNTIME_PREFIX: Runtime(self._world, self._endpoints.endpoints, self._metrics, caller_of)}
