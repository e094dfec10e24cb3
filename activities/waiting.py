"""Activities that wait: how they are marked, until when they wait, and the idempotency key of a step."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar

from temporalio import activity

F = TypeVar("F", bound=Callable[..., Any])
_MARK = "__slipway_follower__"


def follower(method: F) -> F:
    """Mark an activity that only waits until something outside has ended.

    Such activities run for hours or days, and change nothing. A worker can keep them apart from the short ones, which must not
    wait behind them.
    """
    setattr(method, _MARK, True)
    return method


def is_follower(method: Callable[..., Any]) -> bool:
    """Whether the activity is marked as one that only waits."""
    return getattr(method, _MARK, False)


def deadline_after(timeout: timedelta) -> datetime:
    """The end of a wait, counted from when its activity was first scheduled: a worker that dies does not start it again."""
    return activity.info().scheduled_time + timeout


def effect_key() -> str:
    """A key of this call of the activity: the same for each retry of the call, another for the next call."""
    info = activity.info()
    return f"{info.workflow_id}/{info.workflow_run_id}/{info.activity_id}"
