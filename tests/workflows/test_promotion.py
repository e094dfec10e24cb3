"""The promotion's branches, on the real server with activities written by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import uuid4

import pytest
from temporalio.client import Client, WorkflowUpdateFailedError
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError
from temporalio.worker import UnsandboxedWorkflowRunner

from activities.endpoints.messages import RolloutEnd
from slipway.api import (
    Decision,
    Evidence,
    LedgerState,
    OperatorCommand,
    Outcome,
    PackageContainer,
    PromotionRequest,
    StageName,
    StageState,
)
from slipway.errors import ChangedSinceApprovalError, Ending, TransientError
from slipway.temporal.failures import to_application_error
from slipway.temporal.start import Handle, send_update, start_promotion
from tests.support.waiting import state_of, until, until_asked, until_parked
from tests.support.world import EVIDENCE, World, approval, needs_person, refused, request, transient, working
from workflows.activity_options import COPY

BESIDE = ["check_ahead", "resolve_image"]
"""They run at the same time."""
HAPPY = [
    "read_app",
    *BESIDE,
    "check_scan",
    "copy_image",
    "write_image",
    "register_task_definition",
    "run_task",
    "follow_task",
    "find_execution",
    "follow_execution",
    "find_model_package",
    "gather_evidence",
    "set_approval",
    "preflight",
    "prepare_endpoint",
    "update_endpoint",
    "follow_endpoint",
    "smoke_endpoint",
    "mark_endpoint",
    "record_served",
    "clean_up",
]


async def start(client: Client, world: World, asked: PromotionRequest | None = None) -> Handle:
    handle, _ = await start_promotion(client, asked or request(), world.task_queue)
    return handle


async def approve(handle: Handle, by: str = "ana") -> None:
    await until_asked(handle)
    await send_update(handle, "approve", Decision(by=by, evidence=EVIDENCE, reason="good"))


async def test_given_a_good_model_when_it_is_approved_then_each_step_runs_once_in_order(client: Client, world: World) -> None:
    handle = await start(client, world)
    await approve(handle)
    status = await handle.result()
    assert status.outcome is Outcome.promoted
    assert [world.names[0], *sorted(world.names[1:3]), *world.names[3:]] == HAPPY
    assert [stage.state for stage in status.stages] == [StageState.done] * 6
    assert status.waiting_for is None
    assert status.endpoints[0].answer == '{"malignant": true}'
    assert {entry.state for entry in status.ledger} == {LedgerState.kept}
    assert [(each.kind, each.by, each.level, each.reason) for each in status.decisions] == [("approve", "ana", "claimed", "good")]
    assert status.notices == ()


async def test_given_gates_that_decide_alone_when_they_are_met_then_nobody_is_asked(client: Client, world: World) -> None:
    world.set_approval(approval(mode="auto", approvers=[]))
    handle = await start(client, world)
    status = await handle.result()
    assert status.outcome is Outcome.promoted
    assert world.asked("set_approval")[0].description.startswith("approved by the gates alone")


async def test_given_a_target_repository_that_is_the_source_then_nothing_is_copied(client: Client, world: World) -> None:
    image = world.spec.spec.image
    same = image.model_copy(update={"target": image.source})
    world.spec = world.spec.model_copy(update={"spec": world.spec.spec.model_copy(update={"image": same})})
    asked = request()
    handle = await start(client, world, asked)
    await until_asked(handle)
    assert "copy_image" not in world.names
    assert world.asked("write_image")[0].image == asked.image


async def test_given_a_gate_that_is_not_met_then_nobody_is_asked_and_the_numbers_are_told(client: Client, world: World) -> None:
    world.accuracy = 0.85
    status = await (await start(client, world)).result()
    assert status.outcome is Outcome.refused
    assert "accuracy: 0.85 does not meet min 0.9" in status.reason
    assert world.names[-4:] == ["withdraw_approval", "stop_task", "stop_execution", "revert_image"]


async def test_given_a_model_when_an_approver_rejects_it_then_the_ledger_runs_backwards(client: Client, world: World) -> None:
    handle = await start(client, world)
    await until_asked(handle)
    await send_update(handle, "reject", Decision(by="bo", evidence=EVIDENCE, reason="too slow"))
    status = await handle.result()
    assert status.outcome is Outcome.rejected
    assert status.reason == "rejected by bo (claimed): too slow"
    assert world.names[-4:] == ["withdraw_approval", "stop_task", "stop_execution", "revert_image"]
    assert [entry.state for entry in status.ledger] == [LedgerState.kept, *[LedgerState.undone] * 4]


async def test_given_an_approval_when_nobody_decides_in_time_then_it_expires_and_the_package_is_rejected(
    client: Client, world: World
) -> None:
    world.set_approval(approval(timeout=timedelta(seconds=1)))
    status = await (await start(client, world)).result()
    assert status.outcome is Outcome.expired
    assert status.reason == "nobody decided within 0:00:01: 0 of 1 approved"
    assert len(world.asked("withdraw_approval")) == 1
    assert [entry.state for entry in status.ledger if entry.stage is StageName.approval] == [LedgerState.undone]


async def test_given_an_image_that_is_not_there_then_it_is_refused_and_nothing_is_undone(client: Client, world: World) -> None:
    world.fail("resolve_image", refused())
    status = await (await start(client, world)).result()
    assert status.outcome is Outcome.refused
    assert "ImageNotFoundException" in status.reason
    assert [world.names[0], *sorted(world.names[1:])] == ["read_app", *BESIDE]
    assert status.stages[0].state is StageState.failed


async def test_given_a_transient_error_then_it_is_tried_again_by_itself(client: Client, world: World) -> None:
    world.fail("write_image", transient(), transient())
    handle = await start(client, world)
    await until_asked(handle)
    assert world.names.count("write_image") == 3


@pytest.fixture
async def hasty(client: Client, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """An outside where the pause between two tries is longer than all tries together may take: the first failure is the last."""
    monkeypatch.setitem(COPY, "retry_policy", RetryPolicy(initial_interval=timedelta(minutes=2)))
    monkeypatch.setitem(COPY, "schedule_to_close_timeout", timedelta(minutes=1))
    outside = World(task_queue=f"test-{uuid4()}")
    # Temporal's sandbox imports the options again, and would not see the change.
    async with working(client, outside, UnsandboxedWorkflowRunner()):
        yield outside


async def test_given_a_transient_error_when_the_time_for_retries_is_over_then_it_parks_and_can_be_retried(
    client: Client, hasty: World
) -> None:
    hasty.fail("copy_image", to_application_error(TransientError("copying a to b", "HTTP 503")))
    handle = await start(client, hasty)
    waiting = (await until_parked(handle, StageName.image)).waiting_for
    assert waiting
    assert waiting.failure
    assert (waiting.failure.tried, waiting.failure.answered) == ("copying a to b", "HTTP 503")
    assert waiting.failure.ending is Ending.needs_person
    assert waiting.failure.remedy.startswith("it was tried again by itself until the time for it was over; retry")
    await send_update(handle, "retry", OperatorCommand(by="ana"))
    await until_asked(handle)
    assert hasty.names.count("copy_image") == 2


async def test_given_a_step_that_hangs_when_its_time_is_over_then_it_parks_and_names_the_step(
    client: Client, hasty: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(COPY, "start_to_close_timeout", timedelta(seconds=0.5))
    hasty.hold("copy_image")
    handle = await start(client, hasty)
    waiting = (await until_parked(handle, StageName.image)).waiting_for
    assert waiting
    assert waiting.failure
    assert waiting.failure.tried == "running copy_image"
    assert "timeout" in waiting.failure.answered


PARKS = {
    "read_app": StageName.image,
    "check_ahead": StageName.image,
    "copy_image": StageName.image,
    "write_image": StageName.taskdef,
    "run_task": StageName.task,
    "follow_task": StageName.task,
    "find_execution": StageName.pipeline,
    "find_model_package": StageName.pipeline,
    "gather_evidence": StageName.approval,
    "preflight": StageName.rollout,
    "update_endpoint": StageName.rollout,
    "smoke_endpoint": StageName.rollout,
}


@pytest.mark.parametrize(("name", "stage"), PARKS.items())
async def test_given_a_step_that_needs_a_person_when_it_is_retried_then_the_promotion_goes_on(
    client: Client, world: World, name: str, stage: StageName
) -> None:
    world.set_approval(approval(mode="auto"))
    world.fail(name, needs_person())
    handle = await start(client, world)
    parked = await until_parked(handle, stage)
    assert parked.waiting_for
    assert parked.waiting_for.failure
    assert parked.waiting_for.failure.answered == "AccessDeniedException: not allowed"
    assert parked.waiting_for.commands[0] == f'slipway retry {handle.id} --by <you> --reason "…"'
    await send_update(handle, "retry", OperatorCommand(by="ana"))
    status = await handle.result()
    assert status.outcome is Outcome.promoted
    assert next(report.attempts for report in status.stages if report.name is stage) == 2


async def test_given_a_failed_execution_when_it_is_retried_then_the_same_one_goes_on(client: Client, world: World) -> None:
    world.fail("follow_execution", needs_person("Failed: Train: no data"))
    handle = await start(client, world)
    await until_parked(handle, StageName.pipeline)
    await send_update(handle, "retry", OperatorCommand(by="ana"))
    await until_asked(handle)
    assert world.names.count("run_task") == 1
    assert world.names.count("find_execution") == 1
    assert world.names.count("retry_execution") == 1


async def test_given_a_failed_task_when_it_is_retried_then_it_is_stopped_and_another_one_runs(
    client: Client, world: World
) -> None:
    world.fail("follow_task", needs_person("exit code 1"))
    handle = await start(client, world)
    await until_parked(handle, StageName.task)
    await send_update(handle, "retry", OperatorCommand(by="ana"))
    await until_asked(handle)
    assert [asked.attempt for asked in world.asked("run_task")] == [1, 2]
    assert world.asked("stop_task")[0].task.arn.endswith("/1")


async def test_given_tasks_that_the_platform_ends_then_others_run_by_themselves(client: Client, world: World) -> None:
    world.ended_by_platform = ["SpotInterruption: first", "InfrastructureHealth: second"]
    handle = await start(client, world)
    status = await until_asked(handle)
    assert [asked.attempt for asked in world.asked("run_task")] == [1, 2, 3]
    assert next(report.attempts for report in status.stages if report.name is StageName.task) == 1
    assert "launch 2 of 3: InfrastructureHealth: second" in status.notices[-1]
    assert "stop_task" not in world.names
    assert world.asked("find_execution")[0].promotion_id == handle.id


async def test_given_a_platform_that_ends_every_task_then_it_parks_and_a_retry_runs_new_ones(
    client: Client, world: World
) -> None:
    world.ended_by_platform = ["SpotInterruption: again"] * 4
    handle = await start(client, world)
    waiting = (await until_parked(handle, StageName.task)).waiting_for
    assert waiting
    assert waiting.failure
    assert waiting.failure.answered == "the platform ended the task each time, most recently by SpotInterruption: again"
    await send_update(handle, "retry", OperatorCommand(by="ana"))
    await until_asked(handle)
    assert [asked.attempt for asked in world.asked("run_task")] == [1, 2, 3, 4, 5]


async def test_given_an_error_that_nobody_foresaw_then_it_parks_and_names_the_step(client: Client, world: World) -> None:
    world.fail("write_image", ApplicationError("no such key", type="KeyError", non_retryable=True))
    handle = await start(client, world)
    waiting = (await until_parked(handle, StageName.taskdef)).waiting_for
    assert waiting
    assert waiting.failure
    assert waiting.failure.tried == "running write_image"
    assert "no such key" in waiting.failure.answered


async def test_given_waves_then_each_waits_for_the_one_before(client: Client, world: World) -> None:
    world.set_approval(approval(mode="auto"))
    world.set_waves(("staging",), ("prod-a", "prod-b"), soak=timedelta(seconds=1))
    status = await (await start(client, world)).result()
    assert status.outcome is Outcome.promoted
    updated = [asked.plan.target.endpoint for asked in world.asked("update_endpoint")]
    assert updated[0] == "staging"
    assert set(updated[1:]) == {"prod-a", "prod-b"}
    assert [served.endpoint for served in status.endpoints] == ["staging", "prod-a", "prod-b"]


async def test_given_waves_when_one_target_fails_and_is_retried_then_the_others_are_left_alone(
    client: Client, world: World
) -> None:
    world.set_approval(approval(mode="auto"))
    world.set_waves(("staging",), ("prod",))
    handle = await start(client, world)
    world.fail("update_endpoint", transient())
    world.fail("follow_endpoint", needs_person("it is updating"))
    await until_parked(handle, StageName.rollout)
    await send_update(handle, "retry", OperatorCommand(by="ana"))
    status = await handle.result()
    assert status.outcome is Outcome.promoted
    assert [plan.target.endpoint for plan in world.asked("preflight")] == ["staging", "prod"]
    assert {asked.previous_config for asked in world.asked("update_endpoint")} == {"former"}


async def test_given_a_second_wave_that_rolls_back_then_the_first_goes_back_too(client: Client, world: World) -> None:
    world.set_approval(approval(mode="auto"))
    world.set_waves(("staging",), ("prod",))
    world.verdicts["prod"] = RolloutEnd.rolled_back
    status = await (await start(client, world)).result()
    assert status.outcome is Outcome.rolled_back
    assert status.reason == "prod: the alarm screening-5xx went off"
    assert {asked.plan.target.endpoint for asked in world.asked("restore_endpoint")} == {"prod", "staging"}
    assert world.asked("restore_endpoint")[0].previous_config == "former"
    assert status.endpoints == ()


async def test_given_a_model_that_does_not_answer_then_the_endpoint_is_put_back(client: Client, world: World) -> None:
    world.set_approval(approval(mode="auto"))
    world.smoke_error = "ModelError: 500"
    status = await (await start(client, world)).result()
    assert status.outcome is Outcome.rolled_back
    assert "the smoke request failed: ModelError: 500" in status.reason
    assert world.names.count("restore_endpoint") == 1


async def test_given_the_same_app_and_digest_when_it_is_started_twice_then_there_is_one_promotion(
    client: Client, world: World
) -> None:
    asked = request()
    first, is_new = await start_promotion(client, asked, world.task_queue)
    second, is_new_again = await start_promotion(client, asked, world.task_queue)
    assert (is_new, is_new_again) == (True, False)
    assert first.id == second.id
    await approve(first)
    await first.result()
    third, is_new_at_last = await start_promotion(client, asked, world.task_queue)
    assert not is_new_at_last
    assert (await third.result()).outcome is Outcome.promoted


async def test_given_a_waiting_promotion_then_the_evidence_can_be_asked_for(client: Client, world: World) -> None:
    handle = await start(client, world)
    await until_asked(handle)
    evidence = await handle.query("evidence", result_type=Evidence)
    assert evidence.metrics == {"accuracy": 0.95}


async def test_given_a_model_that_changed_since_the_approval_when_it_is_retried_then_people_are_asked_again(
    client: Client, world: World
) -> None:
    world.fail("prepare_endpoint", changed())
    handle = await start(client, world)
    await approve(handle)
    parked = await until_parked(handle, StageName.rollout)
    assert parked.waiting_for
    assert parked.waiting_for.failure
    assert "model.tar.gz was replaced" in parked.waiting_for.failure.answered
    world.evidence = "sha256:" + "f" * 64
    await send_update(handle, "retry", OperatorCommand(by="ana"))
    await until_asked_again(handle)
    with pytest.raises(WorkflowUpdateFailedError) as refusal:
        await send_update(handle, "approve", Decision(by="ana", evidence=EVIDENCE))
    assert world.evidence in str(refusal.value.cause)
    assert world.names.count("prepare_endpoint") == 1
    await send_update(handle, "approve", Decision(by="bo", evidence=world.evidence))
    assert (await handle.result()).outcome is Outcome.promoted
    assert world.names.count("gather_evidence") == 2


async def test_given_a_model_that_was_put_back_when_it_is_retried_then_people_are_asked_again_all_the_same(
    client: Client, world: World
) -> None:
    world.fail("prepare_endpoint", changed())
    handle = await start(client, world)
    await approve(handle)
    await until_parked(handle, StageName.rollout)
    await send_update(handle, "retry", OperatorCommand(by="ana"))
    await until_asked_again(handle)
    await send_update(handle, "approve", Decision(by="ana", evidence=EVIDENCE))
    assert (await handle.result()).outcome is Outcome.promoted
    assert world.names.count("gather_evidence") == 2


async def test_given_a_model_that_changed_and_is_approved_again_when_it_is_prepared_then_it_is_compared_with_the_new_evidence(
    client: Client, world: World
) -> None:
    world.fail("prepare_endpoint", changed())
    handle = await start(client, world)
    await approve(handle)
    await until_parked(handle, StageName.rollout)
    world.containers = (PackageContainer(image="model@sha256:2"),)
    await send_update(handle, "retry", OperatorCommand(by="ana"))
    await until_asked_again(handle)
    await send_update(handle, "approve", Decision(by="ana", evidence=EVIDENCE))
    await handle.result()
    before, after = [plan.approved for plan in world.asked("prepare_endpoint")]
    assert (before.containers, after.containers) == ((), world.containers)


def changed() -> Exception:
    answered = "s3://models/model.tar.gz was replaced"
    return to_application_error(ChangedSinceApprovalError("comparing with what was approved", answered, "see who changed it"))


async def until_asked_again(handle: Handle) -> None:
    await until(handle, lambda status: state_of(status, StageName.rollout) is StageState.waiting, "people to be asked again")
