"""Between two waves: the wave before serves for some time, and the alarms of its targets are watched."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.exceptions import is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.endpoints.messages import AlarmPlace, WatchAlarms, WatchedAlarms
    from activities.endpoints.soaking import SoakActivities
    from activities.origin import Origin
    from slipway.app.spec import Wave

from workflows.activity_options import follow, shown
from workflows.setbacks import Failed
from workflows.state import PromotionState, known

Wait = Callable[[Callable[[], bool], timedelta], Awaitable[None]]


class Soak:
    """The time before a wave.

    Args:
        origin: What the worker checks each effect by.
        state: The promotion's.
        summarize: Shows what came of the stage so far.
        wait: Waits for a condition or a time, if need be in a new run.
    """

    def __init__(self, origin: Origin, state: PromotionState, summarize: Callable[[str], None], wait: Wait) -> None:
        self._origin = origin
        self._state = state
        self._summarize = summarize
        self._wait = wait
        self._strategy = known(state.app).spec.spec.rollout.strategy

    async def before(self, number: int, wave: Wave) -> list[Failed]:
        """Let the waves before serve, and find the targets where an alarm went off meanwhile.

        Raises:
            ActivityError: The alarms cannot be watched.
        """
        # The first wave follows none, also where it was put back and is rolled out again.
        if number == 1 or self._state.wave_complete_at is None or not wave.soak:
            return []
        until = self._state.wave_complete_at + wave.soak
        if workflow.now() >= until:
            return []
        watch = asyncio.create_task(self._watch(until)) if self._is_watched() else None
        try:
            while (left := until - workflow.now()) > timedelta(0) and not is_done(watch):
                self._summarize(f"wave {number - 1} serves; wave {number} follows at {until:%Y-%m-%d %H:%M:%S} UTC")
                await self._wait(lambda: is_done(watch), left)
            return self._failed(await watch) if watch else []
        except BaseException as error:
            # A new run watches anew, and what it leaves behind ends by itself: it only reads.
            if watch and is_cancelled_exception(error):
                watch.cancel()
            raise

    def _is_watched(self) -> bool:
        return bool(self._strategy.alarms and self._state.served) and workflow.patched("watch-alarms-in-soak")

    async def _watch(self, until: datetime) -> WatchedAlarms:
        places = dict.fromkeys(
            AlarmPlace(region=rollout.request.plan.region, role_arn=rollout.request.plan.target.role_arn)
            for rollout in self._state.rollouts
            if rollout.served
        )
        watch = WatchAlarms(places=tuple(places), alarms=self._strategy.alarms, until=until, origin=self._origin)
        summary = f"watch {', '.join(self._strategy.alarms)} until {until:%Y-%m-%d %H:%M:%S} UTC"
        return await workflow.execute_activity_method(
            SoakActivities.watch_alarms, watch, **shown(follow(until - workflow.now()), summary)
        )

    def _failed(self, watched: WatchedAlarms) -> list[Failed]:
        """The targets that serve where an alarm went off."""
        failed: list[Failed] = []
        for rollout in self._state.rollouts:
            plan = rollout.request.plan
            here = AlarmPlace(region=plan.region, role_arn=plan.target.role_arn)
            firing = [alarm.name for alarm in watched.firing if alarm.place == here]
            if rollout.served and firing:
                reason = f"{plan.target.endpoint}: the alarm {', '.join(firing)} went off while it served"
                failed.append(Failed(plan.target, reason))
        return failed


def is_done(watch: asyncio.Task[WatchedAlarms] | None) -> bool:
    """Whether there is nothing more to wait for than the time."""
    return watch is not None and watch.done()
