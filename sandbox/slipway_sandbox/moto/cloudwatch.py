"""moto's CloudWatch, read and written in this process: a request costs a hundred times as much as the look itself."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from slipway_sandbox.core.calls import Caller

MEMBERS = {
    "AlarmName": "name",
    "AlarmArn": "alarm_arn",
    "AlarmDescription": "description",
    "AlarmConfigurationUpdatedTimestamp": "configuration_updated_timestamp",
    "AlarmRule": "rule",
    "StateValue": "state_value",
    "StateReason": "state_reason",
    "StateReasonData": "state_reason_data",
    "StateUpdatedTimestamp": "state_updated_timestamp",
    "Namespace": "namespace",
    "MetricName": "metric_name",
    "Statistic": "statistic",
    "ExtendedStatistic": "extended_statistic",
    "Period": "period",
    "EvaluationPeriods": "evaluation_periods",
    "DatapointsToAlarm": "datapoints_to_alarm",
    "Threshold": "threshold",
    "ComparisonOperator": "comparison_operator",
    "TreatMissingData": "treat_missing_data",
}
"""What moto calls the plain members of an alarm."""


class CloudWatch:
    """The alarms and metric data of each account and region.

    Args:
        lock: moto's own, which is held meanwhile.
    """

    def __init__(self, lock: threading.RLock) -> None:
        self._lock = lock

    def alarms(self, caller: Caller) -> list[dict[str, Any]]:
        """Every alarm as DescribeAlarms shows it, but for its actions."""
        with self._lock:
            return [shown(alarm) for alarm in self._alarms(caller).values()]

    def set_state(self, caller: Caller, name: str, state: str, reason: str, data: str) -> dict[str, Any] | None:
        """Do as SetAlarmState does; answers the alarm as it is then, or None where it was deleted."""
        with self._lock:
            alarm = self._alarms(caller).get(name)
            if alarm is None:
                return None
            alarm.update_state(reason, data, state)
            return shown(alarm)

    def put_data(self, caller: Caller, namespace: str, data: Sequence[dict[str, Any]]) -> None:
        """Do as PutMetricData does."""
        with self._lock:
            self._backends()[caller.account][caller.region].put_metric_data(namespace, data)

    def _alarms(self, caller: Caller) -> Mapping[str, Any]:
        # To look must not make what is not there.
        regions = self._backends().get(caller.account)
        backend = regions.get(caller.region) if regions is not None else None
        return backend.alarms if backend is not None else {}

    @staticmethod
    def _backends() -> Any:
        return importlib.import_module("moto.cloudwatch.models").cloudwatch_backends


def shown(alarm: Any) -> dict[str, Any]:
    """An alarm of moto's as DescribeAlarms shows it, but for its actions."""
    plain = {name: getattr(alarm, own) for name, own in MEMBERS.items()}
    several = {"Dimensions": _dimensions(alarm), "Metrics": [_query(query) for query in alarm.metric_data_queries]}
    return _present({**plain, **several})


def _query(query: Any) -> dict[str, Any]:
    asked = {"Id": query.id, "Expression": query.expression, "ReturnData": query.return_data}
    if query.metric_stat is None:
        return _present(asked)
    metric, stat = query.metric_stat.metric, query.metric_stat
    named = {"Namespace": metric.namespace, "MetricName": metric.metric_name, "Dimensions": _dimensions(metric)}
    return _present({**asked, "MetricStat": {"Metric": named, "Period": stat.period, "Stat": stat.stat}})


def _dimensions(of: Any) -> list[dict[str, Any]]:
    return [{"Name": each.name, "Value": each.value} for each in of.dimensions]


def _present(members: Mapping[str, Any]) -> dict[str, Any]:
    """Without what was not given."""
    return {name: value for name, value in members.items() if value is not None}
