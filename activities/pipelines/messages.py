"""Inputs and outputs of the pipeline activities."""

from __future__ import annotations

from datetime import datetime, timedelta

from activities.origin import Origin
from slipway.api import Message, StepReport


class FindExecution(Message):
    """Input of `find_execution`."""

    pipeline: str
    promotion_id: str
    region: str
    started_after: datetime
    within: timedelta = timedelta(minutes=1)
    """How long it may take until the execution is listed."""
    origin: Origin | None = None
    """Absent where an older release recorded the input, and in an undo, which the application's limits must not hold up."""


class Execution(Message):
    """A pipeline execution."""

    arn: str
    region: str
    display_name: str
    origin: Origin | None = None
    """Absent where an older release recorded the input."""


class FollowExecution(Message):
    """Input of `follow_execution`."""

    execution: Execution
    timeout: timedelta


class ExecutionVerdict(Message):
    """An execution that succeeded."""

    steps: tuple[StepReport, ...]
