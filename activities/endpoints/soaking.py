"""Stage 6 between two waves: the alarms and metrics that would have rolled an update back are watched on."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from contextlib import AsyncExitStack
from typing import Any

from temporalio import activity

from activities.endpoints.messages import AlarmPlace, FiringAlarm, WatchAlarms, WatchedAlarms
from activities.endpoints.metric_watch import Metrics
from activities.endpoints.preflight import alarm_states
from activities.endpoints.served import SageMakerAccount, account_of
from activities.waiting import follower
from slipway.aws.clients import Aws
from slipway.aws.looking import Answers, Described, Source
from slipway.aws.polling import Polling
from slipway.errors import NeedsPersonError

FIRES = "ALARM"


class SoakActivities:
    """Looks after a wave that is done.

    Args:
        aws: Where to find AWS.
        polling: How alarms and metrics are looked at.
    """

    def __init__(self, aws: Aws, polling: Polling) -> None:
        self._aws = aws
        self._alarms = polling.pollers(self._alarms_at, account_of)
        self._metrics = Metrics(aws, polling)

    @activity.defn
    @follower
    async def watch_alarms(self, request: WatchAlarms) -> WatchedAlarms:
        """Waits until an alarm goes off, a metric breaches its rule, or the time is over. Reads only.

        Raises:
            NeedsPersonError: An alarm is not there any more.
        """
        metrics = await self._metrics.watch(request.models, request.metrics)
        async with AsyncExitStack() as stack:
            alarms = {
                asyncio.create_task(self._watch(request, place, name)): FiringAlarm(name=name, place=place)
                for place in request.places
                for name in request.alarms
            }
            breach = asyncio.create_task(metrics.until_breach(request.until))
            for task in (*alarms, breach):
                stack.callback(task.cancel)
            left: Collection[asyncio.Task[Any]] = {*alarms, breach}
            while left:
                done, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
                firing = tuple(alarm for task, alarm in alarms.items() if task in done and task.result())
                if breach in done:
                    breach.result()
                if firing or metrics.breaches:
                    return WatchedAlarms(firing=firing, breaches=metrics.breaches, unjudged=metrics.unjudged)
            return WatchedAlarms(unjudged=metrics.unjudged)

    async def _watch(self, request: WatchAlarms, place: AlarmPlace, name: str) -> bool:
        """Whether one alarm goes off in time."""
        poller = self._alarms.at(place.region, place.role_arn)
        state = await poller.until(name, done=lambda state: state in {None, FIRES}, deadline=request.until)
        if state is None:
            tried = f"watching the alarm {name} in {place.region} while a wave soaks"
            raise NeedsPersonError(tried, "it is not there", "create it again, then retry; or abort")
        return state == FIRES

    def _alarms_at(self, region: str | None, role_arn: str | None) -> Source[str | None]:
        account = SageMakerAccount(self._aws, region or "", role_arn)

        async def describe(names: Collection[str]) -> Answers[str | None]:
            states = await alarm_states(account, sorted(names))
            return {name: states.get(name) for name in names}

        return Described(describe)
