"""What moto's CloudWatch lacks.

PutCompositeAlarm, which moto keeps and has no name for; DescribeAlarmHistory; percentiles of GetMetricData, whose values moto
does not keep; and a note of the metric data that it is given.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partialmethod
from typing import Any

from slipway_sandbox.core.calls import Caller
from slipway_sandbox.protocol.pages import page

LARGEST_PAGE = 100
PERCENTILE = re.compile(r"p[0-9]{1,2}(\.[0-9]+)?")
Percentile = Callable[[Caller, dict[str, Any], str, float, float], float | None]
"""A percentile of a metric between two moments (Unix seconds): whose, the metric as queries name it, and which, as `p90`."""
STATE_PARTS = ("stateValue", "stateReason", "stateReasonData")


@dataclass(frozen=True)
class MetricData:
    """What one PutMetricData told, as moto has read it."""

    namespace: str
    data: Sequence[dict[str, Any]]


received: list[MetricData] = []
"""What moto has taken since somebody last looked. Read and written with its lock held."""


def extend(percentile: Percentile) -> None:
    """Add all of it to moto. Called once, with its lock held.

    Args:
        percentile: Knows the values of metrics.
    """
    from moto.cloudwatch import models  # noqa: PLC0415  (moto is imported late, as it takes long)
    from moto.cloudwatch.responses import CloudWatchResponse  # noqa: PLC0415  (the same)

    dimension: Any = models.Dimension
    # moto's own order of dimensions is none, by which the same ones may be others.
    dimension.__lt__ = _is_before
    methods: Any = CloudWatchResponse
    methods.put_composite_alarm = methods.put_metric_alarm
    methods.describe_alarm_history = describe_history
    if not hasattr(methods, "moto_get_metric_data"):
        methods.moto_get_metric_data = methods.get_metric_data
    methods.get_metric_data = partialmethod(get_metric_data, percentile)
    if methods.put_metric_data is not put_metric_data:
        methods.moto_put_metric_data = methods.put_metric_data
        methods.put_metric_data = put_metric_data


def _is_before(one: Any, other: Any) -> bool:
    return (one.name, one.value) < (other.name, other.value)


def put_metric_data(response: Any) -> Any:
    """PutMetricData, as a method of moto's own class: what it was told is noted."""
    result = response.moto_put_metric_data()
    asked = response._get_param  # noqa: SLF001  (see below)
    received.append(MetricData(asked("Namespace"), asked("MetricData", [])))
    return result


def get_metric_data(response: Any, percentile: Percentile) -> Any:
    """GetMetricData, as a method of moto's own class: percentiles are filled in."""
    found = response.moto_get_metric_data()
    asked = response._get_param("MetricDataQueries", [])  # noqa: SLF001  (see below)
    queries: dict[str, Any] = {query["Id"]: query["MetricStat"] for query in asked if "MetricStat" in query}
    caller = Caller(response.current_account, response.region, response.current_account)
    for result in found.result["MetricDataResults"]:
        stat = queries.get(result["id"])
        if stat and PERCENTILE.fullmatch(stat["Stat"]):
            starts = [at.replace(tzinfo=at.tzinfo or UTC).timestamp() for at in result["timestamps"]]
            result["values"] = [percentile(caller, stat["Metric"], stat["Stat"], at, at + int(stat["Period"])) for at in starts]
    return found


def describe_history(response: Any) -> Any:
    """DescribeAlarmHistory, as a method of moto's own class."""
    from moto.core.responses import ActionResult  # noqa: PLC0415

    asked = response._get_param  # noqa: SLF001  (moto's own way to a request's members)
    wanted = {name: asked(name) for name in ("AlarmName", "HistoryItemType", "StartDate", "EndDate", "ScanBy")}
    kinds = asked("AlarmTypes") or ["MetricAlarm"]
    items = [
        item
        for alarm in response.cloudwatch_backend.describe_alarms()
        for item in history_of(alarm)
        if item["AlarmType"] in kinds and fits(item, wanted)
    ]
    items.sort(key=lambda item: item["Timestamp"], reverse=wanted["ScanBy"] != "TimestampAscending")
    request = {"maxResults": asked("MaxRecords") or LARGEST_PAGE, "nextToken": asked("NextToken")}
    shown, token = page(items, {name: value for name, value in request.items() if value})
    return ActionResult({"AlarmHistoryItems": list(shown), "NextToken": token})


def fits(item: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Whether a request asks for an item of the history."""
    return (
        wanted["AlarmName"] in (None, item["AlarmName"])
        and wanted["HistoryItemType"] in (None, item["HistoryItemType"])
        and not (wanted["StartDate"] and item["Timestamp"] < moment(wanted["StartDate"], item["Timestamp"]))
        and not (wanted["EndDate"] and item["Timestamp"] > moment(wanted["EndDate"], item["Timestamp"]))
    )


def moment(value: Any, like: datetime) -> datetime:
    """A time of a request, to compare with one of moto's, which has a time zone or none."""
    parsed = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return parsed.astimezone(like.tzinfo) if like.tzinfo else parsed.replace(tzinfo=None)


def history_of(alarm: Any) -> Iterator[dict[str, Any]]:
    """An alarm's history: its creation (or last change), and each of its states."""
    head = {"AlarmName": alarm.name, "AlarmType": "MetricAlarm" if alarm.rule is None else "CompositeAlarm"}
    yield {
        **head,
        "Timestamp": alarm.configuration_updated_timestamp,
        "HistoryItemType": "ConfigurationUpdate",
        "HistorySummary": f'Alarm "{alarm.name}" created',
        "HistoryData": json.dumps({"version": "1.0", "type": "Create"}),
    }
    states = [(value, reason, data, since) for _, reason, data, value, since in alarm.history]
    states.append((alarm.state_value, alarm.state_reason, alarm.state_reason_data, alarm.state_updated_timestamp))
    for old, new in itertools.pairwise(states):
        told = {name: dict(zip(STATE_PARTS, state, strict=False)) for name, state in (("oldState", old), ("newState", new))}
        yield {
            **head,
            "Timestamp": new[3],
            "HistoryItemType": "StateUpdate",
            "HistorySummary": f"Alarm updated from {spelled(old[0])} to {spelled(new[0])}",
            "HistoryData": json.dumps({"version": "1.0", **told}),
        }


def spelled(state: str) -> str:
    """A state as summaries have it."""
    return state.replace("_", " ") if state == "INSUFFICIENT_DATA" else state
