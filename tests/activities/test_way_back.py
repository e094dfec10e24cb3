"""What becomes of an update that is under way when its promotion does not end well: the new model gets no more traffic."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest

from activities.endpoints.messages import EndpointPlan, RolloutEnd, UpdateEndpoint
from slipway.api import LedgerState
from slipway.app.strategy import Canary, Linear, Rolling, Strategy
from slipway.errors import NeedsPersonError
from tests.activities.serving import ALARM, Serving, until

LONG = timedelta(minutes=20)
TO_CANARY = Strategy(canary=Canary(percent=50, wait=LONG), bake=LONG, alarms=(ALARM,))
BY_STEPS = Strategy(linear=Linear(percent=50, wait=LONG), bake=LONG, alarms=(ALARM,))
BY_BATCHES = Strategy(rolling=Rolling(percent=50, wait=LONG), alarms=(ALARM,))


def endpoint(serving: Serving) -> dict[str, Any]:
    return serving.sagemaker.describe_endpoint(EndpointName="screening-prod")


def share(serving: Serving, plan: EndpointPlan) -> float:
    """The part of the requests that a plan's model answers, as SageMaker tells it."""
    found = endpoint(serving)
    pending = found.get("PendingDeploymentSummary", {})
    if found["EndpointConfigName"] == plan.config:
        return 1.0
    return pending["ProductionVariants"][0]["CurrentWeight"] if pending.get("EndpointConfigName") == plan.config else 0.0


def answered_by(serving: Serving) -> str:
    answer = serving.sandbox.client("sagemaker-runtime", serving.account).invoke_endpoint(
        EndpointName="screening-prod", ContentType="application/json", Body=b"{}"
    )
    return json.loads(answer["Body"].read())["model"]


def alarm(serving: Serving) -> dict[str, Any]:
    [found] = serving.cloudwatch.describe_alarms(AlarmNames=[ALARM])["MetricAlarms"]
    return found


async def updating(serving: Serving, strategy: Strategy, at: float) -> tuple[EndpointPlan, EndpointPlan]:
    """The plan of what is served, and that of an update to a bad model that has this share of the traffic now."""
    first = await serving.serve("good")
    second = serving.plan(serving.package("bad"), first.config, strategy)
    await serving.update(second, first.config)
    await until(lambda: share(serving, second) >= at, f"a share of {at}")
    return first, second


class Watch:
    """Looks at the endpoint, and asks its model, until something else is done."""

    def __init__(self, serving: Serving, plan: EndpointPlan) -> None:
        self._serving, self._plan = serving, plan
        self._over = asyncio.Event()
        self.shares: list[float] = []
        """Those of the new model since the alarm was set."""
        self.answers: list[str] = []

    async def run(self) -> None:
        while not self._over.is_set():
            stopped = await asyncio.to_thread(self._is_stopped)
            seen = await asyncio.to_thread(share, self._serving, self._plan)
            self.shares += [seen] if stopped else []
            self.answers.append(await asyncio.to_thread(answered_by, self._serving))

    def _is_stopped(self) -> bool:
        calls = self._serving.sandbox.calls("cloudwatch", "SetAlarmState", self._serving.account)
        return any(not call["error"] for call in calls)

    async def during(self, work: Any) -> Any:
        watching = asyncio.create_task(self.run())
        try:
            return await work
        finally:
            self._over.set()
            await watching


@pytest.mark.parametrize(
    ("strategy", "at"),
    [(strategy, at) for strategy in (TO_CANARY, BY_STEPS, BY_BATCHES) for at in (0, 0.5, 1)],
    ids=[f"{kind}-{phase}" for kind in ("canary", "linear", "rolling") for phase in ("creating", "part", "all")],
)
async def test_given_alarms_when_an_update_is_undone_at_any_phase_then_the_new_model_gets_no_more_traffic(
    serving: Serving, strategy: Strategy, at: float
) -> None:
    first, second = await updating(serving, strategy, at)
    watch = Watch(serving, second)
    done = await watch.during(serving.restore(second, first.config))
    assert done.state is LedgerState.undone
    assert serving.served() == first.config
    # On a busy machine the update may be further when the alarm is set, and a step that is under way then still lands.
    reached = max([at, *watch.shares[:2]])
    assert max(watch.shares) <= reached
    assert watch.answers.count("bad") <= reached * len(watch.answers) + 1
    assert {answered_by(serving) for _ in range(4)} == {"good"}
    # SageMaker shifted back by itself: there was no second update.
    assert serving.calls("UpdateEndpoint") == 1


