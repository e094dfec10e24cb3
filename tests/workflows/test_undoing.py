"""An effect that cannot be undone parks the promotion on its way back, until an operator says how it goes on."""

from __future__ import annotations

import asyncio

import pytest
from temporalio.client import Client, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from activities.endpoints.messages import RolloutEnd
from slipway.api import IdentityLevel, LedgerState, OperatorCommand, Outcome, PromotionStatus, StageName
from slipway.temporal import search_attributes as attributes
from slipway.temporal.start import Handle, send_update, start_promotion
from tests.support.waiting import until, until_asked
from tests.support.world import World, approval, needs_person, request

ABORT = OperatorCommand(by="ana", reason="wrong data")
RETRY = OperatorCommand(by="bo", reason="it is allowed now")
LEAVE = OperatorCommand(by="bo", reason="reverted by hand")
EXECUTION = "arn:aws:sagemaker:us-east-1:222222222222:pipeline/screening-training/execution/abc"


def state_of(status: PromotionStatus, stage: StageName) -> LedgerState:
    return next(entry.state for entry in status.ledger if entry.stage is stage)


async def when_it_is_aborted_and_parks(handle: Handle) -> PromotionStatus:
    await send_update(handle, "abort", ABORT)
    return await until_parked_undoing(handle)


async def until_parked_undoing(handle: Handle) -> PromotionStatus:
    return await until(handle, lambda status: bool(status.waiting_for and status.waiting_for.failure), "the undoing to park")


async def given_a_promotion_that_asks(client: Client, world: World) -> Handle:
    handle, _ = await start_promotion(client, request(), world.task_queue)
    await until_asked(handle)
    return handle


async def given_a_task_that_runs(client: Client, world: World) -> Handle:
    world.hold("follow_task")
    handle, _ = await start_promotion(client, request(), world.task_queue)
    await asyncio.wait_for(world.entered["follow_task"].wait(), 20)
    return handle


async def refusal(handle: Handle, name: str, command: OperatorCommand) -> str:
    with pytest.raises(WorkflowUpdateFailedError) as caught:
        await send_update(handle, name, command)
    assert isinstance(caught.value.cause, ApplicationError)
    return caught.value.cause.message


async def test_given_a_missing_permission_when_effects_are_undone_then_it_parks_and_the_others_are_undone_meanwhile(
    client: Client, world: World
) -> None:
    world.fail("withdraw_approval", needs_person("AccessDeniedException: not allowed"))
    handle = await given_a_promotion_that_asks(client, world)
    parked = await when_it_is_aborted_and_parks(handle)
    assert parked.waiting_for
    assert parked.waiting_for.failure
    assert parked.waiting_for.failure.tried == "reject the package: doing something"
    assert [command.split()[1] for command in parked.waiting_for.commands] == ["retry", "abort"]
    assert (parked.outcome, state_of(parked, StageName.approval)) == (None, LedgerState.needs_person)
    assert state_of(parked, StageName.taskdef) is LedgerState.undone
    found = (await handle.describe()).typed_search_attributes
    assert (found[attributes.STATE], found[attributes.WAITING_FOR]) == ("parked", "retry or abort")
    await handle.terminate()


async def test_given_an_endpoint_that_is_broken_when_it_is_put_back_then_it_parks_until_a_person_has_mended_it(
    client: Client, world: World
) -> None:
    world.set_approval(approval(mode="auto"))
    world.verdicts["screening-prod"] = RolloutEnd.rolled_back
    world.unrestored = ["screening-prod is UpdateRollbackFailed"]
    handle, _ = await start_promotion(client, request(), world.task_queue)
    parked = await until_parked_undoing(handle)
    assert parked.waiting_for
    assert parked.waiting_for.failure
    assert parked.waiting_for.failure.answered == "screening-prod is UpdateRollbackFailed"
    await send_update(handle, "retry", RETRY)
    status = await asyncio.wait_for(handle.result(), 30)
    assert (status.outcome, state_of(status, StageName.rollout)) == (Outcome.rolled_back, LedgerState.undone)


async def test_given_an_undoing_that_is_parked_when_it_is_retried_then_only_what_is_left_is_undone(
    client: Client, world: World
) -> None:
    world.fail("withdraw_approval", needs_person(), needs_person())
    handle = await given_a_promotion_that_asks(client, world)
    await when_it_is_aborted_and_parks(handle)
    for _ in range(2):
        await until_parked_undoing(handle)
        await send_update(handle, "retry", RETRY)
    status = await asyncio.wait_for(handle.result(), 30)
    assert status.outcome is Outcome.aborted
    assert status.reason == "aborted by ana (claimed): wrong data"
    assert {entry.state for entry in status.ledger} <= {LedgerState.undone, LedgerState.kept}
    assert (world.names.count("withdraw_approval"), world.names.count("revert_image")) == (3, 1)


