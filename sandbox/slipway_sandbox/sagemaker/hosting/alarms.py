"""CloudWatch alarms. moto stores them; here they are evaluated, and their changes become events."""

from __future__ import annotations

import json
import logging
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from slipway_sandbox.core.calls import Caller
from slipway_sandbox.core.world import World
from slipway_sandbox.moto.alarms import MetricData
from slipway_sandbox.moto.cloudwatch import CloudWatch
from slipway_sandbox.sagemaker.hosting.alarm_rules import (
    INITIAL_REASON,
    UnknownExpressionError,
    Values,
    is_ours,
    judge,
    named,
    period_of,
    points_of,
    statistic,
    statistic_of,
)
from slipway_sandbox.sagemaker.hosting.composite_rules import UnknownRuleError, holds
from slipway_sandbox.sagemaker.hosting.metrics import NAMESPACE, Metric, Metrics, Series, dimensions_of

log = logging.getLogger(__name__)

EVALUATE_EVERY = 1.0
"""Real seconds between two looks at all alarms of an account."""
SHORTEST_PERIOD = 1.0
"""Real seconds that a period lasts at least, however fast the sandbox's time runs."""
FRESH = 0.1
"""Real seconds that one evaluation counts as current."""
AlarmKey = tuple[str, str, str]
"""Account, region and name."""


