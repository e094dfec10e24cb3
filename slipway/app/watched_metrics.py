"""Metrics of a new model that is taking traffic, held against limits and against the model that it replaces."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from slipway.app.durations import Duration, between, format_duration
from slipway.app.rules import Bounds, rule
from slipway.app.spec_model import Number, SpecModel

ERRORS = frozenset({"Invocation4XXErrors", "Invocation5XXErrors", "InvocationModelErrors"})


class WatchedMetric(SpecModel):
    """A rule on one metric that SageMaker publishes of an endpoint's fleets. Every rule that is given must hold.

    The new fleet is compared with the old one over the same time, where that had `minRequests` then, and else over as long a time
    before the new config was made. Where there is no former model, only `max` counts. A rule that did not see `minRequests` is
    not judged, and the promotion says so.
    """

    metric: Literal["Invocation4XXErrors", "Invocation5XXErrors", "InvocationModelErrors", "ModelLatency", "OverheadLatency"]
    """The metric's name in CloudWatch (`AWS/SageMaker`). Latencies are in microseconds."""
    statistic: Literal["average", "maximum", "p50", "p90", "p95", "p99"] = "average"
    """What is taken of it. The average of an error metric is the part of the requests that failed, from 0 to 1; another statistic
    says nothing there. A percentile is the mean of CloudWatch's percentiles of each minute, by their requests."""
    max: Annotated[Number, Bounds(ge=0)] | None = None
    """The greatest value that passes."""
    max_regression: Annotated[Number, Bounds(ge=0)] | None = None
    """How much greater than the former model's the value may be, in its own unit."""
    max_ratio: Annotated[Number, Bounds(ge=0)] | None = None
    """How many times the former model's the value may be. Where that is 0, only 0 passes: for errors, `maxRegression` is the
    better rule."""
    min_requests: Annotated[int, Bounds(ge=1, le=1_000_000_000)] = 100
    """How many requests a model must have had in `window` to be judged, and to be compared with."""
    window: Annotated[Duration, between("1m", "3h")] = timedelta(minutes=10)
    """The latest time that is looked at. CloudWatch counts by the minute, and shows a minute some time after its end."""

    @rule
    def _has_a_limit(self) -> None:
        """At least one of `max`, `maxRegression` and `maxRatio`; of an error metric the average."""
        if self.max is None and self.max_regression is None and self.max_ratio is None:
            raise ValueError("needs at least one of max, maxRegression, maxRatio")
        if self.metric in ERRORS and self.statistic != "average":
            raise ValueError(f"has {self.statistic} of {self.metric}, which is 0 or 1 for each request: write average")

    @property
    def title(self) -> str:
        """The metric as people name it, as `ModelLatency p99`."""
        return self.metric if self.metric in ERRORS else f"{self.metric} {self.statistic}"

    @property
    def words(self) -> str:
        """The rule in one line."""
        limits = [
            f"at most {self.max:g}" if self.max is not None else "",
            f"at most {self.max_regression:g} more than the former model's" if self.max_regression is not None else "",
            f"at most {self.max_ratio:g} times the former model's" if self.max_ratio is not None else "",
        ]
        over = f"over {format_duration(self.window)}, from {self.min_requests:,} requests on"
        return f"{self.title} {' and '.join(limit for limit in limits if limit)} {over}"
