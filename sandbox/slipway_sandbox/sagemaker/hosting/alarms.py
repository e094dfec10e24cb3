"""CloudWatch alarms over the invocation metrics. moto stores them; here they are evaluated."""

from __future__ import annotations

import logging
import operator
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from slipway_sandbox.calls import Caller
from slipway_sandbox.sagemaker.hosting.metrics import NAMESPACE, Metrics
from slipway_sandbox.world import World

log = logging.getLogger(__name__)

EVALUATE_EVERY = 1.0
"""Real seconds between two looks at all alarms of an account that has endpoints."""
SHORTEST_PERIOD = 1.0
"""Real seconds that a period lasts at least, however fast the sandbox's time runs."""
FRESH = 0.1
"""Real seconds that one evaluation counts as current."""

COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "GreaterThanThreshold": operator.gt,
    "GreaterThanOrEqualToThreshold": operator.ge,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}
STATISTICS: dict[str, Callable[[Sequence[float]], float]] = {
    "Sum": sum,
    "Average": statistics.fmean,
    "Minimum": min,
    "Maximum": max,
    "SampleCount": len,
}
Windows = Sequence[Sequence[float]]
"""A metric's values by period, the newest period first."""


def judge(alarm: dict[str, Any], windows: Windows) -> str | None:
    """The state that an alarm's periods come to.

    Args:
        alarm: The alarm as DescribeAlarms shows it.
        windows: The values of its last `EvaluationPeriods` periods.

    Returns:
        `ALARM`, `OK`, or None where the state is to stay as it is.
    """
    treatment = alarm.get("TreatMissingData", "missing")
    if treatment == "ignore" and not any(windows):
        return None
    compare = COMPARISONS[alarm["ComparisonOperator"]]
    breaching = 0
    for values in windows:
        point = _statistic(alarm, values) if values else None
        breaching += treatment == "breaching" if point is None else compare(point, alarm["Threshold"])
    needed = alarm.get("DatapointsToAlarm") or alarm["EvaluationPeriods"]
    return "ALARM" if breaching >= needed else "OK"


def _statistic(alarm: dict[str, Any], values: Sequence[float]) -> float:
    extended = alarm.get("ExtendedStatistic")
    if not extended:
        return STATISTICS[alarm["Statistic"]](values)
    percentile = float(extended.removeprefix("p"))
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percentile / 100))]


def is_ours(alarm: dict[str, Any]) -> bool:
    """Whether this alarm watches one plain invocation metric, which is what can be evaluated here."""
    comparable = alarm.get("ComparisonOperator") in COMPARISONS
    known = alarm.get("Statistic") in STATISTICS or str(alarm.get("ExtendedStatistic", "")).startswith("p")
    return alarm.get("Namespace") == NAMESPACE and comparable and known


class AlarmWatch:
    """Evaluates the alarms of every account and region that has endpoints.

    Args:
        world: Its clock says how long a period of 60 s lasts.
        metrics: The values to go by.
    """

    def __init__(self, world: World, metrics: Metrics) -> None:
        self._world = world
        self._metrics = metrics
        self._places: set[tuple[str, str]] = set()
        self._evaluated: dict[tuple[str, str], float] = {}
        self._judged: dict[tuple[str, ...], str] = {}
        self._lock = threading.Lock()
        self._evaluating = threading.Lock()
        self._thread: threading.Thread | None = None

    def watch(self, caller: Caller) -> None:
        """From now on, keep the states of this account and region's alarms current."""
        with self._lock:
            self._places.add((caller.account, caller.region))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="sandbox-alarms", daemon=True)
                self._thread.start()

    def forget(self, account: str | None) -> None:
        """Stop watching one account, or all."""
        with self._lock:
            self._places = {place for place in self._places if account not in (None, place[0])}

    def tripped(self, caller: Caller, names: Sequence[str]) -> list[str]:
        """Those of the named alarms that are in ALARM now. A name that no alarm has is never in ALARM."""
        if not names:
            return []
        self._evaluate((caller.account, caller.region), max_age=FRESH)
        client = self._world.client("cloudwatch", caller)
        alarms = client.describe_alarms(AlarmNames=list(names), AlarmTypes=["MetricAlarm", "CompositeAlarm"])
        found = [*alarms.get("MetricAlarms", ()), *alarms.get("CompositeAlarms", ())]
        return [alarm["AlarmName"] for alarm in found if alarm["StateValue"] == "ALARM"]

    def _run(self) -> None:
        while True:
            with self._lock:
                places = list(self._places)
            for place in places:
                try:
                    self._evaluate(place, max_age=EVALUATE_EVERY / 2)
                except Exception:
                    log.exception("could not evaluate the alarms of account %s in %s", *place)
            time.sleep(EVALUATE_EVERY)

    def _evaluate(self, place: tuple[str, str], max_age: float) -> None:
        with self._evaluating:
            if time.monotonic() - self._evaluated.get(place, 0.0) < max_age:
                return
            client = self._world.client("cloudwatch", Caller(*place, place[0]))
            for alarm in self._alarms(client):
                self._update(client, place, alarm)
            self._evaluated[place] = time.monotonic()

    @staticmethod
    def _alarms(client: Any) -> Iterator[dict[str, Any]]:
        for answer in client.get_paginator("describe_alarms").paginate(AlarmTypes=["MetricAlarm"]):
            yield from (alarm for alarm in answer["MetricAlarms"] if is_ours(alarm))

    def _update(self, client: Any, place: tuple[str, str], alarm: dict[str, Any]) -> None:
        """Tell CloudWatch an alarm's state when it comes out otherwise than last time.

        A state that somebody set by hand therefore stays until the metric itself changes its mind.
        """
        state = judge(alarm, self._windows(place, alarm))
        key = (*place, alarm["AlarmName"], str(alarm.get("AlarmConfigurationUpdatedTimestamp")))
        before = self._judged.get(key, "OK")
        if state is None or state == before:
            return
        self._judged[key] = state
        reason = f"{alarm['MetricName']} was evaluated over {alarm['EvaluationPeriods']} periods of {alarm['Period']} s."
        client.set_alarm_state(AlarmName=alarm["AlarmName"], StateValue=state, StateReason=reason)

    def _windows(self, place: tuple[str, str], alarm: dict[str, Any]) -> list[list[float]]:
        dimensions = frozenset((item["Name"], item["Value"]) for item in alarm["Dimensions"])
        series = (*place, alarm["MetricName"], dimensions)
        length = self._world.clock.real(alarm["Period"], SHORTEST_PERIOD)
        now = time.time()
        return [
            self._metrics.values(series, now - length * (number + 1), now - length * number)
            for number in range(alarm["EvaluationPeriods"])
        ]
