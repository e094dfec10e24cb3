"""What CloudWatch has of an endpoint's fleets, and whether it is within the limits of a rule.

SageMaker publishes its invocation metrics with the dimension EndpointConfigName, too, which tells the fleets of an update apart.
CloudWatch keeps them by the minute. Statistics of several minutes are made here of those of each minute, weighted by requests.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from activities.endpoints.served import SageMakerAccount
from slipway.app.watched_metrics import ERRORS, WatchedMetric
from slipway.gathering import gather_bounded

NAMESPACE = "AWS/SageMaker"
MINUTE = timedelta(minutes=1)
QUERIES_LIMIT = 500
"""Queries of one GetMetricData."""
PAGES = 50
"""Pages of one answer that are read."""
AT_ONCE = 4
"""Calls in flight at the same time."""
STATISTICS = {"average": "Average", "maximum": "Maximum"}
"""CloudWatch's own names, where they are others."""


@dataclass(frozen=True)
class Fleet:
    """The instances of a variant that were made by one endpoint config."""

    endpoint: str
    variant: str
    config: str


@dataclass(frozen=True)
class Window:
    """A time, in whole minutes."""

    start: datetime
    end: datetime

    @classmethod
    def between(cls, start: datetime, end: datetime) -> Window:
        """Each minute that has a part of the time."""
        first = start.replace(second=0, microsecond=0)
        return cls(first, max(end.replace(second=0, microsecond=0), first) + MINUTE)


@dataclass(frozen=True)
class Wanted:
    """A metric of a fleet over a time."""

    fleet: Fleet
    metric: str
    statistic: str
    window: Window


@dataclass(frozen=True)
class Sample:
    """What a fleet had of a metric."""

    requests: int = 0
    value: float = math.nan
    """Not a number where there were no requests."""


@dataclass(frozen=True)
class Judgement:
    """What came of one rule."""

    breach: str = ""
    """Why it is breached; empty where it is not."""
    unjudged: str = ""
    """Why it cannot be said; empty where it can."""


def judge(rule: WatchedMetric, new: Sample, former: Sample | None) -> Judgement:
    """Holds a new model's sample against a rule.

    Args:
        rule: The rule.
        new: The new model's.
        former: The former model's; none where there is no former model.
    """
    if new.requests < rule.min_requests:
        return Judgement(unjudged=f"{rule.title}: too few requests ({new.requests:,} of {rule.min_requests:,})")
    found = f"{rule.title} is {_amount(rule, new.value)} over {new.requests:,} requests"
    if rule.max is not None and new.value > rule.max:
        return Judgement(breach=f"{found}, and at most {_amount(rule, rule.max)} passes")
    if former is None or (rule.max_regression is None and rule.max_ratio is None):
        return Judgement()
    if former.requests < rule.min_requests:
        few = f"too few requests of the former model ({former.requests:,} of {rule.min_requests:,})"
        return Judgement(unjudged=f"{rule.title}: {few}")
    against = f"the former model's {_amount(rule, former.value)}"
    if rule.max_regression is not None and new.value > former.value + rule.max_regression:
        return Judgement(breach=f"{found}, and at most {_amount(rule, rule.max_regression)} more than {against} passes")
    if rule.max_ratio is not None and new.value > former.value * rule.max_ratio:
        return Judgement(breach=f"{found}, and at most {rule.max_ratio:g} times {against} passes")
    return Judgement()


def _amount(rule: WatchedMetric, value: float) -> str:
    return f"{value:.4g}" if rule.metric in ERRORS else f"{value:,.0f} µs"


async def measure(account: SageMakerAccount, wanted: Collection[Wanted]) -> dict[Wanted, Sample]:
    """What CloudWatch has of all that is wanted: one call for up to 250 fleets' metrics of the same time.

    Args:
        account: Where the endpoints are.
        wanted: What to look at.

    Raises:
        SlipwayError: CloudWatch could not be asked.
    """
    found = await gather_bounded(partial(_measured, account), _calls(wanted), AT_ONCE)
    return {each: sample for answer in found for each, sample in answer.items()}


def _calls(wanted: Collection[Wanted]) -> Iterator[Sequence[Wanted]]:
    """What one call each is made for: it has one time and a limited number of queries."""
    by_window: defaultdict[Window, list[Wanted]] = defaultdict(list)
    for each in dict.fromkeys(wanted):
        by_window[each.window].append(each)
    size = QUERIES_LIMIT // 2
    for same in by_window.values():
        yield from (same[start : start + size] for start in range(0, len(same), size))


async def _measured(account: SageMakerAccount, wanted: Sequence[Wanted]) -> dict[Wanted, Sample]:
    cloudwatch: Any = account.aws.cloudwatch(account.region, account.role_arn)
    arguments: dict[str, Any] = {
        "StartTime": wanted[0].window.start,
        "EndTime": wanted[0].window.end,
        "MetricDataQueries": [query for at, each in enumerate(wanted) for query in _queries(at, each)],
    }
    tried = f"looking at the metrics of endpoints in {account.region}"
    points: defaultdict[str, dict[Any, float]] = defaultdict(dict)
    for _ in range(PAGES):
        answer = await account.aws.call(tried, cloudwatch.get_metric_data, **arguments)
        for result in answer.get("MetricDataResults", []):
            points[result["Id"]].update(zip(result["Timestamps"], result["Values"], strict=False))
        if not answer.get("NextToken"):
            break
        arguments["NextToken"] = answer["NextToken"]
    return {each: _sample(each.statistic, points[f"n{at}"], points[f"v{at}"]) for at, each in enumerate(wanted)}


def _queries(at: int, wanted: Wanted) -> Iterator[dict[str, Any]]:
    fleet = {
        "EndpointName": wanted.fleet.endpoint,
        "VariantName": wanted.fleet.variant,
        "EndpointConfigName": wanted.fleet.config,
    }
    dimensions = [{"Name": name, "Value": value} for name, value in fleet.items()]
    metric = {"Namespace": NAMESPACE, "MetricName": wanted.metric, "Dimensions": dimensions}
    for name, statistic in (("n", "SampleCount"), ("v", STATISTICS.get(wanted.statistic, wanted.statistic))):
        yield {"Id": f"{name}{at}", "MetricStat": {"Metric": metric, "Period": 60, "Stat": statistic}}


def _sample(statistic: str, counts: Mapping[Any, float], values: Mapping[Any, float]) -> Sample:
    """The sample of several minutes."""
    minutes = {minute: count for minute, count in counts.items() if count and minute in values}
    requests = sum(minutes.values())
    if not requests:
        return Sample()
    if statistic == "maximum":
        return Sample(round(requests), max(values[minute] for minute in minutes))
    return Sample(round(requests), sum(values[minute] * count for minute, count in minutes.items()) / requests)
