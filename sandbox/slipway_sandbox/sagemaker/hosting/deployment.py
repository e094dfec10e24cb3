"""What an update is to do, step by step: SageMaker's deployment configuration, checked and read.

The bounds are those of the SageMaker API reference (UpdateEndpoint, BlueGreenUpdatePolicy, RollingUpdatePolicy) and of
"Deployment guardrails" in the developer guide.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from slipway_sandbox.core.errors import validation_error

EVERYTHING = 100.0
LARGEST_CANARY = 50
SMALLEST_STEP, LARGEST_STEP = 10, 50
SMALLEST_BATCH, LARGEST_BATCH = 5, 50
DEFAULT_TIMEOUT = 8 * 3600
"""Seconds after which an update is given up where it does not say."""


@dataclass(frozen=True)
class Shift:
    """One step of the traffic: the new fleet's share in percent, and how long it is watched there, in seconds."""

    percent: float
    wait: float


@dataclass(frozen=True)
class Plan:
    """The steps of one update.

    Attributes:
        shifts: The traffic's steps; the last one is 100 %.
        bake: Seconds that both fleets run on after the last step.
        timeout: Seconds after which the update is rolled back.
        alarms: Names of the alarms that roll the update back.
        rolling: The old fleet shrinks with each step.
        rollback_percent: How much of the traffic goes back with each step of a rolling update's rollback.
    """

    shifts: tuple[Shift, ...]
    bake: float = 0.0
    timeout: float = DEFAULT_TIMEOUT
    alarms: tuple[str, ...] = ()
    rolling: bool = False
    rollback_percent: float = EVERYTHING


def plan_of(
    config: dict[str, Any] | None, new: Sequence[dict[str, Any]], old: Sequence[dict[str, Any]], *, marketplace: bool = False
) -> Plan:
    """The plan of an update.

    Args:
        config: The request's `DeploymentConfig`, parsed; None for all at once.
        new: The production variants of the new endpoint configuration.
        old: Those of the configuration that is served now.
        marketplace: Whether a container comes from AWS Marketplace.

    Raises:
        AwsError: `ValidationException`, for a configuration that SageMaker refuses.
    """
    if not config:
        return Plan((Shift(EVERYTHING, 0),))
    _require_same_names(new, old)
    blue_green, rolling = config.get("BlueGreenUpdatePolicy"), config.get("RollingUpdatePolicy")
    if blue_green and rolling:
        raise validation_error("You can specify only one of BlueGreenUpdatePolicy and RollingUpdatePolicy in DeploymentConfig.")
    alarms = tuple(alarm["AlarmName"] for alarm in config.get("AutoRollbackConfiguration", {}).get("Alarms", ()))
    if rolling:
        return _rolling(rolling, new, alarms)
    if blue_green:
        return _blue_green(blue_green, new, alarms, marketplace=marketplace)
    return Plan((Shift(EVERYTHING, 0),), alarms=alarms)


def _blue_green(
    policy: dict[str, Any], variants: Sequence[dict[str, Any]], alarms: tuple[str, ...], *, marketplace: bool
) -> Plan:
    routing = policy["TrafficRoutingConfiguration"]
    kind, wait = routing["Type"], routing["WaitIntervalInSeconds"]
    _require_fields_of(kind, routing)
    bake = policy.get("TerminationWaitInSeconds", 0)
    if marketplace or _falls_back(kind, variants):
        return Plan((Shift(EVERYTHING, 0),), alarms=alarms)
    match kind:
        case "CANARY":
            shifts = _canary(routing["CanarySize"], wait, variants)
        case "LINEAR":
            percent = _percent("LinearStepSize", routing["LinearStepSize"], variants, SMALLEST_STEP, LARGEST_STEP)
            shifts = _steps(percent, wait)
        case _:
            shifts = (Shift(EVERYTHING, 0),)
    timeout = _timeout(policy, sum(shift.wait for shift in shifts) + bake)
    return Plan(shifts, bake, timeout, alarms)


