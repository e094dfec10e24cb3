"""How long each kind of activity may take, and how it is retried, in the SDK's own terms.

Every activity heartbeats (slipway/temporal/interceptor.py), so that a dead worker is noticed within seconds, however long it may
run. A transient error is retried until `schedule_to_close_timeout`; then the stage parks.
"""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.workflow import ActivityCancellationType, ActivityConfig

with workflow.unsafe.imports_passed_through():
    from activities.branches import LASTS
    from slipway.api import follower_queue
    from slipway.text import one_line

SUMMARY_LIMIT = 400
"""Bytes of a summary that Temporal takes (`limit.userMetadataSummarySize`)."""
HEARTBEAT = timedelta(seconds=10)
RETRY = RetryPolicy(initial_interval=timedelta(seconds=1), backoff_coefficient=2, maximum_interval=timedelta(seconds=30))
ABORT_GRACE = timedelta(seconds=30)
"""How long an abort waits for an effect in flight whose answer says what there is to undo."""


def _options(start_to_close: timedelta, schedule_to_close: timedelta) -> ActivityConfig:
    return ActivityConfig(
        start_to_close_timeout=start_to_close,
        schedule_to_close_timeout=schedule_to_close,
        heartbeat_timeout=HEARTBEAT,
        retry_policy=RETRY,
        # What an abort undoes must have come to rest first.
        cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    )


READ = _options(timedelta(minutes=2), timedelta(hours=1))
"""Reads, within seconds. What has just been created may take a minute to be listed."""
LOOK = _options(timedelta(minutes=10), timedelta(hours=2))
"""Looks at many things: every target of a rollout, its config and its model."""
PLAN = _options(timedelta(minutes=10), timedelta(minutes=15))
"""The same, while somebody waits for the answer."""
IDENTIFY = _options(timedelta(minutes=1), timedelta(minutes=2))
"""Finds out who sent something, while that person waits for the answer."""
CHANGE = _options(timedelta(minutes=2), timedelta(hours=1))
"""One change on AWS, within seconds."""
GIT = _options(timedelta(minutes=10), timedelta(hours=2))
"""Clones, commits and pushes."""
COPY = _options(timedelta(hours=1), timedelta(hours=4))
"""Copies gigabytes between registries."""
CLEAN = _options(timedelta(minutes=10), timedelta(minutes=20))
"""Removes what is not needed any more, which a promotion waits for at its end; the next one goes on."""
STOP = _options(timedelta(minutes=10), timedelta(hours=1))
"""Stops a task, before the next one is run."""
OUTAGE = timedelta(days=7)
"""How long an undo is tried again by itself: nobody can retry it once it has given up."""
UNDO = _options(timedelta(minutes=10), OUTAGE)
"""Undoes one effect."""
RESTORE = _options(timedelta(hours=2), OUTAGE)
"""Restores an endpoint, which takes as long as SageMaker takes to replace a fleet."""


def shown(options: ActivityConfig, summary: str) -> ActivityConfig:
    """The options, with what the Temporal UI shows beside the activity."""
    return options | ActivityConfig(summary=summary_of(summary))


def summary_of(text: str) -> str:
    """The text in one line, cut to what Temporal takes."""
    return one_line(text).encode()[:SUMMARY_LIMIT].decode(errors="ignore")


def watching() -> ActivityConfig:
    """For following a branch on which nothing may happen. It changes nothing: a new one need not wait until it has ended."""
    return follow(LASTS) | ActivityConfig(cancellation_type=ActivityCancellationType.TRY_CANCEL)


def follow(timeout: timedelta) -> ActivityConfig:
    """For waits. The activity itself enforces `timeout`; the Temporal timeouts leave it some slack.

    Waits have a task queue of their own: steps that are short, or that undo something, never queue behind them.
    """
    options = _options(timeout + timedelta(minutes=10), timeout + timedelta(hours=1))
    options["task_queue"] = follower_queue(workflow.info().task_queue)
    return options
