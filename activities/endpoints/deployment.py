"""Pure helpers: DeploymentConfig from the spec; rollout state from DescribeEndpoint."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from activities.endpoints.messages import EndpointPlan
from slipway.app.spec import SPEC_FILE
from slipway.app.strategy import LARGEST_BATCH, PERCENT, SMALLEST_BATCH, Rolling, Strategy
from slipway.findings import Finding, Level
from slipway.progress import EndpointProgress, VariantProgress
from slipway.text import pluralize

if TYPE_CHECKING:
    from types_boto3_sagemaker.type_defs import DescribeEndpointOutputTypeDef

MOVING = frozenset({"Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"})
SHIFTS_NEED = 2
"""The least number of instances for a canary, a linear shift or a batch: its first part is at most half of the fleet."""


class RolloutState(StrEnum):
    """Where an endpoint is on its way to a config. `InService` alone tells nothing: a rollback ends there, too."""

    moving = "moving"
    served = "served"
    rolled_back = "rolled back"
    unclear = "unclear"
    """It serves the config, and AWS gives a reason for a failure."""
    broken = "broken"
    """`Failed`, `UpdateRollbackFailed`, `OutOfService`: a person has to act."""


def is_moving(endpoint: DescribeEndpointOutputTypeDef) -> bool:
    """Whether SageMaker is changing the endpoint."""
    status = endpoint["EndpointStatus"]
    return status in MOVING or (status == "InService" and bool(endpoint.get("PendingDeploymentSummary")))


def is_scaled_now(endpoint: DescribeEndpointOutputTypeDef) -> bool:
    """Whether SageMaker changes the number of instances or their weights, which ends within minutes, and deploys nothing.

    Only a deployment has a `PendingDeploymentSummary` (DescribeEndpoint in the API reference).
    """
    return endpoint["EndpointStatus"] == "Updating" and "PendingDeploymentSummary" not in endpoint


def rollout_state(endpoint: DescribeEndpointOutputTypeDef, config: str) -> RolloutState:
    """The state of an endpoint, judged by the config that it names."""
    if is_moving(endpoint):
        return RolloutState.moving
    if endpoint["EndpointStatus"] != "InService":
        return RolloutState.broken
    if endpoint.get("EndpointConfigName") != config:
        return RolloutState.rolled_back
    return RolloutState.unclear if endpoint.get("FailureReason") else RolloutState.served


class Settled:
    """Whether an endpoint that was updated to a config has come to rest, look after look.

    SageMaker's reads lag behind. A first look that finds another config and no failure may be from before the update, so a
    second one decides.

    Args:
        config: The config that the endpoint was updated to.
    """

    def __init__(self, config: str) -> None:
        self._config = config
        self._looked = False

    def __call__(self, endpoint: DescribeEndpointOutputTypeDef | None) -> bool:
        if endpoint is None:
            return True
        state = rollout_state(endpoint, self._config)
        stale = state is RolloutState.rolled_back and not self._looked and not endpoint.get("FailureReason")
        self._looked = True
        return not stale and state is not RolloutState.moving


def pending_config(endpoint: DescribeEndpointOutputTypeDef) -> str | None:
    """The config that is being deployed; none at rest."""
    return endpoint.get("PendingDeploymentSummary", {}).get("EndpointConfigName")


def is_going_to(endpoint: DescribeEndpointOutputTypeDef, config: str) -> bool:
    """Whether the endpoint serves the config or is on its way to it."""
    return config in {endpoint.get("EndpointConfigName"), pending_config(endpoint)}


def smallest_fleet(endpoint: DescribeEndpointOutputTypeDef) -> int:
    """Instances that the smallest of an endpoint's variants should have now; none where there are no instances.

    Each variant shifts its own part, so the smallest one decides whether there is one.
    """
    variants = endpoint.get("ProductionVariants", [])
    return min((each.get("DesiredInstanceCount", each.get("CurrentInstanceCount", 0)) for each in variants), default=0)


def is_serverless(endpoint: DescribeEndpointOutputTypeDef) -> bool:
    """Whether an endpoint has no instances of its own. SageMaker has deployment guardrails for the others only."""
    return any("CurrentServerlessConfig" in variant for variant in endpoint.get("ProductionVariants", []))


def is_at_once(strategy: Strategy, instances: int) -> bool:
    """Whether a canary, linear or rolling strategy must become all-at-once, because there are too few instances."""
    return bool(strategy.kind) and instances < SHIFTS_NEED


def deployment_config(strategy: Strategy, instances: int) -> dict[str, Any]:
    """The `DeploymentConfig` of UpdateEndpoint: blue/green, which keeps the old fleet for a rollback, or rolling.

    Args:
        strategy: The spec's.
        instances: Instances of the smallest variant.
    """
    if strategy.rolling and not is_at_once(strategy, instances):
        policy = {"RollingUpdatePolicy": _rolling_policy(strategy, strategy.rolling)}
    else:
        policy = {"BlueGreenUpdatePolicy": _blue_green_policy(strategy, instances)}
    alarms = [{"AlarmName": name} for name in strategy.alarms]
    return policy | ({"AutoRollbackConfiguration": {"Alarms": alarms}} if alarms else {})


def config_of_way_back(strategy: Strategy, instances: int) -> dict[str, Any]:
    """The `DeploymentConfig` that restores a former config: empty for all at once; batches where the fleet cannot be doubled.

    Without waits and alarms: the alarms may still be in ALARM for the model that has to go.

    Args:
        strategy: The spec's.
        instances: Instances of the smallest variant. They may have changed since, so that the spec's batches do not fit.
    """
    rolling = strategy.rolling
    if rolling is None or is_at_once(strategy, instances):
        return {}
    return {"RollingUpdatePolicy": {"MaximumBatchSize": _size_that_fits(rolling, instances), "WaitIntervalInSeconds": 0}}


def _rolling_policy(strategy: Strategy, rolling: Rolling) -> dict[str, Any]:
    policy = {
        "MaximumBatchSize": _size(rolling.percent, rolling.instances),
        "WaitIntervalInSeconds": int(rolling.wait.total_seconds()),
        "MaximumExecutionTimeoutInSeconds": int(strategy.timeout.total_seconds()),
    }
    if rolling.rollback_percent or rolling.rollback_instances:
        policy["RollbackMaximumBatchSize"] = _size(rolling.rollback_percent, rolling.rollback_instances)
    return policy


def _size_that_fits(rolling: Rolling, fleet: int) -> dict[str, Any]:
    percent = PERCENT * (rolling.instances or 0) / fleet
    if rolling.percent or SMALLEST_BATCH <= percent <= LARGEST_BATCH:
        return _size(rolling.percent, rolling.instances)
    return _size(LARGEST_BATCH if percent > LARGEST_BATCH else SMALLEST_BATCH, None)


def _size(percent: int | None, instances: int | None) -> dict[str, Any]:
    """A `CapacitySize`: one of the two is given."""
    return {"Type": "INSTANCE_COUNT", "Value": instances} if instances else {"Type": "CAPACITY_PERCENT", "Value": percent}


def _blue_green_policy(strategy: Strategy, instances: int) -> dict[str, Any]:
    return {
        "TrafficRoutingConfiguration": _routing(strategy, instances),
        "TerminationWaitInSeconds": int(strategy.bake.total_seconds()),
        # The spec's rules make this longer than all waits together.
        "MaximumExecutionTimeoutInSeconds": int(strategy.timeout.total_seconds()),
    }


def _routing(strategy: Strategy, instances: int) -> dict[str, Any]:
    if instances >= SHIFTS_NEED and strategy.canary:
        return {
            "Type": "CANARY",
            "WaitIntervalInSeconds": int(strategy.canary.wait.total_seconds()),
            "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": strategy.canary.percent},
        }
    if instances >= SHIFTS_NEED and strategy.linear:
        return {
            "Type": "LINEAR",
            "WaitIntervalInSeconds": int(strategy.linear.wait.total_seconds()),
            "LinearStepSize": {"Type": "CAPACITY_PERCENT", "Value": strategy.linear.percent},
        }
    return {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}


def strategy_fallbacks(plan: EndpointPlan, types: Sequence[str], instances: int) -> list[Finding]:
    """Where AWS would silently do something else than the spec says.

    Args:
        plan: The rollout.
        types: The instance types of the new fleet; none of a serverless endpoint.
        instances: Instances of the smallest variant.
    """
    strategy, endpoint = plan.strategy, plan.target.endpoint
    careful = strategy.kind or strategy.bake or strategy.alarms
    if not types:
        what = f"{endpoint} has no instances: SageMaker updates it all at once, without a bake and without alarms"
        why = "SageMaker shifts traffic step by step between fleets of instances only"
        remedy = "take the strategy away, so that the spec says what happens"
        return [_fallback(what, why, remedy)] if careful or strategy.metrics else []
    found: list[Finding] = []
    if is_at_once(strategy, instances):
        part = f"canary of {strategy.canary.percent} %" if strategy.canary else "linear shift" if strategy.linear else "batch"
        what = f"{endpoint} has {pluralize(instances, 'instance')}, too few for a {part}: the update is all at once"
        why = "all clients get the new model at the same moment"
        found.append(_fallback(what, why, f"give it {SHIFTS_NEED} instances or more, or take the strategy away"))
    old = next((each for each in types if each.startswith("ml.inf1.")), None)
    if old:
        what = f"SageMaker updates {old} all at once and without a bake, whatever the strategy says"
        found.append(_fallback(what, "all clients get the new model at the same moment", "use another instance type"))
    if careful and not strategy.alarms:
        what = "the strategy names no alarms: SageMaker rolls back by itself only on failures of its own"
        why = "a model that answers wrongly or slowly is kept"
        found.append(_fallback(what, why, "name alarms in spec.rollout.strategy.alarms"))
    if strategy.metrics and not strategy.alarms:
        what = "the strategy names no alarms: where a metric breaches its rule, the update has to end first"
        why = "SageMaker stops an update for an alarm only"
        found.append(_fallback(what, why, "name an alarm in spec.rollout.strategy.alarms"))
    return found


def _fallback(what: str, why: str, remedy: str) -> Finding:
    return Finding(level=Level.warn, what=what, where=f"{SPEC_FILE}: spec.rollout.strategy", why=why, remedy=remedy)


def endpoint_progress(endpoint: DescribeEndpointOutputTypeDef) -> EndpointProgress:
    """What a watcher sees of the endpoint."""
    pending = endpoint.get("PendingDeploymentSummary", {})
    variants: Any = pending.get("ProductionVariants") or endpoint.get("ProductionVariants", [])
    return EndpointProgress(
        status=endpoint["EndpointStatus"],
        serving=endpoint.get("EndpointConfigName"),
        pending=pending.get("EndpointConfigName"),
        variants=tuple(
            VariantProgress(
                name=variant.get("VariantName", ""),
                status=", ".join(status.get("Status", "") for status in variant.get("VariantStatus", [])),
                weight=variant.get("CurrentWeight"),
                desired_weight=variant.get("DesiredWeight"),
                instances=variant.get("CurrentInstanceCount"),
                desired_instances=variant.get("DesiredInstanceCount"),
            )
            for variant in variants
        ),
    )
