"""How values look."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from slipway_sandbox.control.page.look import brief, moment, number, size, task_tone, took, words


@pytest.mark.parametrize(
    ("count", "text"), [(None, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (2_340_000, "2.3 MB"), (7e12, "7000.0 GB")]
)
def test_sizes(count: float | None, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.25, "0.25"), (1.0, "1"), (100, "100"), (12345.678, "12\N{NARROW NO-BREAK SPACE}345.68")]
)
def test_numbers(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0 s"), (1.26, "1.3 s"), (60, "1 min 0 s"), (61, "1 min 1 s"), (3725, "1 h 2 min")]
)
def test_lengths(seconds: float, text: str) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    assert took(start, start + timedelta(seconds=seconds)) == text
    assert took(start, None) == ""


def test_times_carry_what_a_script_needs_to_say_how_long_ago() -> None:
    assert 'datetime="2026-01-01T00:00:00+00:00"' in moment(datetime(2026, 1, 1, tzinfo=UTC))


TASKS: list[tuple[dict[str, Any], str]] = [
    ({"lastStatus": "RUNNING"}, "good"),
    ({"lastStatus": "PENDING"}, "busy"),
    ({"lastStatus": "STOPPED", "stopCode": "EssentialContainerExited", "containers": [{"exitCode": 0}]}, "good"),
    ({"lastStatus": "STOPPED", "stopCode": "EssentialContainerExited", "containers": [{"exitCode": 0}, {}]}, "bad"),
    ({"lastStatus": "STOPPED", "stopCode": "EssentialContainerExited", "containers": [{"exitCode": 3}]}, "bad"),
    ({"lastStatus": "STOPPED", "stopCode": "TaskFailedToStart", "containers": [{}]}, "bad"),
    ({"lastStatus": "STOPPED", "stopCode": "UserInitiated", "containers": [{"exitCode": 143}]}, "warn"),
]


@pytest.mark.parametrize(("task", "tone"), TASKS)
def test_a_task_that_stopped_is_judged_by_its_exit_codes(task: dict[str, Any], tone: str) -> None:
    assert task_tone(task) == tone


def test_long_requests_are_cut() -> None:
    assert len(brief({"manifest": "x" * 100_000})) < 5_000
    assert words({"repositoryName": "screening", "imageIds": [{"imageTag": "v1"}], "maxResults": 5}) == "screening · 5"
