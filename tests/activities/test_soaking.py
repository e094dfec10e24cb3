"""Alarms that are watched while a wave soaks, on the local AWS."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from slipway_sandbox.testing import SandboxProcess

from activities.endpoints.messages import AlarmPlace, FiringAlarm, WatchAlarms, WatchedAlarms
from activities.endpoints.soaking import SoakActivities
from slipway.aws.clients import Aws
from slipway.aws.polling import Polling
from slipway.errors import NeedsPersonError
from tests.activities.conftest import Run
from tests.support.alarms import put_alarm

HERE = AlarmPlace(region="us-east-1", role_arn=None)


class Alarms:
    """Alarms of an account."""

    def __init__(self, sandbox: SandboxProcess, account: str) -> None:
        self._cloudwatch = sandbox.client("cloudwatch", account)
        self._sandbox, self._account = sandbox, account

    def put(self, name: str, state: str = "OK") -> None:
        put_alarm(self._cloudwatch, name, self._account, state)

    def looks(self) -> int:
        return len(self._sandbox.calls("cloudwatch", "DescribeAlarms", self._account))


@pytest.fixture
def alarms(sandbox: SandboxProcess, account: str) -> Alarms:
    alarms = Alarms(sandbox, account)
    for name in ("errors", "latency"):
        alarms.put(name)
    return alarms


@pytest.fixture
def activities(aws: Aws) -> SoakActivities:
    return SoakActivities(aws, Polling(0.05))


def watch(*names: str, seconds: float = 3600) -> WatchAlarms:
    return WatchAlarms(places=(HERE,), alarms=names, until=datetime.now(UTC) + timedelta(seconds=seconds))


async def test_given_alarms_that_are_watched_when_one_goes_off_then_it_is_named_with_its_place(
    activities: SoakActivities, run: Run, alarms: Alarms
) -> None:
    watching = asyncio.ensure_future(run(activities.watch_alarms, watch("errors", "latency")))
    while alarms.looks() < 2:  # noqa: ASYNC110 -- another process counts
        await asyncio.sleep(0.02)
    alarms.put("latency", "ALARM")
    assert await asyncio.wait_for(watching, 30) == WatchedAlarms(firing=(FiringAlarm(name="latency", place=HERE),))


async def test_given_alarms_that_stay_quiet_when_the_time_is_over_then_none_is_named(
    activities: SoakActivities, run: Run, alarms: Alarms
) -> None:
    assert await run(activities.watch_alarms, watch("errors", "latency", seconds=0.5)) == WatchedAlarms()


async def test_given_several_alarms_when_they_are_looked_at_then_one_call_serves_them_all(
    activities: SoakActivities, run: Run, alarms: Alarms
) -> None:
    await run(activities.watch_alarms, watch("errors", "latency", seconds=-1))
    assert alarms.looks() == 1


async def test_given_an_alarm_that_was_deleted_when_it_is_watched_then_a_person_is_asked(
    activities: SoakActivities, run: Run, alarms: Alarms
) -> None:
    with pytest.raises(NeedsPersonError, match="none-such"):
        await run(activities.watch_alarms, watch("errors", "none-such"))
