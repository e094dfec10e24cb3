"""The alarms that target tracking makes in CloudWatch, which people see there beside their own."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from slipway_sandbox.autoscaling.targets import Policy
from slipway_sandbox.autoscaling.tracking import IN_AFTER, INVOCATIONS, LOW_SHARE, OUT_AFTER, variant_of
from slipway_sandbox.core.calls import Caller
from slipway_sandbox.core.world import World

log = logging.getLogger(__name__)


def put_alarms(world: World, caller: Caller, resource: str, policy: Policy) -> list[dict[str, str]]:
    """Make the two alarms of a policy on a variant's invocations, or set them anew; none for another metric."""
    place = variant_of(resource)
    specification = policy.configuration.get("PredefinedMetricSpecification", {})
    if place is None or specification.get("PredefinedMetricType") != INVOCATIONS:
        return []
    number = policy.alarms[0]["AlarmName"][-36:] if policy.alarms else str(uuid.uuid4())
    target = policy.configuration["TargetValue"]
    sides: Sequence[tuple[str, str, int, float]] = (
        ("AlarmHigh", "GreaterThanThreshold", OUT_AFTER, target),
        ("AlarmLow", "LessThanThreshold", IN_AFTER, target * LOW_SHARE),
    )
    made: list[dict[str, str]] = []
    client = world.client("cloudwatch", caller)
    for side, comparison, periods, threshold in sides:
        name = f"TargetTracking-{resource}-{side}-{number}"
        client.put_metric_alarm(
            **_alarm(name, place, policy), ComparisonOperator=comparison, EvaluationPeriods=periods, Threshold=threshold
        )
        made.append({"AlarmName": name, "AlarmARN": f"arn:aws:cloudwatch:{caller.region}:{caller.account}:alarm:{name}"})
    return made


def _alarm(name: str, place: tuple[str, str], policy: Policy) -> dict[str, Any]:
    endpoint, variant = place
    return {
        "AlarmName": name,
        "AlarmDescription": f"DO NOT EDIT OR DELETE. For TargetTrackingScaling policy {policy.arn}.",
        "AlarmActions": [policy.arn],
        "Namespace": "AWS/SageMaker",
        "MetricName": "InvocationsPerInstance",
        "Dimensions": [{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": variant}],
        "Statistic": "Sum",
        "Period": 60,
    }


def delete_alarms(world: World, caller: Caller, alarms: Sequence[dict[str, str]]) -> None:
    """Take a policy's alarms away. Those that are gone already are nothing to do."""
    if not alarms:
        return
    try:
        world.client("cloudwatch", caller).delete_alarms(AlarmNames=[alarm["AlarmName"] for alarm in alarms])
    except (ClientError, BotoCoreError) as error:
        log.info("alarms of a scaling policy could not be deleted: %s", error)
