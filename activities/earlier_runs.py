"""Has this promotion ended already? Looked up before its first step, and again before each effect.

`slipway start` never uses an id twice, but Temporal's own commands do where they are asked to. A second promotion under the id,
or a reset of one that had ended, would take the first one's commit, execution and model for its own, and an abort or a rejection
would undo what serves.
"""

from __future__ import annotations

from typing import Any

from temporalio import activity
from temporalio.client import Client
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from activities.checks import READS, origin_of
from activities.compensation import Compensation
from activities.limits import UNDOING
from slipway.api import LedgerState
from slipway.errors import RefusedError
from slipway.temporal.connect import PROMOTION
from slipway.temporal.runs import EndedRun, find_end, find_ended_before

FIRST = "read_app"
"""The activity that a promotion begins with, before it plans or changes anything."""


class EarlierRunsInterceptor(Interceptor):
    """Give it to the Worker, behind the interceptor that explains errors."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002
        return _OnceInbound(next)


class _OnceInbound(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002
        info = activity.info()
        ended = await find_earlier_end(activity.client(), info, input.args[0] if input.args else None)
        if ended is None:
            return await super().execute_activity(input)
        if info.activity_type in UNDOING:
            # What a promotion brought before it ended is not this run's to undo.
            return Compensation(state=LedgerState.kept, note=f"this promotion ended before ({ended}), and what it did stays")
        raise RefusedError(
            f"running {info.activity_type} for the promotion {info.workflow_id}",
            f"this promotion has ended already ({ended})",
            "start another attempt with `slipway start … --again`",
        )


async def find_earlier_end(client: Client, info: activity.Info, request: Any) -> EndedRun | None:
    """The end that the promotion had in another run; none where it had none, or where that does not matter.

    Before the first step, a promotion that somebody terminated counts as well, where it was started anew under its id. A reset of
    one that ran or that was terminated, continue-as-new and retries are the same promotion.

    Raises:
        TransientError: Temporal did not answer.
        NeedsPersonError: The worker may not list workflows.
    """
    promotion_id, run_id = _promotion_of(info, request), info.workflow_run_id
    if not promotion_id or not run_id:
        return None
    if info.activity_type == FIRST:
        return await find_ended_before(client, promotion_id, run_id)
    return None if info.activity_type in READS else await find_end(client, promotion_id, run_id)


def _promotion_of(info: activity.Info, request: Any) -> str | None:
    """The promotion that an activity works for. A rollout has an id of its own, and its promotion runs while it does."""
    if info.workflow_type == PROMOTION:
        return info.workflow_id
    origin = origin_of(request)
    return origin.promotion_id if origin else None
