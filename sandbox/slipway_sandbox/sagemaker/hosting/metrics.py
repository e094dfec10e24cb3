"""What alarms watch: invocation metrics (namespace AWS/SageMaker), which CloudWatch is told too, and clients' own."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from slipway_sandbox.core.calls import Caller
from slipway_sandbox.moto.cloudwatch import CloudWatch

log = logging.getLogger(__name__)

NAMESPACE = "AWS/SageMaker"
KEPT = 50_000
"""Values that are stored of one metric; alarms look at the last few periods only."""
PUBLISH_EVERY = 0.5
"""Real seconds between two batches to CloudWatch."""
CLIENT_ERRORS = range(400, 500)
MICRO = 1e6
LATENCIES = frozenset({"ModelLatency", "OverheadLatency", "TotalProcessingTime", "TimeInBacklog"})

MOST_SAMPLES = 1_000
"""Samples that one datum of a client stands for at most."""

Dimensions = frozenset[tuple[str, str]]


class Metric(NamedTuple):
    """A metric of an account and region."""

    namespace: str
    name: str
    dimensions: Dimensions


class Series(NamedTuple):
    """A metric, and whose it is."""

    account: str
    region: str
    metric: Metric


@dataclass(frozen=True)
class Place:
    """What is measured: a variant of an endpoint, and the configuration of the fleet that it belongs to."""

    endpoint: str
    variant: str
    config: str


@dataclass(frozen=True)
class Invocation:
    """One request to a model.

    Attributes:
        place: Who answered.
        status: The model's own HTTP status.
        model_seconds: How long the model took.
        overhead_seconds: How long everything else took.
        instances: The variant's, which its InvocationsPerInstance are divided by.
    """

    place: Place
    status: int
    model_seconds: float
    overhead_seconds: float
    instances: int

    def measured(self) -> dict[str, float]:
        """The values by the metrics' names."""
        return {
            "Invocations": 1.0,
            "InvocationsPerInstance": 1.0 / self.instances,
            "Invocation4XXErrors": float(self.status in CLIENT_ERRORS),
            "Invocation5XXErrors": float(self.status >= CLIENT_ERRORS.stop),
            "InvocationModelErrors": float(self.status >= CLIENT_ERRORS.start),
            "ModelLatency": self.model_seconds * MICRO,
            "OverheadLatency": self.overhead_seconds * MICRO,
        }


class Metrics:
    """Keeps each invocation's values for the alarms, and publishes them to CloudWatch from a thread of its own.

    Args:
        cloudwatch: Tells clients of them.
    """

    def __init__(self, cloudwatch: CloudWatch) -> None:
        self._cloudwatch = cloudwatch
        self._values: dict[Series, deque[tuple[float, float]]] = defaultdict(lambda: deque(maxlen=KEPT))
        self._unpublished: dict[Series, list[float]] = defaultdict(list)
        self._changed = threading.Condition()
        self._publisher: threading.Thread | None = None

    def record(self, caller: Caller, invocation: Invocation) -> None:
        """Note one invocation, in the account and region of its endpoint."""
        self.add(caller, invocation.place, invocation.measured())

    def add(self, caller: Caller, place: Place, measured: Mapping[str, float]) -> None:
        """Note values of metrics by their names."""
        both = frozenset({("EndpointName", place.endpoint), ("VariantName", place.variant)})
        # AWS adds the fleet's configuration as a dimension of its own, for alarms that watch the new fleet alone.
        of_fleet = both | {("EndpointConfigName", place.config)}
        now = time.time()
        with self._changed:
            for name, value in measured.items():
                for dimensions in (both, of_fleet):
                    series = Series(caller.account, caller.region, Metric(NAMESPACE, name, dimensions))
                    self._values[series].append((now, value))
                # moto answers a query with every series that has its dimensions and maybe more, where AWS wants them all named:
                # the fleet's series alone makes the sums right for both questions.
                fleets = Series(caller.account, caller.region, Metric(NAMESPACE, name, of_fleet))
                self._unpublished[fleets].append(value)
            self._start_publishing()

    def add_data(self, caller: Caller, namespace: str, data: Sequence[Mapping[str, Any]]) -> None:
        """Note what a client has put into a namespace of its own, at the moment when it came.

        Its timestamps are of the client's clock, which time here may run faster than.
        """
        now = time.time()
        with self._changed:
            for datum in data:
                metric = Metric(namespace, datum["MetricName"], dimensions_of(datum.get("Dimensions") or ()))
                kept = self._values[Series(caller.account, caller.region, metric)]
                kept.extend((now, value) for value in itertools.islice(samples(datum), MOST_SAMPLES))

    def values(self, series: Series, after: float, until: float) -> list[float]:
        """The values of a metric between two moments (Unix seconds), oldest first."""
        with self._changed:
            return [value for at, value in self._values.get(series, ()) if after < at <= until]

    def forget(self, account: str | None) -> None:
        """Forget the values of one account, or all."""
        with self._changed:
            for series in [series for series in self._values if account in (None, series.account)]:
                del self._values[series]
                self._unpublished.pop(series, None)

    def _start_publishing(self) -> None:
        if self._publisher is None:
            self._publisher = threading.Thread(target=self._publish_forever, name="sandbox-metrics", daemon=True)
            self._publisher.start()
        self._changed.notify()

    def _publish_forever(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._unpublished))
                batch = dict(self._unpublished)
                self._unpublished.clear()
            try:
                self._publish(batch)
            except Exception:
                # Metrics are no reason to stop serving; alarms use the values kept here.
                log.exception("could not publish metrics to CloudWatch")
            time.sleep(PUBLISH_EVERY)

    def _publish(self, batch: dict[Series, list[float]]) -> None:
        places: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
        for series, values in batch.items():
            places[series.account, series.region].append(_datum(series.metric, values))
        for (account, region), data in places.items():
            self._cloudwatch.put_data(Caller(account, region, account), NAMESPACE, data)


def dimensions_of(dimensions: Sequence[Mapping[str, str]]) -> Dimensions:
    """Dimensions as requests have them, in no order."""
    return frozenset((item["Name"], item["Value"]) for item in dimensions)


def samples(datum: Mapping[str, Any]) -> Iterator[float]:
    """The samples that a datum of PutMetricData stands for; of a statistic set, samples with the same statistics."""
    if values := datum.get("Values"):
        counts = datum.get("Counts") or [1] * len(values)
        for value, count in zip(values, counts, strict=False):
            yield from itertools.repeat(float(value), int(float(count)))
    elif stats := datum.get("StatisticValues"):
        yield from _samples_of({name: float(value) for name, value in stats.items()})
    else:
        yield float(datum.get("Value", 0))


def _samples_of(stats: Mapping[str, float]) -> Iterator[float]:
    count = int(stats["SampleCount"])
    if count <= 1:
        yield from itertools.repeat(stats["Sum"], count)
        return
    yield stats["Minimum"]
    yield stats["Maximum"]
    inner = stats["Sum"] - stats["Minimum"] - stats["Maximum"]
    yield from itertools.repeat(inner / (count - 2) if count > 2 else 0.0, count - 2)  # noqa: PLR2004 -- the two above


def _datum(metric: Metric, values: list[float]) -> dict[str, Any]:
    summary = {"SampleCount": len(values), "Sum": sum(values), "Minimum": min(values), "Maximum": max(values)}
    return {
        "MetricName": metric.name,
        "Dimensions": [{"Name": key, "Value": value} for key, value in sorted(metric.dimensions)],
        "StatisticValues": summary,
        "Unit": "Microseconds" if metric.name in LATENCIES else "None",
    }