async def test_given_an_alarm_that_stopped_an_update_when_the_endpoint_is_back_then_it_has_its_former_state(
    serving: Serving,
) -> None:
    first, second = await updating(serving, TO_CANARY, 0.5)
    restoring = asyncio.create_task(serving.restore(second, first.config))
    await until(lambda: alarm(serving)["StateValue"] == "ALARM", "the alarm")
    reason = alarm(serving)["StateReason"]
    await restoring
    assert "Slipway stops the update of screening-prod" in reason
    assert alarm(serving)["StateValue"] == "OK"
    await serving.preflight(serving.package("third"))


async def test_given_a_worker_killed_after_it_set_the_alarm_when_another_restores_then_the_alarm_is_reset(
    serving: Serving,
) -> None:
    first, second = await updating(serving, TO_CANARY, 0.5)
    fault = serving.sandbox.plant_fault("cloudwatch", "SetAlarmState", "hold-answer", account=serving.account)
    killed = asyncio.create_task(serving.restore(second, first.config))
    await until(lambda: serving.sandbox.struck(fault) > 0, "the call")
    killed.cancel()
    serving.sandbox.remove_fault(fault)
    await asyncio.gather(killed, return_exceptions=True)
    done = await serving.restore(second, first.config)
    assert done.state is LedgerState.undone
    assert alarm(serving)["StateValue"] == "OK"


async def test_given_an_alarm_that_somebody_else_rang_when_the_endpoint_is_back_then_it_stays(serving: Serving) -> None:
    first, second = await updating(serving, TO_CANARY, 0.5)
    serving.put_alarm("ALARM")
    await serving.restore(second, first.config)
    assert alarm(serving)["StateValue"] == "ALARM"


async def test_given_no_alarms_when_an_update_is_undone_then_the_former_config_follows_as_soon_as_it_has_ended(
    serving: Serving,
) -> None:
    first, second = await updating(serving, Strategy(canary=Canary(percent=50, wait=timedelta(minutes=4))), 0.5)
    assert (await serving.restore(second, first.config)).state is LedgerState.undone
    assert serving.served() == first.config
    assert serving.calls("UpdateEndpoint") == 2


async def test_given_a_worker_that_may_not_set_alarms_when_an_update_is_undone_then_it_goes_back_later_and_says_why(
    serving: Serving,
) -> None:
    strategy = Strategy(canary=Canary(percent=50, wait=timedelta(minutes=4)), alarms=(ALARM,))
    first, second = await updating(serving, strategy, 0.5)
    denied = {"code": "AccessDenied", "status": 403, "count": 100}
    serving.sandbox.plant_fault("cloudwatch", "SetAlarmState", "error", account=serving.account, **denied)
    done = await serving.restore(second, first.config)
    assert done.state is LedgerState.undone
    assert "no alarm could be set to stop the update: AccessDenied" in done.note


async def test_given_a_rollout_that_others_were_in_the_way_of_when_it_is_looked_at_again_then_it_starts_from_what_is_served(
    serving: Serving,
) -> None:
    first = await serving.serve()
    ours = serving.plan(serving.package("third"), first.config)
    theirs = await serving.roll_out(serving.package("second"))
    with pytest.raises(NeedsPersonError, match="preflight found"):
        await serving.update(ours, first.config)
    again = await serving.run(serving.activities.look_again, UpdateEndpoint(plan=ours, previous_config=first.config))
    assert (again.current_config, again.plan.former) == (theirs.config, theirs.config)
    await serving.update(again.plan, again.current_config)
    assert (await serving.follow(again.plan)).end is RolloutEnd.served


@pytest.mark.parametrize("finished", [False, True])
async def test_given_its_own_update_when_a_rollout_is_looked_at_again_then_the_way_back_stays(
    serving: Serving, finished: bool
) -> None:
    first = await serving.serve()
    second = serving.plan(serving.package("second"), first.config)
    await serving.update(second, first.config)
    if finished:
        await serving.follow(second)
    again = await serving.run(serving.activities.look_again, UpdateEndpoint(plan=second, previous_config=first.config))
    assert (again.plan, again.current_config) == (second, first.config)