class AlarmWatch:
    """Evaluates the alarms of every account and region that has endpoints, alarms or metrics of its own.

    Args:
        world: Its clock says how long a period of 60 s lasts.
        metrics: The values to evaluate.
        cloudwatch: Keeps the alarms.
    """

    def __init__(self, world: World, metrics: Metrics, cloudwatch: CloudWatch) -> None:
        self._world = world
        self._metrics = metrics
        self._cloudwatch = cloudwatch
        self._places: set[tuple[str, str]] = set()
        self._evaluated: dict[tuple[str, str], float] = {}
        self._looked: dict[tuple[str, str], float] = {}
        """When each place's values were last looked at, in Unix seconds."""
        self._judged: dict[tuple[str, ...], str] = {}
        self._told: dict[AlarmKey, dict[str, Any]] = {}
        """Each alarm's state as EventBridge was last told."""
        self._alarmed: dict[tuple[str, str], bool] = {}
        """Whether each place had alarms at the last look."""
        self._lock = threading.Lock()
        self._evaluating = threading.Lock()
        self._due: set[tuple[str, str]] = set()
        """Places with something new, which are looked at at once."""
        self._news = threading.Event()
        self._thread: threading.Thread | None = None

    def watch(self, caller: Caller) -> None:
        """From now on, keep the states of this account and region's alarms current."""
        with self._lock:
            self._places.add((caller.account, caller.region))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="sandbox-alarms", daemon=True)
                self._thread.start()

    def note(self, caller: Caller, received: Sequence[MetricData]) -> None:
        """Somebody made an alarm, or put metric data: it is looked at soon."""
        clients = [told for told in received if told.namespace != NAMESPACE]
        for told in clients:
            self._metrics.add_data(caller, told.namespace, told.data)
        if clients or not received:
            with self._lock:
                self._due.add((caller.account, caller.region))
            self.watch(caller)
            self._news.set()

    def percentile(self, caller: Caller, metric: dict[str, Any], name: str, after: float, until: float) -> float | None:
        """A percentile of a metric that is known here, for GetMetricData; None where there are no values."""
        dimensions = dimensions_of(metric.get("Dimensions") or ())
        series = Series(caller.account, caller.region, Metric(metric["Namespace"], metric["MetricName"], dimensions))
        return statistic(name, self._metrics.values(series, after, until))

    def forget(self, account: str | None) -> None:
        """Stop watching one account, or all, and forget what was measured there."""
        with self._evaluating, self._lock:
            self._places = {place for place in self._places if account not in (None, place[0])}
            known: list[dict[Any, Any]] = [self._evaluated, self._looked, self._judged, self._told, self._alarmed]
            for kept in known:
                for key in [key for key in kept if account in (None, key[0])]:
                    del kept[key]
        self._metrics.forget(account)

    def tripped(self, caller: Caller, names: Sequence[str]) -> list[str]:
        """Those of the named alarms that are in ALARM now. A name that no alarm has is never in ALARM."""
        if not names:
            return []
        self._evaluate((caller.account, caller.region), max_age=FRESH)
        in_alarm = {alarm["AlarmName"] for alarm in self._cloudwatch.alarms(caller) if alarm["StateValue"] == "ALARM"}
        return [name for name in names if name in in_alarm]

    def _run(self) -> None:
        while True:
            with self._lock:
                places, due, self._due = list(self._places), self._due, set()
            for place in places:
                try:
                    self._evaluate(place, max_age=0.0 if place in due else EVALUATE_EVERY / 2)
                    self._leave_if_empty(place)
                except Exception:
                    log.exception("could not evaluate the alarms of account %s in %s", *place)
            time.sleep(FRESH)
            self._news.wait(EVALUATE_EVERY)
            self._news.clear()

    def _leave_if_empty(self, place: tuple[str, str]) -> None:
        """Look no more at a place without alarms: who makes one is noted. An endpoint alone has nothing to evaluate."""
        with self._lock:
            if place not in self._due and not self._alarmed.get(place, True):
                self._places.discard(place)
                # The first period of an alarm that is made later does not reach back to here.
                self._looked.pop(place, None)

    def _evaluate(self, place: tuple[str, str], max_age: float) -> None:
        with self._evaluating:
            if time.monotonic() - self._evaluated.get(place, 0.0) < max_age:
                return
            now = time.time()
            states: dict[str, str] = {}
            composites: list[dict[str, Any]] = []
            for alarm in self._cloudwatch.alarms(caller_of(place)):
                self._tell(place, alarm)
                states[alarm["AlarmName"]] = alarm["StateValue"]
                if "AlarmRule" in alarm:
                    composites.append(alarm)
                elif is_ours(alarm):
                    states[alarm["AlarmName"]] = self._update(place, alarm, now)
            # A composite alarm uses the others' states of now, and another composite alarm's state of the last round.
            for alarm in composites:
                self._update_composite(place, alarm, states)
            self._alarmed[place] = bool(states)
            self._looked[place] = now
            self._evaluated[place] = time.monotonic()

    def _update(self, place: tuple[str, str], alarm: dict[str, Any], now: float) -> str:
        """Judge an alarm by its metric; returns the state that it is in then."""
        try:
            points = points_of(alarm, self._values_of(place, alarm, now))
        except UnknownExpressionError as error:
            log.warning("the alarm %s has metric math that is not evaluated here: %s", alarm["AlarmName"], error)
            return str(alarm["StateValue"])
        state = judge(alarm, points)
        if state is None:
            return str(alarm["StateValue"])
        shown = [point for point in points if point is not None]
        data = {"version": "1.0", "period": period_of(alarm), "recentDatapoints": shown}
        return self._settle(place, alarm, state, reason_of(alarm, state, shown), data)

    def _update_composite(self, place: tuple[str, str], alarm: dict[str, Any], states: Mapping[str, str]) -> None:
        try:
            state = "ALARM" if holds(alarm["AlarmRule"], states.get) else "OK"
        except UnknownRuleError as error:
            log.warning("the alarm %s has a rule that is none: %s", alarm["AlarmName"], error)
            return
        self._settle(place, alarm, state, f"{alarm['AlarmRule']} evaluated to {'TRUE' if state == 'ALARM' else 'FALSE'}", {})

    def _settle(self, place: tuple[str, str], alarm: dict[str, Any], state: str, reason: str, data: dict[str, Any]) -> str:
        """Tell CloudWatch an alarm's state when it differs from the last one; returns the state.

        A state that somebody set by hand therefore stays until what the alarm watches changes its mind.
        """
        key = (*place, alarm["AlarmName"], str(alarm.get("AlarmConfigurationUpdatedTimestamp")))
        untouched = alarm.get("StateReason") == INITIAL_REASON or ("AlarmRule" in alarm and key not in self._judged)
        before = self._judged.get(key, alarm["StateValue"] if untouched else state)
        self._judged[key] = state
        if state == before:
            return str(alarm["StateValue"])
        changed = self._cloudwatch.set_state(caller_of(place), alarm["AlarmName"], state, reason, json.dumps(data))
        if changed:
            self._tell(place, changed)
        return state

    def _values_of(self, place: tuple[str, str], alarm: dict[str, Any], now: float) -> Values:
        length = self._world.clock.real(period_of(alarm), SHORTEST_PERIOD)
        # Periods are short where time runs fast. The newest reaches back to the last look, so that no value goes unseen.
        newest = min(now - length, self._looked.get(place, now))

        def values(metric: Metric, number: int) -> Sequence[float]:
            series = Series(*place, metric)
            if number == 0:
                return self._metrics.values(series, newest, now)
            return self._metrics.values(series, newest - length * number, newest - length * (number - 1))

        return values

    def _tell(self, place: tuple[str, str], alarm: dict[str, Any]) -> None:
        """Tell EventBridge when an alarm's state has changed, by evaluation or by SetAlarmState."""
        key = (*place, alarm["AlarmName"])
        state = state_of(alarm)
        before = self._told.get(key)
        self._told[key] = state
        if before is None or before["value"] == state["value"]:
            return
        detail = {
            "alarmName": alarm["AlarmName"],
            "configuration": configuration_of(alarm),
            "previousState": before,
            "state": state,
        }
        self._world.events.emit(caller_of(place), "aws.cloudwatch", "CloudWatch Alarm State Change", detail, [alarm["AlarmArn"]])


