"""What people may do to a promotion, when, and what they are told otherwise."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest
from temporalio.client import Client, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from activities.endpoints.messages import RolloutEnd
from slipway.api import Decision, LedgerState, Message, OperatorCommand, Outcome, PromotionStatus, StageName, StageReport
from slipway.errors import NeedsPersonError
from slipway.temporal.start import Handle, send_update, start_promotion
from tests.support.waiting import until, until_asked, until_parked
from tests.support.world import EVIDENCE, World, approval, needs_person, request

ABORT = OperatorCommand(by="ana", reason="wrong branch")
YES = Decision(by="ana", evidence=EVIDENCE)


async def start(client: Client, world: World) -> Handle:
    handle, _ = await start_promotion(client, request(), world.task_queue)
    return handle


async def refusal(handle: Handle, name: str, command: Message) -> str:
    with pytest.raises(WorkflowUpdateFailedError) as caught:
        await send_update(handle, name, command)
    assert isinstance(caught.value.cause, ApplicationError)
    return caught.value.cause.message


def stage_of(status: PromotionStatus, name: StageName) -> StageReport:
    return next(stage for stage in status.stages if stage.name is name)


UNDONE = {
    "resolve_image": [],
    "copy_image": [],
    "write_image": ["revert_image"],
    "register_task_definition": ["revert_image"],
    "run_task": ["stop_task", "find_execution", "stop_execution", "revert_image"],
    "follow_task": ["stop_task", "find_execution", "stop_execution", "revert_image"],
    "follow_execution": ["stop_task", "stop_execution", "revert_image"],
    "gather_evidence": ["withdraw_approval", "stop_task", "stop_execution", "revert_image"],
    "set_approval": ["withdraw_approval", "stop_task", "stop_execution", "revert_image"],
    "preflight": ["withdraw_approval", "stop_task", "stop_execution", "revert_image"],
    "follow_endpoint": ["restore_endpoint", "withdraw_approval", "stop_task", "stop_execution", "revert_image"],
}


BESIDE = {"resolve_image": "check_ahead"}
"""Steps that run at the same time as another one."""


@pytest.mark.parametrize(("name", "undone"), UNDONE.items())
async def test_given_a_step_that_runs_when_it_is_aborted_then_what_was_done_is_undone_backwards(
    client: Client, world: World, name: str, undone: list[str]
) -> None:
    world.set_approval(approval(mode="auto"))
    gate = world.hold(name)
    handle = await start(client, world)
    for running in (name, BESIDE.get(name, name)):
        await asyncio.wait_for(world.entered[running].wait(), 20)
    before = len(world.names)
    await send_update(handle, "abort", ABORT)
    if name == "run_task":  # its answer says what to stop, so the abort waits for it
        gate.set()
    status = await handle.result()
    assert status.outcome is Outcome.aborted
    assert status.reason == "aborted by ana (claimed): wrong branch"
    assert world.names[before:] == undone
    assert all(entry.state in {LedgerState.undone, LedgerState.kept} for entry in status.ledger)


@pytest.mark.parametrize("name", ["prepare_endpoint", "update_endpoint"])
async def test_given_an_abort_while_a_step_of_the_rollout_ends_well_then_the_next_step_does_not_begin(
    client: Client, world: World, name: str
) -> None:
    world.set_approval(approval(mode="auto"))
    gate = world.hold(name)
    handle = await start(client, world)
    await asyncio.wait_for(world.entered[name].wait(), 20)
    before = len(world.names)
    await send_update(handle, "abort", ABORT)
    gate.set()
    assert (await handle.result()).outcome is Outcome.aborted
    assert world.names[before] == "restore_endpoint"


async def test_given_a_parked_stage_when_it_is_aborted_then_it_ends(client: Client, world: World) -> None:
    world.fail("write_image", needs_person())
    handle = await start(client, world)
    await until_parked(handle, StageName.taskdef)
    await send_update(handle, "abort", ABORT)
    assert (await handle.result()).outcome is Outcome.aborted


async def test_given_people_who_are_asked_when_it_is_aborted_then_the_package_is_rejected(client: Client, world: World) -> None:
    handle = await start(client, world)
    await until_asked(handle)
    await send_update(handle, "abort", ABORT)
    assert (await handle.result()).outcome is Outcome.aborted
    assert len(world.asked("withdraw_approval")) == 1


async def test_given_a_task_that_started_nothing_when_it_is_aborted_then_no_execution_is_stopped(
    client: Client, world: World
) -> None:
    world.makes_execution = False
    world.hold("follow_task")
    handle = await start(client, world)
    await asyncio.wait_for(world.entered["follow_task"].wait(), 20)
    await send_update(handle, "abort", ABORT)
    status = await handle.result()
    assert "stop_execution" not in world.names
    assert [entry.note for entry in status.ledger if entry.stage is StageName.pipeline] == ["no execution of the task was found"]


@pytest.mark.parametrize(("had_ended", "seconds"), [(True, 2), (False, 20)])
async def test_given_a_failed_task_when_it_is_aborted_then_its_execution_is_waited_for_only_if_it_could_be_new(
    client: Client, world: World, had_ended: bool, seconds: int
) -> None:
    world.makes_execution = False
    world.task_had_ended = had_ended
    world.fail("follow_task", needs_person("container pipeline exited 1\nlast lines of its log"))
    handle = await start(client, world)
    parked = await until_parked(handle, StageName.task)
    await send_update(handle, "abort", ABORT)
    await handle.result()
    assert [each.within for each in world.asked("find_execution")] == [timedelta(seconds=seconds)]
    assert stage_of(parked, StageName.task).summary == "container pipeline exited 1"


async def test_given_a_stage_that_fails_when_it_is_over_then_its_summary_is_the_reason(client: Client, world: World) -> None:
    world.accuracy = 0.5
    status = await (await start(client, world)).result()
    reason = "a gate is not met: accuracy: 0.5 does not meet min 0.9"
    assert stage_of(status, StageName.approval).summary == status.reason == reason


async def test_given_a_rollout_that_is_rolled_back_when_it_is_over_then_its_summary_is_the_reason(
    client: Client, world: World
) -> None:
    world.set_approval(approval(mode="auto"))
    world.verdicts["screening-prod"] = RolloutEnd.rolled_back
    status = await (await start(client, world)).result()
    assert stage_of(status, StageName.rollout).summary == status.reason == "screening-prod: the alarm screening-5xx went off"


async def test_given_a_promotion_that_is_being_undone_when_it_is_aborted_then_it_is_refused(client: Client, world: World) -> None:
    world.accuracy = 0.5
    gate = world.hold("revert_image")
    handle = await start(client, world)
    await asyncio.wait_for(world.entered["revert_image"].wait(), 20)
    reason = await refusal(handle, "abort", ABORT)
    gate.set()
    assert reason.startswith("this promotion is ending (refused: a gate is not met")
    assert (await handle.result()).outcome is Outcome.refused


async def test_given_a_cancellation_in_temporal_then_it_is_undone_like_an_abort(client: Client, world: World) -> None:
    world.hold("follow_execution")
    handle = await start(client, world)
    await asyncio.wait_for(world.entered["follow_execution"].wait(), 20)
    await handle.cancel()
    status = await handle.result()
    assert (status.outcome, status.reason) == (Outcome.aborted, "it was cancelled in Temporal")
    assert world.names[-1] == "revert_image"


async def test_given_an_approval_that_comes_early_then_it_is_refused(client: Client, world: World) -> None:
    world.hold("follow_task")
    handle = await start(client, world)
    await asyncio.wait_for(world.entered["follow_task"].wait(), 20)
    reason = await refusal(handle, "approve", YES)
    assert reason.startswith("no decision is wanted now: the promotion is at task (running)")
    assert await refusal(handle, "retry", ABORT) == "no stage is parked: the promotion is at task (running)"
    await handle.terminate()


WRONG = {
    "somebody not listed": (Decision(by="mallory", evidence=EVIDENCE), "mallory is not on the list of approvers"),
    "another evidence": (Decision(by="ana", evidence="sha256:0"), f"but the evidence is {EVIDENCE}"),
    "the one who asked": (Decision(by="ci", evidence=EVIDENCE), "ci asked for this promotion or wrote its source commit"),
}


@pytest.mark.parametrize(("decision", "said"), WRONG.values(), ids=WRONG)
async def test_given_a_wrong_approval_then_it_is_refused_before_it_is_in_history(
    client: Client, world: World, decision: Decision, said: str
) -> None:
    world.set_approval(approval(approvers=["ana", "ci"]))
    handle = await start(client, world)
    await until_asked(handle)
    assert said in await refusal(handle, "approve", decision)
    history = await handle.fetch_history()
    assert not [event for event in history.events if event.HasField("workflow_execution_update_accepted_event_attributes")]
    await handle.terminate()


async def test_given_a_quorum_of_two_when_one_approves_twice_then_the_other_is_still_needed(client: Client, world: World) -> None:
    world.set_approval(approval(quorum=2))
    handle = await start(client, world)
    await until_asked(handle)
    await send_update(handle, "approve", YES)
    assert "ana approved already (1 of 2)" in await refusal(handle, "approve", YES)
    waiting = (await until_asked(handle)).waiting_for
    assert waiting
    assert (waiting.what, waiting.who) == ("approval (1 of 2)", ("bo",))
    await send_update(handle, "approve", Decision(by="bo", evidence=EVIDENCE))
    assert (await handle.result()).outcome is Outcome.promoted


async def test_given_a_good_signal_then_it_counts_like_the_update(client: Client, world: World) -> None:
    handle = await start(client, world)
    await until_asked(handle)
    await handle.signal("approve", {"by": "ana", "evidence": EVIDENCE, "reason": ""})
    assert (await handle.result()).outcome is Outcome.promoted


SIGNALS = {
    "nothing": (None, "the signal approve was refused: input:"),
    "no evidence": ({"by": "ana"}, "evidence: Field required"),
    "text": ("yes", "the signal approve was refused: input:"),
    "not listed": ({"by": "mallory", "evidence": EVIDENCE}, "mallory is not on the list"),
}


@pytest.mark.parametrize(("payload", "said"), SIGNALS.values(), ids=SIGNALS)
async def test_given_a_wrong_signal_then_a_notice_says_what_would_be_right(
    client: Client, world: World, payload: object, said: str
) -> None:
    handle = await start(client, world)
    await until_asked(handle)
    await handle.signal("approve", payload)
    status = await until(handle, lambda status: bool(status.notices), "a notice")
    assert said in status.notices[0]
    await handle.terminate()


async def test_given_a_signal_without_input_then_a_notice_says_so(client: Client, world: World) -> None:
    handle = await start(client, world)
    await until_asked(handle)
    await handle.signal("abort")
    status = await until(handle, lambda status: bool(status.notices), "a notice")
    assert "the signal abort was refused" in status.notices[0]
    await handle.terminate()


async def test_given_no_worker_when_it_is_aborted_then_whoever_asks_is_told_so_in_time(client: Client) -> None:
    handle, _ = await start_promotion(client, request(), f"nobody-{uuid4()}")
    with pytest.raises(NeedsPersonError) as caught:
        await asyncio.wait_for(send_update(handle, "abort", ABORT, timedelta(seconds=1)), 10)
    assert caught.value.report.answered == "no worker answered within 1 s: is one running?"
    assert f"`slipway status {handle.id}`" in caught.value.report.remedy
    await handle.terminate()


async def test_given_a_command_that_waits_for_a_worker_when_it_is_interrupted_then_it_is_over_without_a_complaint(
    client: Client,
) -> None:
    handle, _ = await start_promotion(client, request(), f"nobody-{uuid4()}")
    command = asyncio.create_task(send_update(handle, "abort", ABORT))
    await asyncio.wait({command}, timeout=0.5)
    command.cancel()
    with pytest.raises(asyncio.CancelledError):
        await command
    await handle.terminate()