def _rolling(policy: dict[str, Any], variants: Sequence[dict[str, Any]], alarms: tuple[str, ...]) -> Plan:
    if len(variants) > 1:
        raise validation_error("RollingUpdatePolicy is not supported for endpoints with multiple production variants.")
    if "ServerlessConfig" in variants[0]:
        raise validation_error("RollingUpdatePolicy is not supported for serverless endpoints.")
    percent = _percent("MaximumBatchSize", policy["MaximumBatchSize"], variants, SMALLEST_BATCH, LARGEST_BATCH)
    back = EVERYTHING
    if "RollbackMaximumBatchSize" in policy:
        size = policy["RollbackMaximumBatchSize"]
        back = _percent("RollbackMaximumBatchSize", size, variants, SMALLEST_BATCH, int(EVERYTHING))
    shifts = _steps(percent, policy["WaitIntervalInSeconds"])
    # A batch is watched before the next one, the last batch before the update ends.
    shifts = (*shifts[:-1], Shift(EVERYTHING, policy["WaitIntervalInSeconds"]))
    timeout = _timeout(policy, sum(shift.wait for shift in shifts))
    return Plan(shifts, 0, timeout, alarms, rolling=True, rollback_percent=back)


def _canary(size: dict[str, Any], wait: float, variants: Sequence[dict[str, Any]]) -> tuple[Shift, ...]:
    percent = _percent("CanarySize", size, variants, 0, LARGEST_CANARY)
    return (Shift(percent, wait), Shift(EVERYTHING, 0))


def _steps(percent: float, wait: float) -> tuple[Shift, ...]:
    count = math.ceil(round(EVERYTHING / percent, 6))
    shares = [min(EVERYTHING, percent * number) for number in range(1, count + 1)]
    return tuple(Shift(share, wait if share < EVERYTHING else 0) for share in shares)


def _percent(field: str, size: dict[str, Any], variants: Sequence[dict[str, Any]], least: int, most: int) -> float:
    """A capacity size as the percentage of the smallest variant; the bounds hold for each variant."""
    smallest = min(variant.get("InitialInstanceCount", 1) for variant in variants)
    by_count = size["Type"] == "INSTANCE_COUNT"
    if by_count and any("ServerlessConfig" in variant for variant in variants):
        raise validation_error(f"{field} of a serverless variant must be a CAPACITY_PERCENT; it has no instances to count.")
    percent = EVERYTHING * size["Value"] / smallest if by_count else float(size["Value"])
    if least <= percent <= most:
        return percent
    shown = f"{size['Value']} of {smallest} instances" if by_count else f"{size['Value']}%"
    bounds = f"between {least}% and {most}%" if least else f"less than or equal to {most}%"
    raise validation_error(f"{field} must be {bounds} of the variant's total instance count, but it is {shown}.")


def _timeout(policy: dict[str, Any], waits: float) -> float:
    timeout = policy.get("MaximumExecutionTimeoutInSeconds", DEFAULT_TIMEOUT)
    if timeout <= waits:
        raise validation_error(
            f"MaximumExecutionTimeoutInSeconds ({timeout}) must be larger than the deployment's total waiting time ({waits:g})."
        )
    return timeout


def _require_fields_of(kind: str, routing: dict[str, Any]) -> None:
    """A routing type's own size has to be there, and no other's."""
    owner = {"CanarySize": "CANARY", "LinearStepSize": "LINEAR"}
    for field, needs in owner.items():
        if kind == needs and field not in routing:
            raise validation_error(f"{field} is required when the traffic routing type is {kind}.")
        if kind != needs and field in routing:
            raise validation_error(f"{field} is only supported when the traffic routing type is {needs}, not {kind}.")


def _require_same_names(new: Sequence[dict[str, Any]], old: Sequence[dict[str, Any]]) -> None:
    wanted, served = sorted(v["VariantName"] for v in new), sorted(v["VariantName"] for v in old)
    if wanted != served:
        raise validation_error(
            "A deployment configuration requires the new endpoint configuration to have the same variant names as the old one; "
            f"old: {served}, new: {wanted}."
        )


def _falls_back(kind: str, variants: Sequence[dict[str, Any]]) -> bool:
    """Whether SageMaker silently shifts all at once, without a bake.

    Inf1 and Elastic Inference are on AWS's list of exclusions, as AWS Marketplace is. A variant of one instance cannot give half
    of itself.
    """
    excluded = any(v.get("InstanceType", "").startswith("ml.inf1.") or "AcceleratorType" in v for v in variants)
    single = kind != "ALL_AT_ONCE" and any(v.get("InitialInstanceCount") == 1 for v in variants)
    return excluded or single
