"""How a promotion goes back while endpoints are being updated, and how a rollout is tried again."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from temporalio.client import Client

from activities.endpoints.messages import RolloutEnd
from slipway.api import LedgerState, OperatorCommand, Outcome, StageName
from slipway.app.spec import ExpectedValue, SmokeRequest
from slipway.app.strategy import Canary, Strategy
from slipway.temporal.start import Handle, send_update, start_promotion
from tests.support.waiting import until_parked
from tests.support.world import World, approval, needs_person, request


@pytest.fixture
async def handle(client: Client, world: World) -> Handle:
    """A promotion that nobody has to approve, to two endpoints at once."""
    world.set_approval(approval(mode="auto"))
    world.set_waves(("prod-a", "prod-b"))
    return (await start_promotion(client, request(), world.task_queue))[0]


def set_strategy(world: World, strategy: Strategy) -> None:
    change_rollout(world, strategy=strategy)


def set_smoke(world: World, smoke: SmokeRequest) -> None:
    change_rollout(world, smoke=smoke)


def change_rollout(world: World, **parts: object) -> None:
    spec = world.spec.spec
    rollout = spec.rollout.model_copy(update=parts)
    world.spec = world.spec.model_copy(update={"spec": spec.model_copy(update={"rollout": rollout})})


async def test_given_two_updates_when_one_model_does_not_stay_then_the_other_is_stopped_and_both_go_back_at_once(
    world: World, handle: Handle
) -> None:
    world.verdicts["prod-a"] = RolloutEnd.rolled_back
    world.endless = {"prod-b"}
    world.restores_meet = asyncio.Barrier(2)
    status = await handle.result()
    assert status.outcome is Outcome.rolled_back
    assert status.reason == "prod-a: the alarm screening-5xx went off"
    assert {entry.state for entry in status.ledger if entry.stage is StageName.rollout} == {LedgerState.undone}


async def test_given_an_update_that_cannot_go_on_when_another_one_can_then_that_one_is_left_alone(
    world: World, handle: Handle
) -> None:
    world.fail("prepare_endpoint", needs_person())
    await until_parked(handle, StageName.rollout)
    assert len(world.asked("smoke_endpoint")) == 1
    await send_update(handle, "retry", OperatorCommand(by="ana"))
    assert (await handle.result()).outcome is Outcome.promoted


async def test_given_a_rollout_that_is_retried_when_others_have_updated_the_endpoint_then_it_goes_back_to_theirs(
    world: World, handle: Handle
) -> None:
    world.fail("prepare_endpoint", needs_person("somebody else changes this endpoint"))
    await until_parked(handle, StageName.rollout)
    [parked] = {asked.target.endpoint for asked in world.asked("prepare_endpoint")} - {
        asked.plan.target.endpoint for asked in world.asked("update_endpoint")
    }
    world.served_since = "theirs"
    world.smoke_error = "ModelError: 500"
    await send_update(handle, "retry", OperatorCommand(by="ana"))
    await handle.result()
    former = {asked.plan.target.endpoint: asked.previous_config for asked in world.asked("restore_endpoint")}
    assert former.pop(parked) == "theirs"
    assert set(former.values()) == {"former"}
    assert len(world.asked("look_again")) == 1


@pytest.mark.parametrize(
    ("strategy", "said"),
    [
        (Strategy(alarms=("screening-5xx",)), "prod-a that is under way is stopped by its alarms"),
        (
            Strategy(canary=Canary(percent=50, wait=timedelta(minutes=10)), bake=timedelta(minutes=30)),
            "goes on to its end, for its strategy names no alarms: that takes up to 40m of waits and bake",
        ),
    ],
    ids=["alarms", "no alarms"],
)
async def test_given_an_update_under_way_when_it_is_aborted_then_the_receipt_and_the_status_say_what_happens_when(
    world: World, client: Client, strategy: Strategy, said: str
) -> None:
    world.set_approval(approval(mode="auto"))
    world.set_waves(("prod-a",))
    set_strategy(world, strategy)
    world.hold("follow_endpoint")
    handle, _ = await start_promotion(client, request(), world.task_queue)
    await world.entered["follow_endpoint"].wait()
    receipt = await send_update(handle, "abort", OperatorCommand(by="ana"))
    status = await handle.result()
    assert said in receipt.text
    assert any(said in notice for notice in status.notices)


async def test_given_a_model_that_is_slow_to_answer_when_it_is_asked_several_times_then_the_first_right_answer_decides(
    world: World, client: Client
) -> None:
    world.set_approval(approval(mode="auto"))
    set_smoke(world, SmokeRequest(payload="smoke.json", tries=3, pause=timedelta(seconds=1)))
    world.smoke_errors = ["not loaded yet"]
    handle, _ = await start_promotion(client, request(), world.task_queue)
    assert (await handle.result()).outcome is Outcome.promoted
    assert len(world.asked("smoke_endpoint")) == 2


async def test_given_a_model_that_never_answers_right_when_all_tries_are_over_then_it_goes_back(
    world: World, client: Client
) -> None:
    world.set_approval(approval(mode="auto"))
    wanted = ExpectedValue(path="score", number=0.9, tolerance=0.1)
    set_smoke(world, SmokeRequest(payload="smoke.json", tries=2, pause=timedelta(0), status=201, values=(wanted,)))
    world.smoke_error = "score is 0.1, and 0.9 ± 0.1 is wanted"
    handle, _ = await start_promotion(client, request(), world.task_queue)
    status = await handle.result()
    assert status.outcome is Outcome.rolled_back
    assert "score is 0.1" in status.reason
    assert [(asked.status, asked.values) for asked in world.asked("smoke_endpoint")] == [(201, (wanted,))] * 2
