"""Alarms of an account on the local AWS, in the state that a test says."""

from __future__ import annotations

from typing import Any


def put_alarm(cloudwatch: Any, name: str, metric: str, state: str = "OK") -> None:
    """Make an alarm, or put it into another state, where it stays: no number comes in.

    Args:
        cloudwatch: The account's client.
        name: The alarm's.
        metric: The name of a metric that nobody else writes.
        state: `OK` or `ALARM`.
    """
    cloudwatch.put_metric_alarm(
        AlarmName=name,
        Namespace="Slipway/Tests",
        MetricName=metric,
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
        TreatMissingData="ignore",
    )
    cloudwatch.set_alarm_state(AlarmName=name, StateValue=state, StateReason="the test says so")
