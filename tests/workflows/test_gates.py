"""Gates that cannot be read: the promotion parks, and `retry` reads the spec's gates from the deployment branch again."""

from __future__ import annotations

from temporalio.client import Client

from slipway.api import Decision, OperatorCommand, Outcome, PromotionStatus, StageName, StageState
from slipway.app.spec import Gate, Pipeline
from slipway.errors import ChangedSinceApprovalError, FailureReport
from slipway.temporal.failures import to_application_error
from slipway.temporal.start import Handle, send_update, start_promotion
from tests.support.waiting import state_of, until, until_asked, until_parked
from tests.support.world import EVIDENCE, World, approval, refused, request

PROBLEM = "the challenger has no such metric; did you mean 'accuracy.value'?"
GATES = (Gate(metric="accuracy.value", min=0.9),)


async def parked(client: Client, world: World) -> tuple[Handle, FailureReport]:
    """A promotion that is parked at approval because its gate cannot be read."""
    world.gate_problem = PROBLEM
    handle, _ = await start_promotion(client, request(), world.task_queue)
    return handle, failure_of(await until_parked(handle, StageName.approval))


def failure_of(status: PromotionStatus) -> FailureReport:
    assert status.waiting_for
    assert status.waiting_for.failure
    return status.waiting_for.failure


async def retry(handle: Handle) -> None:
    await send_update(handle, "retry", OperatorCommand(by="ana"))


async def test_given_a_metric_that_cannot_be_read_then_it_parks_and_says_what_is_there(client: Client, world: World) -> None:
    handle, failure = await parked(client, world)
    assert failure.answered == f"gate accuracy (min 0.9): {PROBLEM}\nthe challenger's metrics: accuracy"
    assert failure.tried.startswith("holding the gates of promotion.yaml at aaaaaaaaaaaa against arn:aws:sagemaker:")
    assert "on main, where `retry` reads it anew" in failure.remedy
    assert not {"withdraw_approval", "revert_image"} & set(world.names)
    await send_update(handle, "abort", OperatorCommand(by="ana"))
    assert (await handle.result()).outcome is Outcome.aborted


async def test_given_a_gate_that_was_corrected_on_the_branch_when_it_is_retried_then_the_new_gates_and_commit_count(
    client: Client, world: World
) -> None:
    handle, _ = await parked(client, world)
    world.push("d", gates=GATES)
    world.gate_problem = ""
    await retry(handle)
    status = await until_asked(handle)
    assert status.spec_commit == "d" * 40
    assert world.asked("gather_evidence")[1].gates == GATES
    assert world.asked("gather_evidence")[1].origin.commit == "d" * 40
    assert "the commit dddddddddddd is pinned instead of aaaaaaaaaaaa: spec.gates changed" in status.notices[-1]
    await send_update(handle, "approve", Decision(by="ana", evidence=EVIDENCE))
    assert (await handle.result()).outcome is Outcome.promoted
    assert world.asked("set_approval")[0].origin.commit == "d" * 40
    assert world.asked("prepare_endpoint")[0].origin.commit == "d" * 40
    assert world.names.count("run_task") == 1


async def test_given_a_gate_that_is_missed_once_it_can_be_read_then_it_is_refused(client: Client, world: World) -> None:
    handle, _ = await parked(client, world)
    world.gate_problem, world.accuracy = "", 0.5
    await retry(handle)
    status = await handle.result()
    assert status.outcome is Outcome.refused
    assert "accuracy: 0.5 does not meet min 0.9" in status.reason


async def test_given_a_branch_on_which_more_has_changed_when_it_is_retried_then_the_former_commit_stays_pinned(
    client: Client, world: World
) -> None:
    handle, _ = await parked(client, world)
    world.push("d", gates=GATES, pipeline=Pipeline(name="another"))
    await retry(handle)
    status = await until(
        handle, lambda now: state_of(now, StageName.approval) is StageState.parked and bool(now.notices), "parked again"
    )
    assert status.spec_commit == "a" * 40
    assert "the commit aaaaaaaaaaaa stays pinned: spec.pipeline changed up to dddddddddddd" in status.notices[-1]
    assert world.asked("gather_evidence")[1].gates != GATES


async def test_given_a_branch_whose_spec_is_wrong_when_it_is_retried_then_it_parks_again_and_names_the_mistake(
    client: Client, world: World
) -> None:
    handle, _ = await parked(client, world)
    world.fail("read_app", refused("promotion.yaml:7:3: unknown key"))
    await retry(handle)
    status = await until(handle, lambda now: "reading the gates anew" in str(now.waiting_for), "parked again")
    failure = failure_of(status)
    assert "promotion.yaml:7:3: unknown key" in failure.answered
    assert failure.remedy.endswith("; then retry, or abort")


async def test_given_an_approval_that_became_void_when_it_is_retried_then_new_gates_count_and_a_new_rollout_does_not(
    client: Client, world: World
) -> None:
    world.set_approval(approval(mode="auto"))
    changed = ChangedSinceApprovalError("preparing", "model.tar.gz was replaced", "retry")
    world.fail("prepare_endpoint", to_application_error(changed), to_application_error(changed))
    handle, _ = await start_promotion(client, request(), world.task_queue)
    await until_parked(handle, StageName.rollout)
    world.push("d", gates=GATES)
    await retry(handle)
    status = await until(handle, lambda now: now.spec_commit == "d" * 40 and now.waiting_for is not None, "parked again")
    assert state_of(status, StageName.rollout) is StageState.parked
    rollout = world.spec.spec.rollout
    world.push("f", rollout=rollout.model_copy(update={"smoke": None}))
    await retry(handle)
    ended = await handle.result()
    assert (ended.outcome, ended.spec_commit) == (Outcome.promoted, "d" * 40)
    assert any("stays pinned: spec.rollout changed" in notice for notice in ended.notices)
    assert world.asked("smoke_endpoint")[0].commit == "d" * 40
