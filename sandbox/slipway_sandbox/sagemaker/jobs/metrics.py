"""The metrics of a training job, read from its output by regular expressions."""

from __future__ import annotations

import contextlib
import logging
import queue
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from slipway_sandbox.core.calls import Caller
from slipway_sandbox.core.errors import validation_error
from slipway_sandbox.core.world import World

log = logging.getLogger(__name__)


NAMESPACE = "/aws/sagemaker/TrainingJobs"
MOST_IN_A_CALL = 500
"""Values of one PutMetricData; CloudWatch takes a thousand."""


@dataclass(frozen=True)
class Point:
    """One value that a line had."""

    name: str
    value: float
    at: datetime


class LineMetrics:
    """The values of each metric. Lines are read on one thread, and published on another.

    Args:
        definitions: The request's MetricDefinitions.

    Raises:
        AwsError: One's regular expression cannot be read.
    """

    def __init__(self, definitions: Sequence[dict[str, str]]) -> None:
        self._patterns = {definition["Name"]: compiled(definition) for definition in definitions}
        self._last: dict[str, Point] = {}
        self._new: queue.SimpleQueue[Point] = queue.SimpleQueue()

    def read(self, line: str) -> None:
        """Look for values in a line: what the first group of an expression finds, where it is a number."""
        for name, pattern in self._patterns.items():
            for found in pattern.finditer(line):
                with contextlib.suppress(ValueError, IndexError, TypeError):
                    self._note(Point(name, float(found.group(1)), datetime.now(UTC)))

    def final(self) -> list[dict[str, Any]]:
        """The values as FinalMetricDataList shows them."""
        return [{"MetricName": point.name, "Value": point.value, "Timestamp": point.at} for point in self._last.values()]

    def publish(self, world: World, caller: Caller, job: str) -> None:
        """Tell CloudWatch what is new, as SageMaker does: by the dimension `TrainingJobName`."""
        points = list(self._taken())
        for start in range(0, len(points), MOST_IN_A_CALL):
            data = [
                {
                    "MetricName": point.name,
                    "Dimensions": [{"Name": "TrainingJobName", "Value": job}],
                    "Value": point.value,
                    "Timestamp": point.at,
                }
                for point in points[start : start + MOST_IN_A_CALL]
            ]
            try:
                world.client("cloudwatch", caller).put_metric_data(Namespace=NAMESPACE, MetricData=data)
            except (ClientError, BotoCoreError):
                # The job goes on without its metrics, as on AWS.
                log.exception("%d metrics of the training job %s were lost", len(data), job)

    def _note(self, point: Point) -> None:
        self._last[point.name] = point
        self._new.put(point)

    def _taken(self) -> Iterator[Point]:
        with contextlib.suppress(queue.Empty):
            while True:
                yield self._new.get_nowait()


def compiled(definition: dict[str, str]) -> re.Pattern[str]:
    """A definition's regular expression.

    Raises:
        AwsError: It is none.
    """
    try:
        return re.compile(definition["Regex"])
    except re.error as error:
        raise validation_error(
            f"Invalid MetricDefinitions: the Regex '{definition['Regex']}' of {definition['Name']} cannot be read: {error}"
        ) from error
