"""When a variant's automatic scaling is taken off and put back, on the real server with activities written by hand."""

from __future__ import annotations

import asyncio

import pytest
from temporalio.client import Client

from activities.endpoints.messages import RolloutEnd, Scaling
from slipway.api import LedgerState, OperatorCommand, Outcome, StageName
from slipway.temporal.start import Handle, send_update, start_promotion
from tests.support.waiting import until, until_parked
from tests.support.world import World, approval, needs_person, request

SCALING = Scaling(target={"ResourceId": "endpoint/screening-prod/variant/main"})
OFF, UPDATE, BACK = "take_off_scaling", ["update_endpoint", "follow_endpoint"], "put_back_scaling"
UNDONE = ["take_off_scaling_again", "restore_endpoint", BACK]
ROLLOUT = {OFF, *UPDATE, *UNDONE, "smoke_endpoint"}


@pytest.fixture
def scaled(world: World) -> World:
    """The target is scaled automatically, and gets another instance type."""
    world.set_approval(approval(mode="auto"))
    world.scaling = SCALING
    return world


async def start(client: Client, world: World) -> Handle:
    return (await start_promotion(client, request(), world.task_queue))[0]


def steps(world: World) -> list[str]:
    return [name for name in world.names if name in ROLLOUT]


async def test_given_a_scaled_target_when_it_is_updated_then_its_scaling_is_off_meanwhile(client: Client, scaled: World) -> None:
    status = await (await start(client, scaled)).result()
    assert status.outcome is Outcome.promoted
    assert steps(scaled) == [OFF, *UPDATE, BACK, "smoke_endpoint"]
    assert [asked.scaling for asked in scaled.asked(BACK)] == [SCALING]
    assert [entry.inverse for entry in status.ledger if entry.stage is StageName.rollout] == [
        "restore screening-prod and its automatic scaling (us-east-1)"
    ]
    assert "its automatic scaling is off while it is updated" in status.notices[-1]


async def test_given_a_rollout_that_fails_when_the_models_way_back_is_over_then_it_is_scaled_again(
    client: Client, scaled: World
) -> None:
    scaled.verdicts["screening-prod"] = RolloutEnd.rolled_back
    status = await (await start(client, scaled)).result()
    assert status.outcome is Outcome.rolled_back
    assert steps(scaled) == [OFF, *UPDATE, BACK, *UNDONE]
    assert [entry.note for entry in status.ledger if entry.stage is StageName.rollout] == ["done; done"]


async def test_given_an_update_that_needs_a_person_when_it_parks_then_the_endpoint_is_scaled_meanwhile(
    client: Client, scaled: World
) -> None:
    scaled.fail("update_endpoint", needs_person("ResourceLimitExceeded"))
    handle = await start(client, scaled)
    await until_parked(handle, StageName.rollout)
    assert steps(scaled) == [OFF, "update_endpoint", BACK]
    await send_update(handle, "retry", OperatorCommand(by="ana"))
    assert (await handle.result()).outcome is Outcome.promoted
    assert steps(scaled)[3:] == [OFF, *UPDATE, BACK, "smoke_endpoint"]


@pytest.mark.parametrize("name", [OFF, "follow_endpoint", BACK])
async def test_given_an_abort_in_the_middle_when_it_is_undone_then_its_scaling_is_put_back_last(
    client: Client, scaled: World, name: str
) -> None:
    gate = scaled.hold(name)
    handle = await start(client, scaled)
    await asyncio.wait_for(scaled.entered[name].wait(), 20)
    before = len(steps(scaled))
    await send_update(handle, "abort", OperatorCommand(by="ana", reason="wrong branch"))
    await asyncio.wait_for(scaled.entered["restore_endpoint"].wait(), 20)
    gate.set()
    assert (await handle.result()).outcome is Outcome.aborted
    assert steps(scaled)[before:] == UNDONE


async def test_given_a_way_back_that_fails_when_it_waits_for_a_person_then_the_endpoint_is_scaled_meanwhile(
    client: Client, scaled: World
) -> None:
    scaled.smoke_error = "ModelError: 500"
    scaled.fail("restore_endpoint", needs_person("it is OutOfService"))
    handle = await start(client, scaled)
    parked = await until(handle, lambda status: status.waiting_for is not None, "the way back to wait for a person")
    assert steps(scaled)[-3:] == UNDONE
    [entry] = [entry for entry in parked.ledger if entry.stage is StageName.rollout]
    assert (entry.state, "it is OutOfService" in entry.note) == (LedgerState.needs_person, True)
    await send_update(handle, "retry", OperatorCommand(by="ana"))
    assert (await handle.result()).outcome is Outcome.rolled_back
    assert steps(scaled)[-6:] == [*UNDONE, *UNDONE]


async def test_given_scaling_that_somebody_changed_when_it_is_retried_then_what_is_there_now_is_taken_off_and_put_back(
    client: Client, scaled: World
) -> None:
    scaled.fail(OFF, needs_person("its automatic scaling is not as preflight found it"))
    handle = await start(client, scaled)
    await until_parked(handle, StageName.rollout)
    scaled.scaling = changed = SCALING.model_copy(update={"target": {**SCALING.target, "MaxCapacity": 20}})
    scaled.smoke_error = "ModelError: 500"
    await send_update(handle, "retry", OperatorCommand(by="ana"))
    assert (await handle.result()).outcome is Outcome.rolled_back
    assert [asked.scaling for asked in scaled.asked(OFF)] == [SCALING, changed]
    assert {asked.scaling.model_dump_json() for asked in scaled.asked(BACK)} == {changed.model_dump_json()}
    assert scaled.asked("restore_endpoint")[0].scaling == changed


async def test_given_an_abort_that_comes_while_it_is_taken_off_when_that_is_done_then_no_update_begins(
    client: Client, scaled: World
) -> None:
    gate = scaled.hold(OFF)
    handle = await start(client, scaled)
    await asyncio.wait_for(scaled.entered[OFF].wait(), 20)
    await send_update(handle, "abort", OperatorCommand(by="ana", reason="wrong branch"))
    gate.set()
    assert (await handle.result()).outcome is Outcome.aborted
    assert steps(scaled) == [OFF, *UNDONE]
