"""How many activities an application may have in flight on one worker, so that one with many promotions starves no other.

One that is over its limit fails at once, and Temporal tries it again: after a second at first, later every half minute. So it
gives its slot back. If it waited here, it would hold the slot that another application needs, and its own time would run out.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import AsyncGenerator
from typing import Any

from temporalio import activity
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from activities.checks import origin_of
from activities.waiting import is_follower
from slipway.api import AppRef
from slipway.errors import RefusedError, TransientError
from slipway.git.rules import app_file, normalise_url
from slipway.policy.check import DOCUMENTED, entry_for
from slipway.policy.source import Policies

UNDOING = frozenset({"revert_image", "stop_task", "stop_execution", "withdraw_approval", "restore_endpoint"})
"""Activities that undo an effect, and say what became of it."""
WITHOUT_TURN = UNDOING | {"take_off_scaling_again", "put_back_scaling"}
"""Activities of the way back. They count, and never wait for a turn: an abort must not stand behind what it aborts."""


class LimitsInterceptor(Interceptor):
    """Give it to the Worker, behind the interceptor that explains errors.

    Args:
        policies: The worker's policy, which has each application's limits.
    """

    def __init__(self, policies: Policies) -> None:
        self._turns = Turns(policies)

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002
        return _LimitedInbound(next, self._turns)


class _LimitedInbound(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, turns: Turns) -> None:  # noqa: A002
        super().__init__(next)
        self._turns = turns

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002
        app = app_of(input.args[0] if input.args else None)
        if app is None:
            return await super().execute_activity(input)
        async with self._turns.turn(app, activity.info().activity_type, waits=is_follower(input.fn)):
            return await super().execute_activity(input)


class Turns:
    """The activities in flight, by application.

    Args:
        policies: The worker's policy.
    """

    def __init__(self, policies: Policies) -> None:
        self._policies = policies
        self._running: Counter[tuple[str, str, str, bool]] = Counter()

    @contextlib.asynccontextmanager
    async def turn(self, app: AppRef, name: str, *, waits: bool) -> AsyncGenerator[None]:
        """Counts an activity while the body runs.

        Args:
            app: Whose it is.
            name: The activity's.
            waits: Whether it only waits. Those count apart, since they take a slot for hours and nothing else.

        Raises:
            TransientError: As many as the policy allows are in flight already.
        """
        key = (normalise_url(app.repository), app.branch, app_file(app.folder), waits)
        limit = None if name in WITHOUT_TURN else await self._limit(app, waits=waits)
        if limit is not None and self._running[key] >= limit:
            kind = "waits" if waits else "activities"
            raise TransientError(
                f"running {name} for {app.folder} on {app.branch}",
                f"{limit} {kind} of this app are in flight on this worker, as many as the policy's limits.{kind} allows",
                f"it is tried again by itself; start fewer promotions at once, add workers, or raise the limit; {DOCUMENTED}",
            )
        self._running[key] += 1
        try:
            yield
        finally:
            self._running[key] -= 1
            if not self._running[key]:
                del self._running[key]

    async def _limit(self, app: AppRef, *, waits: bool) -> int | None:
        try:
            limits = entry_for(await self._policies(), app).limits
        except RefusedError:
            return None  # The activity's own check says what is wrong.
        return limits.waits if waits else limits.activities


def app_of(request: Any) -> AppRef | None:
    """The application that an activity's input names; none where an older release recorded the input."""
    origin = origin_of(request)
    app = origin.app if origin else getattr(request, "app", None)
    return app if isinstance(app, AppRef) else None
