"""How DescribeEndpoint, ListEndpoints and EventBridge show an endpoint."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from slipway_sandbox.core.events import EventBus
from slipway_sandbox.sagemaker.hosting.deployment import EVERYTHING
from slipway_sandbox.sagemaker.hosting.endpoint import Deployment, Endpoint, VariantStage

PASSED_ON = ("ManagedInstanceScaling", "RoutingConfig")
"""Members of a variant that its summary repeats."""


def summary(endpoint: Endpoint) -> dict[str, Any]:
    """As ListEndpoints shows it."""
    return {
        "EndpointName": endpoint.name,
        "EndpointArn": endpoint.arn,
        "CreationTime": endpoint.created,
        "LastModifiedTime": endpoint.modified,
        "EndpointStatus": endpoint.status.value,
    }


def described(endpoint: Endpoint) -> dict[str, Any]:
    """As DescribeEndpoint shows it."""
    request = endpoint.served.config.request
    return {
        **summary(endpoint),
        "EndpointConfigName": endpoint.served.config.name,
        **_both_kinds(endpoint.served, pending=False),
        "DataCaptureConfig": _capture(endpoint.served.capture),
        "FailureReason": endpoint.failure_reason,
        "LastDeploymentConfig": endpoint.deployment_config,
        "AsyncInferenceConfig": request.get("AsyncInferenceConfig"),
        "ExplainerConfig": request.get("ExplainerConfig"),
        "PendingDeploymentSummary": _pending(endpoint.pending) if endpoint.pending else None,
    }


def tell_state(events: EventBus, endpoint: Endpoint) -> None:
    """Tell EventBridge which status an endpoint has now."""
    _tell(events, endpoint, "SageMaker Endpoint State Change", {})


def tell_deployment(events: EventBus, endpoint: Endpoint) -> None:
    """Tell EventBridge how far an endpoint's update, or the change of its capacity, is."""
    pending = {"PendingDeploymentSummary": _plain(_pending(endpoint.pending))} if endpoint.pending else {}
    if pending or endpoint.served.wanted:
        _tell(events, endpoint, "SageMaker Endpoint Deployment State Change", pending)


def _tell(events: EventBus, endpoint: Endpoint, detail_type: str, more: dict[str, Any]) -> None:
    detail = {
        "EndpointName": endpoint.name,
        "EndpointArn": endpoint.arn,
        "EndpointConfigName": endpoint.served.config.name,
        **_plain(_both_kinds(endpoint.served, pending=False)),
        "EndpointStatus": _screamed(endpoint.status.value),
        "FailureReason": endpoint.failure_reason,
        "CreationTime": _plain(endpoint.created),
        "LastModifiedTime": _plain(endpoint.modified),
        "Tags": endpoint.tags,
        **more,
    }
    told = {name: value for name, value in detail.items() if value is not None}
    events.emit(endpoint.caller, "aws.sagemaker", detail_type, told, [endpoint.arn])


def _screamed(status: str) -> str:
    """A status as events spell it: `InService` is `IN_SERVICE`."""
    return "".join(f"_{letter}" if letter.isupper() else letter for letter in status).lstrip("_").upper()


def _plain(value: Any) -> Any:
    """The value as events have it: moments are milliseconds, and what is not there is left out."""
    match value:
        case datetime():
            return round(value.timestamp() * 1000)
        case dict():
            return {key: _plain(item) for key, item in value.items() if item is not None}  # pyright: ignore[reportUnknownVariableType]
        case list():
            return [_plain(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
        case _:
            return value


def _pending(deployment: Deployment) -> dict[str, Any]:
    return {
        "EndpointConfigName": deployment.config.name,
        **_both_kinds(deployment, pending=True),
        "StartTime": deployment.started,
    }


def _both_kinds(deployment: Deployment, *, pending: bool) -> dict[str, Any]:
    config = deployment.config
    shadows = _variants(deployment, config.shadows, pending=pending)
    return {
        "ProductionVariants": _variants(deployment, config.variants, pending=pending),
        "ShadowProductionVariants": shadows or None,
    }


def _variants(deployment: Deployment, variants: Sequence[dict[str, Any]], *, pending: bool) -> list[dict[str, Any]]:
    return [_variant(deployment, variant, pending=pending) for variant in variants]


def _variant(deployment: Deployment, variant: dict[str, Any], *, pending: bool) -> dict[str, Any]:
    name = variant["VariantName"]
    capacity = deployment.capacities[name]
    wanted = deployment.wanted.get(name, capacity)
    shown: dict[str, Any] = {
        "VariantName": name,
        "CurrentWeight": round(capacity.weight * deployment.percent / EVERYTHING, 4),
        "DesiredWeight": wanted.weight,
        **{member: variant[member] for member in PASSED_ON if member in variant},
    }
    if pending:
        shown |= {member: variant[member] for member in ("InstanceType", "AcceleratorType") if member in variant}
    if capacity.serverless:
        shown["CurrentServerlessConfig"], shown["DesiredServerlessConfig"] = capacity.serverless, wanted.serverless
    else:
        shown["CurrentInstanceCount"] = deployment.instances(name)
        shown["DesiredInstanceCount"] = wanted.instances
    if deployment.fleet:
        shown["DeployedImages"] = [
            {"SpecifiedImage": image.specified, "ResolvedImage": image.resolved, "ResolutionTime": image.at}
            for image in deployment.fleet.all[name].images
        ]
    if deployment.stage:
        stage = {"Status": deployment.stage.value, "StatusMessage": deployment.message, "StartTime": deployment.stage_since}
        shown["VariantStatus"] = [{key: value for key, value in stage.items() if value}]
    elif wanted.instances != capacity.instances:
        way = "out" if wanted.instances > capacity.instances else "in"
        message = f"Scaling {way} desired instance count to {wanted.instances}."
        status = {"Status": VariantStage.updating.value, "StatusMessage": message, "StartTime": deployment.wanted_since}
        shown["VariantStatus"] = [status]
    return shown


def _capture(config: dict[str, Any] | None) -> dict[str, Any] | None:
    if config is None:
        return None
    enabled = config.get("EnableCapture", True)
    return {
        "EnableCapture": enabled,
        "CaptureStatus": "Started" if enabled else "Stopped",
        "CurrentSamplingPercentage": config["InitialSamplingPercentage"],
        "DestinationS3Uri": config["DestinationS3Uri"],
        "KmsKeyId": config.get("KmsKeyId", ""),
    }
