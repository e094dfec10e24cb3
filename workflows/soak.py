"""Between two waves: the wave before serves for some time, and the alarms and metrics of its targets are watched."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.exceptions import is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.endpoints.messages import AlarmPlace, WatchAlarms, WatchedAlarms, WatchedModel
    from activities.endpoints.soaking import SoakActivities
    from activities.origin import Origin
    from slipway.app.spec import Wave
    from workflows.state.promotion import PromotionState, TargetRollout, known

from workflows.activity_options import follow, shown
from workflows.setbacks import Failed

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
        """Let the waves before serve, and find the targets where an alarm went off or a metric breached its rule meanwhile.

        Raises:
            ActivityError: The alarms or metrics cannot be watched.
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
            if watch is None:
                return []
            watched = await watch
            self._state.judge(watched.unjudged)
            return self._failed(watched)
        except BaseException as error:
            # A new run watches anew, and what it leaves behind ends by itself: it only reads.
            if watch and is_cancelled_exception(error):
                watch.cancel()
            raise

    def _is_watched(self) -> bool:
        watched = self._strategy.alarms or self._strategy.metrics
        return bool(watched and self._state.served) and workflow.patched("watch-alarms-in-soak")

    @property
    def _serving(self) -> list[TargetRollout]:
        """The rollouts of the targets that serve the model."""
        return [rollout for rollout in self._state.rollouts if rollout.served]

    async def _watch(self, until: datetime) -> WatchedAlarms:
        alarms, metrics = self._strategy.alarms, self._strategy.metrics
        watch = WatchAlarms(
            places=tuple(dict.fromkeys(map(place_of, self._serving))) if alarms else (),
            alarms=alarms,
            until=until,
            origin=self._origin,
            models=tuple(map(self._watched, self._serving)) if metrics else (),
            metrics=metrics,
        )
        names = dict.fromkeys([*alarms, *(metric.title for metric in metrics)])
        summary = f"watch {', '.join(names)} until {until:%Y-%m-%d %H:%M:%S} UTC"
        return await workflow.execute_activity_method(
            SoakActivities.watch_alarms, watch, **shown(follow(until - workflow.now()), summary)
        )

    def _watched(self, rollout: TargetRollout) -> WatchedModel:
        plan = rollout.request.plan
        return WatchedModel(
            place=place_of(rollout),
            endpoint=plan.target.endpoint,
            variant=plan.variant.name,
            config=plan.config,
            former=plan.former or rollout.request.previous_config,
            since=known(self._state.wave_complete_at),
        )

    def _failed(self, watched: WatchedAlarms) -> list[Failed]:
        """The targets that serve where an alarm went off or a metric breached its rule."""
        failed: list[Failed] = []
        for at, rollout in enumerate(self._serving):
            target = rollout.request.plan.target
            firing = [alarm.name for alarm in watched.firing if alarm.place == place_of(rollout)]
            said = [f"the alarm {', '.join(firing)} went off while it served"] if firing else []
            said += [breach.said for breach in watched.breaches if breach.model == at]
            if said:
                failed.append(Failed(target, f"{target.endpoint}: {'; '.join(said)}"))
        return failed


def place_of(rollout: TargetRollout) -> AlarmPlace:
    """Where a target's alarms are."""
    plan = rollout.request.plan
    return AlarmPlace(region=plan.region, role_arn=plan.target.role_arn)


def is_done(watch: asyncio.Task[WatchedAlarms] | None) -> bool:
    """Whether there is nothing more to wait for than the time."""
    return watch is not None and watch.done()
