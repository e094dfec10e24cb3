"""Until when a long activity waits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from temporalio import activity


class Deadline:
    """The end of a wait, counted from when its activity was first scheduled: a worker that dies does not start it anew."""

    def __init__(self, timeout: timedelta) -> None:
        self._at = activity.info().scheduled_time + timeout

    @property
    def passed(self) -> bool:
        """Whether the time is over."""
        return datetime.now(UTC) >= self._at


def effect_key() -> str:
    """A key of this very step of this very promotion: the same for each of the activity's retries, another for its next call."""
    info = activity.info()
    return f"{info.workflow_id}/{info.workflow_run_id}/{info.activity_id}"
