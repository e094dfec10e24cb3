"""One endpoint's state, and how DescribeEndpoint shows it."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from slipway_sandbox.calls import Caller
from slipway_sandbox.sagemaker.hosting.configs import EndpointConfig
from slipway_sandbox.sagemaker.hosting.deployment import EVERYTHING
from slipway_sandbox.sagemaker.hosting.fleet import Fleet
from slipway_sandbox.sagemaker.hosting.routing import Route, Router

LONGEST_REASON = 1024


class EndpointStatus(StrEnum):
    """AWS's `EndpointStatus`, as far as the sandbox comes to it."""

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
    """A variant's weight and instances, as they are now; they start as the configuration says and can be changed."""

    weight: float
    instances: int

    @classmethod
    def of(cls, variant: dict[str, Any]) -> Capacity:
        """What the endpoint configuration asks for."""
        return cls(variant.get("InitialVariantWeight", 1.0), variant.get("InitialInstanceCount", 1))


@dataclass
class Deployment:
    """A configuration that is served, or is about to be.

    Attributes:
        percent: Its share of the endpoint's traffic.
        stage: What happens to its variants, while an update is under way.
        message: The stage in words.
        stage_since: When that began.
        rolling: Its instances come and go with its share, as in a rolling update.
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
        total = sum(capacity.weight for capacity in self.capacities.values()) or 1.0
        return [
            Route(name, self.config.name, server, self.percent * self.capacities[name].weight / total)
            for name, server in self.fleet.servers.items()
        ]


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
    router: Router = field(default_factory=Router)
    halted: threading.Event = field(default_factory=threading.Event)
    """Set when the endpoint is gone, for whoever still works on it."""

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

    def summary(self) -> dict[str, Any]:
        """As ListEndpoints shows it."""
        return {
            "EndpointName": self.name,
            "EndpointArn": self.arn,
            "CreationTime": self.created,
            "LastModifiedTime": self.modified,
            "EndpointStatus": self.status.value,
        }

    def describe(self) -> dict[str, Any]:
        """As DescribeEndpoint shows it."""
        request = self.served.config.request
        return {
            **self.summary(),
            "EndpointConfigName": self.served.config.name,
            "ProductionVariants": list(_variants(self.served)),
            "DataCaptureConfig": _capture(request.get("DataCaptureConfig")),
            "FailureReason": self.failure_reason,
            "LastDeploymentConfig": self.deployment_config,
            "AsyncInferenceConfig": request.get("AsyncInferenceConfig"),
            "ExplainerConfig": request.get("ExplainerConfig"),
            "PendingDeploymentSummary": _pending(self.pending) if self.pending else None,
        }


def _pending(deployment: Deployment) -> dict[str, Any]:
    types = {variant["VariantName"]: variant.get("InstanceType") for variant in deployment.config.variants}
    variants = [{**shown, "InstanceType": types[shown["VariantName"]]} for shown in _variants(deployment)]
    return {
        "EndpointConfigName": deployment.config.name,
        "ProductionVariants": variants,
        "StartTime": deployment.started,
    }


def _variants(deployment: Deployment) -> Iterable[dict[str, Any]]:
    for variant in deployment.config.variants:
        yield _variant(deployment, variant)


def _variant(deployment: Deployment, variant: dict[str, Any]) -> dict[str, Any]:
    name = variant["VariantName"]
    capacity = deployment.capacities[name]
    shown: dict[str, Any] = {
        "VariantName": name,
        "CurrentWeight": round(capacity.weight * deployment.percent / EVERYTHING, 4),
        "DesiredWeight": capacity.weight,
    }
    if "ServerlessConfig" in variant:
        shown["CurrentServerlessConfig"] = shown["DesiredServerlessConfig"] = variant["ServerlessConfig"]
    else:
        shown["CurrentInstanceCount"] = deployment.instances(name)
        shown["DesiredInstanceCount"] = capacity.instances
    if deployment.fleet:
        image = deployment.fleet.servers[name].image
        shown["DeployedImages"] = [
            {"SpecifiedImage": image.specified, "ResolvedImage": image.resolved, "ResolutionTime": image.at}
        ]
    if deployment.stage:
        stage = {"Status": deployment.stage.value, "StatusMessage": deployment.message, "StartTime": deployment.stage_since}
        shown["VariantStatus"] = [{key: value for key, value in stage.items() if value}]
    return shown


def _capture(config: dict[str, Any] | None) -> dict[str, Any] | None:
    if config is None:
        return None
    enabled = config.get("EnableCapture", False)
    return {
        "EnableCapture": enabled,
        "CaptureStatus": "Started" if enabled else "Stopped",
        "CurrentSamplingPercentage": config["InitialSamplingPercentage"],
        "DestinationS3Uri": config["DestinationS3Uri"],
        "KmsKeyId": config.get("KmsKeyId", ""),
    }
