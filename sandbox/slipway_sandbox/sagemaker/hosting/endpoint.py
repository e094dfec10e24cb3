"""One endpoint's state."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from slipway_sandbox.core.calls import Caller
from slipway_sandbox.sagemaker.hosting.configs import EndpointConfig
from slipway_sandbox.sagemaker.hosting.deployment import EVERYTHING
from slipway_sandbox.sagemaker.hosting.fleet import Fleet
from slipway_sandbox.sagemaker.hosting.routing import Route, Router, Sampler, Shadow

LONGEST_REASON = 1024


class EndpointStatus(StrEnum):
    """The values of AWS's `EndpointStatus` that the sandbox uses."""

    creating = "Creating"
    updating = "Updating"
    rolling_back = "RollingBack"
    in_service = "InService"
    system_updating = "SystemUpdating"
    deleting = "Deleting"
    failed = "Failed"
    update_rollback_failed = "UpdateRollbackFailed"


SERVING = {
    EndpointStatus.in_service,
    EndpointStatus.updating,
    EndpointStatus.rolling_back,
    EndpointStatus.system_updating,
    EndpointStatus.update_rollback_failed,
}
"""An endpoint in one of these answers requests."""
BUSY = {
    EndpointStatus.creating,
    EndpointStatus.updating,
    EndpointStatus.rolling_back,
    EndpointStatus.system_updating,
    EndpointStatus.deleting,
}
"""An endpoint in one of these can be neither updated nor deleted."""


class VariantStage(StrEnum):
    """AWS's `VariantStatus`."""

    creating = "Creating"
    updating = "Updating"
    deleting = "Deleting"
    activating_traffic = "ActivatingTraffic"
    baking = "Baking"


@dataclass(frozen=True)
class Capacity:
    """A variant's weight and size, as they are now; they start as the configuration says and can be changed."""

    weight: float
    instances: int
    serverless: dict[str, Any] | None = None

    @classmethod
    def of(cls, variant: dict[str, Any]) -> Capacity:
        """What the endpoint configuration asks for."""
        weight, instances = variant.get("InitialVariantWeight", 1.0), variant.get("InitialInstanceCount", 1)
        return cls(weight, instances, variant.get("ServerlessConfig"))


def initial_capacities(config: EndpointConfig) -> dict[str, Capacity]:
    """What a configuration asks for, by variant, shadow variants too."""
    return {variant["VariantName"]: Capacity.of(variant) for variant in [*config.variants, *config.shadows]}


@dataclass
class Deployment:
    """A configuration that is served, or is about to be.

    Attributes:
        fleet: What runs, once it is up.
        percent: Its share of the endpoint's traffic.
        stage: What happens to its variants, while an update is under way.
        message: The stage in words.
        stage_since: When that began.
        rolling: Its instances come and go with its share, as in a rolling update.
        capture: The data capture as DescribeEndpoint shows it, which an update may retain.
        wanted: What its variants are about to get, while UpdateEndpointWeightsAndCapacities is at work.
        wanted_since: When that began.
    """

    config: EndpointConfig
    capacities: dict[str, Capacity]
    started: datetime
    fleet: Fleet | None = None
    percent: float = 0.0
    stage: VariantStage | None = VariantStage.creating
    message: str = ""
    stage_since: datetime | None = None
    rolling: bool = False
    capture: dict[str, Any] | None = None
    wanted: dict[str, Capacity] = field(default_factory=dict[str, Capacity])
    wanted_since: datetime | None = None

    def enter(self, stage: VariantStage | None, message: str, now: datetime) -> None:
        """Go on to the next stage, or to none."""
        self.stage, self.message, self.stage_since = stage, message, now

    def instances(self, variant: str) -> int:
        """The variant's instances that are there now."""
        if self.fleet is None:
            return 0
        wanted = self.capacities[variant].instances
        return math.ceil(wanted * self.percent / EVERYTHING) if self.rolling else wanted

    def routes(self) -> list[Route]:
        """Its variants, each with its part of this deployment's share."""
        if self.fleet is None or self.percent <= 0:
            return []
        total = sum(self.capacities[name].weight for name in self.fleet.servers) or 1.0
        return [
            Route(
                name,
                self.config.name,
                server,
                self.percent * self.capacities[name].weight / total,
                max(1, self.instances(name)),
                self._shadow(self.capacities[name].weight),
            )
            for name, server in self.fleet.servers.items()
        ]

    def resize(self, capacities: dict[str, Capacity]) -> None:
        """Put other weights and sizes into effect."""
        self.capacities, self.wanted = capacities, {}
        for name, server in self.fleet.all.items() if self.fleet else ():
            serverless = capacities[name].serverless
            server.set_limit(serverless["MaxConcurrency"] if serverless else None)

    def _shadow(self, weight: float) -> Shadow | None:
        """The shadow variant, which gets its weight's share of what the production variant's weight stands for."""
        if self.fleet is None or not self.fleet.shadows:
            return None
        name, server = next(iter(self.fleet.shadows.items()))
        sampler = Sampler(self.capacities[name].weight / weight if weight else 0.0)
        return Shadow(name, server, max(1, self.instances(name)), sampler)


@dataclass
class Endpoint:
    """An endpoint."""

    name: str
    arn: str
    created: datetime
    caller: Caller
    served: Deployment
    """What it serves, or what it is created with."""
    status: EndpointStatus = EndpointStatus.creating
    pending: Deployment | None = None
    modified: datetime = field(init=False)
    failure_reason: str | None = None
    deployment_config: dict[str, Any] | None = None
    tags: dict[str, str] = field(default_factory=dict[str, str])
    """Those that it was created with, for its events."""
    router: Router = field(default_factory=Router)
    halted: threading.Event = field(default_factory=threading.Event)
    """Set when the endpoint is gone, for threads that still work on it."""

    def __post_init__(self) -> None:
        self.modified = self.created

    def enter(self, status: EndpointStatus, now: datetime, reason: str | None = None) -> None:
        """Go on to another status; the reason of an earlier failure is forgotten."""
        self.status, self.modified = status, now
        self.failure_reason = reason[:LONGEST_REASON] if reason else None

    def split(self, new_percent: float) -> None:
        """Give the pending deployment its share of the traffic, and the one served until now the rest."""
        self.served.percent = EVERYTHING - new_percent
        if self.pending:
            self.pending.percent = new_percent
        self.router.set([*self.served.routes(), *(self.pending.routes() if self.pending else ())])
