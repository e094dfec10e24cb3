"""The metrics of a training job, read from its output by regular expressions."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from slipway_sandbox.errors import validation_error


class LineMetrics:
    """The last value of each metric.

    Args:
        definitions: The request's MetricDefinitions.

    Raises:
        AwsError: One's regular expression cannot be read.
    """

    def __init__(self, definitions: Sequence[dict[str, str]]) -> None:
        self._patterns = {definition["Name"]: compiled(definition) for definition in definitions}
        self._last: dict[str, tuple[float, datetime]] = {}

    def read(self, line: str) -> None:
        """Look for values in a line: what the first group of an expression finds, where it is a number."""
        for name, pattern in self._patterns.items():
            for found in pattern.finditer(line):
                with contextlib.suppress(ValueError, IndexError, TypeError):
                    self._last[name] = (float(found.group(1)), datetime.now(UTC))

    def final(self) -> list[dict[str, Any]]:
        """The values as FinalMetricDataList shows them."""
        return [{"MetricName": name, "Value": value, "Timestamp": at} for name, (value, at) in self._last.items()]


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