async def test_given_an_undoing_that_is_parked_when_it_is_aborted_with_a_reason_then_the_rest_is_left_to_people(
    client: Client, world: World
) -> None:
    world.fail("revert_image", needs_person("the same lines were changed since"))
    handle = await given_a_promotion_that_asks(client, world)
    await when_it_is_aborted_and_parks(handle)
    assert "give a reason" in await refusal(handle, "abort", OperatorCommand(by="bo"))
    await send_update(handle, "abort", LEAVE)
    status = await asyncio.wait_for(handle.result(), 30)
    [entry] = [entry for entry in status.ledger if entry.stage is StageName.taskdef]
    assert (status.outcome, entry.state) == (Outcome.aborted, LedgerState.needs_person)
    assert "the same lines were changed since" in entry.note
    assert entry.note.endswith("left to people by bo (claimed): reverted by hand")


async def test_given_a_policy_that_asks_for_signatures_when_an_effect_is_to_be_left_without_one_then_it_is_refused(
    client: Client, world: World
) -> None:
    world.identity = IdentityLevel.signed
    world.fail("revert_image", needs_person())
    handle = await given_a_promotion_that_asks(client, world)
    await when_it_is_aborted_and_parks(handle)
    assert "--sign" in await refusal(handle, "abort", LEAVE)
    await handle.terminate()


async def test_given_several_effects_that_cannot_be_undone_then_what_is_wrong_with_each_is_said(
    client: Client, world: World
) -> None:
    world.fail("withdraw_approval", needs_person("AccessDeniedException: one"))
    world.fail("revert_image", needs_person("AccessDeniedException: two"))
    handle = await given_a_promotion_that_asks(client, world)
    parked = await when_it_is_aborted_and_parks(handle)
    assert parked.waiting_for
    assert parked.waiting_for.failure
    assert "2 could not be undone" in parked.waiting_for.failure.tried
    first, second = parked.waiting_for.failure.answered.splitlines()
    assert first.startswith("reject the package: doing something: AccessDeniedException: one")
    assert second.startswith("revert the commit: doing something: AccessDeniedException: two")
    await handle.terminate()


async def test_given_a_task_that_cannot_be_stopped_when_it_is_retried_then_its_execution_is_looked_for_after_it_has_stopped(
    client: Client, world: World
) -> None:
    world.fail("stop_task", needs_person("AccessDeniedException: not allowed"))
    handle = await given_a_task_that_runs(client, world)
    parked = await when_it_is_aborted_and_parks(handle)
    assert "find_execution" not in world.names
    assert state_of(parked, StageName.pipeline) is LedgerState.needs_person
    await send_update(handle, "retry", RETRY)
    await asyncio.wait_for(handle.result(), 30)
    assert world.names[-4:] == ["revert_image", "stop_task", "find_execution", "stop_execution"]


async def test_given_executions_of_unknown_origin_when_an_operator_names_the_tasks_then_it_is_stopped(
    client: Client, world: World
) -> None:
    world.fail("find_execution", needs_person("two executions, and nothing proves whose"))
    handle = await given_a_task_that_runs(client, world)
    await when_it_is_aborted_and_parks(handle)
    await send_update(handle, "retry", OperatorCommand(by="bo", execution=EXECUTION))
    await asyncio.wait_for(handle.result(), 30)
    assert [asked.named for asked in world.asked("find_execution")] == ["", EXECUTION]
    assert [asked.arn for asked in world.asked("stop_execution")] == [EXECUTION]


async def test_given_an_undoing_that_is_parked_when_a_package_is_named_then_the_retry_is_refused(
    client: Client, world: World
) -> None:
    world.fail("revert_image", needs_person())
    handle = await given_a_promotion_that_asks(client, world)
    await when_it_is_aborted_and_parks(handle)
    assert "the effects are being undone" in await refusal(handle, "retry", OperatorCommand(by="bo", package="arn"))
    await handle.terminate()


async def test_given_an_undoing_that_is_parked_when_temporal_cancels_it_then_it_waits_on(client: Client, world: World) -> None:
    world.fail("revert_image", needs_person())
    handle = await given_a_promotion_that_asks(client, world)
    await when_it_is_aborted_and_parks(handle)
    await handle.cancel()
    status = await until(handle, lambda status: any("was ignored" in notice for notice in status.notices), "the notice")
    assert status.waiting_for
    await send_update(handle, "retry", RETRY)
    assert (await asyncio.wait_for(handle.result(), 30)).outcome is Outcome.aborted
