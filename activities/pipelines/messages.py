"""Inputs and outputs of the pipeline activities."""

from __future__ import annotations

from datetime import datetime, timedelta

from activities.origin import Origin
from activities.tasks.messages import StartedTask
from slipway.api import Message, StepReport


class FindExecution(Message):
    """Input of `find_execution`."""

    pipeline: str
    promotion_id: str
    region: str
    started_after: datetime
    within: timedelta = timedelta(minutes=1)
    """How long it may take until the execution is listed."""
    task: StartedTask | None = None
    """The task that started it. None where an older release recorded the input; only the display name counts then."""
    named: str = ""
    """The ARN that an operator named; empty where none did."""
    for_undo: bool = False
    """Whether it is looked for to be stopped: only what proves that the task started it counts, and there may be none."""
    origin: Origin | None = None
    """Absent where an older release recorded the input, and in an undo, which the application's limits must not hold up."""


class Execution(Message):
    """A pipeline execution."""

    arn: str
    region: str
    display_name: str
    origin: Origin | None = None
    """Absent where an older release recorded the input."""
    witness: str = ""
    """What proves that it is the promotion's, as people read it."""


class FollowExecution(Message):
    """Input of `follow_execution`."""

    execution: Execution
    timeout: timedelta


class ExecutionVerdict(Message):
    """An execution that succeeded."""

    steps: tuple[StepReport, ...]
