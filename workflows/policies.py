"""How long each kind of step may take, and how it is tried again.

Every step beats (slipway/temporal/interceptor.py), so that a dead worker is noticed within seconds, however long a step takes.
A transient error is tried again until `total` is over; then the stage parks.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.workflow import ActivityCancellationType

Activities = TypeVar("Activities")
Request = TypeVar("Request")
Result = TypeVar("Result")

HEARTBEAT = timedelta(seconds=10)
RETRY = RetryPolicy(initial_interval=timedelta(seconds=1), backoff_coefficient=2, maximum_interval=timedelta(seconds=30))
ABORT_GRACE = timedelta(seconds=30)
"""How long an abort waits for an effect in flight whose answer says what there is to undo."""


@dataclass(frozen=True)
class Policy:
    """The bounds of one kind of step.

    Args:
        once: How long one try may take.
        total: How long all tries together may take.
    """

    once: timedelta
    total: timedelta


LOOK = Policy(once=timedelta(minutes=2), total=timedelta(hours=1))
"""Reads, within seconds; what has just been made may take a minute to be listed."""
CHANGE = Policy(once=timedelta(minutes=2), total=timedelta(hours=1))
"""One change on AWS, within seconds."""
GIT = Policy(once=timedelta(minutes=10), total=timedelta(hours=2))
"""Clones, commits and pushes."""
COPY = Policy(once=timedelta(hours=1), total=timedelta(hours=4))
"""Copies gigabytes between registries."""
UNDO = Policy(once=timedelta(minutes=10), total=timedelta(hours=1))
"""Undoes one effect."""
RESTORE = Policy(once=timedelta(hours=2), total=timedelta(hours=6))
"""Brings an endpoint back, which takes as long as SageMaker takes to swap a fleet."""


def follow(timeout: timedelta) -> Policy:
    """Follows something that ends by itself; `timeout` is what the activity is told, and keeps by itself."""
    return Policy(once=timeout + timedelta(minutes=10), total=timeout + timedelta(hours=1))


async def step(
    activity: Callable[[Activities, Request], Coroutine[Any, Any, Result]], request: Request, policy: Policy, summary: str
) -> Result:
    """Run one activity.

    Args:
        activity: A method of the activities' class.
        request: Its input.
        policy: Its bounds.
        summary: What the Temporal UI shows beside it.

    Raises:
        ActivityError: It failed for good, or was cancelled.
    """
    return await workflow.execute_activity_method(
        activity,
        request,
        summary=summary,
        start_to_close_timeout=policy.once,
        schedule_to_close_timeout=policy.total,
        heartbeat_timeout=HEARTBEAT,
        retry_policy=RETRY,
        # What an abort undoes must have come to rest first.
        cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    )