def caller_of(place: tuple[str, str]) -> Caller:
    """Who looks at a place: its account itself."""
    return Caller(*place, place[0])


def reason_of(alarm: dict[str, Any], state: str, points: Sequence[float]) -> str:
    """Why an alarm is in a state, in CloudWatch's manner."""
    if state == "INSUFFICIENT_DATA":
        return f"Insufficient Data: {alarm['EvaluationPeriods']} datapoints were unknown."
    crossed = "Threshold Crossed" if state == "ALARM" else "Threshold not crossed"
    return f"{crossed}: the datapoints {[round(point, 4) for point in points]} against the threshold ({alarm['Threshold']})."


def state_of(alarm: dict[str, Any]) -> dict[str, Any]:
    """An alarm's state as events have it."""
    state = {"value": alarm["StateValue"], "reason": alarm.get("StateReason", "")}
    if alarm.get("StateReasonData"):
        state["reasonData"] = alarm["StateReasonData"]
    if alarm.get("StateUpdatedTimestamp"):
        state["timestamp"] = f"{alarm['StateUpdatedTimestamp']:%Y-%m-%dT%H:%M:%S.000+0000}"
    return state


def configuration_of(alarm: dict[str, Any]) -> dict[str, Any]:
    """What an alarm watches, as events have it."""
    if "AlarmRule" in alarm:
        return {"alarmRule": alarm["AlarmRule"]}
    described = {"description": alarm["AlarmDescription"]} if alarm.get("AlarmDescription") else {}
    if alarm.get("Metrics"):
        return {**described, "metrics": [_query(query) for query in alarm["Metrics"]]}
    metric = {
        "namespace": alarm.get("Namespace"),
        "name": alarm.get("MetricName"),
        "dimensions": named(alarm.get("Dimensions", ())),
    }
    stat = {"metric": metric, "period": alarm.get("Period"), "stat": statistic_of(alarm)}
    return {**described, "metrics": [{"id": str(uuid.uuid4()), "metricStat": stat, "returnData": True}]}


def _query(query: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {"id": query["Id"], "returnData": query.get("ReturnData", True)}
    if "Expression" in query:
        return {**shown, "expression": query["Expression"]}
    metric = query["MetricStat"]["Metric"]
    place = {"namespace": metric["Namespace"], "name": metric["MetricName"], "dimensions": named(metric.get("Dimensions", ()))}
    return {
        **shown,
        "metricStat": {"metric": place, "period": query["MetricStat"]["Period"], "stat": query["MetricStat"]["Stat"]},
    }
