"""Before a promotion's first step: has a promotion under this id ended already?

`slipway start` never uses an id twice, but Temporal's own command does where it is asked to. A second promotion under the id
would take the first one's commit, execution and model for its own, and an abort or a rejection would undo what serves.
"""

from __future__ import annotations

from typing import Any

from temporalio import activity
from temporalio.client import Client
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from slipway.errors import RefusedError
from slipway.temporal.runs import find_ended_before

FIRST = "read_app"
"""The activity that a promotion begins with, before it plans or changes anything."""


class EarlierRunsInterceptor(Interceptor):
    """Give it to the Worker, behind the interceptor that explains errors."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002
        return _OnceInbound(next)


class _OnceInbound(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002
        info = activity.info()
        if info.activity_type == FIRST and info.workflow_id and info.workflow_run_id:
            await refuse_repetition(activity.client(), info.workflow_id, info.workflow_run_id)
        return await super().execute_activity(input)


async def refuse_repetition(client: Client, promotion_id: str, run_id: str) -> None:
    """Refuse a promotion whose id had one before. Resets, continue-as-new and retries are the same promotion.

    Raises:
        RefusedError: A promotion under this id has ended.
    """
    ended = await find_ended_before(client, promotion_id, run_id)
    if ended:
        at = f" at {ended.at:%Y-%m-%d %H:%M:%S} UTC" if ended.at else ""
        raise RefusedError(
            f"starting the promotion {promotion_id}",
            f"this promotion has ended already ({ended.state}{at}, run {ended.run_id})",
            "start another attempt with `slipway start … --again`",
        )
