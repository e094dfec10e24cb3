"""The execution and the package of a promotion: what an operator names, and what Slipway makes."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from temporalio.client import Client, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from slipway.api import Decision, LedgerState, OperatorCommand, Outcome, PromotionStatus, StageName
from slipway.app.spec import Container, Model
from slipway.temporal.start import Handle, send_update, start_promotion
from tests.support.waiting import summary_of, until, until_asked, until_parked
from tests.support.world import EVIDENCE, World, needs_person, request

EXECUTION = "arn:aws:sagemaker:us-east-1:222222222222:pipeline/screening-training/execution/abc"
PACKAGE = "arn:aws:sagemaker:us-east-1:222222222222:model-package/screening/9"


async def start(client: Client, world: World) -> Handle:
    handle, _ = await start_promotion(client, request(), world.task_queue)
    return handle


async def refusal(handle: Handle, command: OperatorCommand) -> str:
    with pytest.raises(WorkflowUpdateFailedError) as caught:
        await send_update(handle, "retry", command)
    assert isinstance(caught.value.cause, ApplicationError)
    return caught.value.cause.message


def makes_packages(world: World) -> None:
    """The spec has Slipway make the package."""
    container = Container(image="model@sha256:1", content_types=("text/csv",), response_types=("text/csv",))
    model = Model(package_group="screening", from_step="Train", container=container)
    world.spec = world.spec.model_copy(update={"spec": world.spec.spec.model_copy(update={"model": model})})


async def test_given_no_execution_when_an_operator_names_one_then_that_is_followed_and_the_status_says_why(
    client: Client, world: World
) -> None:
    world.fail("find_execution", needs_person("two executions"))
    handle = await start(client, world)
    await until_parked(handle, StageName.pipeline)
    await send_update(handle, "retry", OperatorCommand(by="ana", execution=EXECUTION))
    status = await until_asked(handle)
    assert [asked.named for asked in world.asked("find_execution")] == ["", EXECUTION]
    assert [asked.execution.arn for asked in world.asked("follow_execution")] == [EXECUTION]
    assert status.execution == EXECUTION
    assert "execution abc, known by an operator's word" in summary_of(status, StageName.pipeline)
    assert any(f"ana (claimed) named {EXECUTION}" in notice for notice in status.notices)


async def test_given_a_named_execution_that_is_refused_when_it_is_retried_plainly_then_it_is_not_named_again(
    client: Client, world: World
) -> None:
    world.fail("find_execution", needs_person("two executions"), needs_person("of another pipeline"))
    handle = await start(client, world)
    await until_parked(handle, StageName.pipeline)
    await send_update(handle, "retry", OperatorCommand(by="ana", execution=EXECUTION))
    await until_parked(handle, StageName.pipeline)
    await send_update(handle, "retry", OperatorCommand(by="ana"))
    await until_asked(handle)
    assert [asked.named for asked in world.asked("find_execution")] == ["", EXECUTION, ""]


async def test_given_two_packages_when_an_operator_names_one_then_people_are_asked_about_that(
    client: Client, world: World
) -> None:
    world.fail("find_model_package", needs_person("two packages"))
    handle = await start(client, world)
    await until_parked(handle, StageName.pipeline)
    await send_update(handle, "retry", OperatorCommand(by="ana", package=PACKAGE))
    assert (await until_asked(handle)).package == PACKAGE
    assert [asked.package.arn for asked in world.asked("gather_evidence")] == [PACKAGE]


async def test_given_another_stage_that_is_parked_when_an_operator_names_an_execution_then_the_retry_is_refused(
    client: Client, world: World
) -> None:
    world.fail("follow_task", needs_person())
    handle = await start(client, world)
    await until_parked(handle, StageName.task)
    assert "it is the task stage that is" in await refusal(handle, OperatorCommand(by="ana", execution=EXECUTION))


async def test_given_an_execution_and_a_package_when_an_operator_names_both_then_the_retry_is_refused(
    client: Client, world: World
) -> None:
    world.fail("find_execution", needs_person())
    handle = await start(client, world)
    await until_parked(handle, StageName.pipeline)
    both = OperatorCommand(by="ana", execution=EXECUTION, package=PACKAGE)
    assert "not both" in await refusal(handle, both)


async def test_given_a_spec_with_a_training_step_when_it_has_run_then_the_package_is_made_and_none_is_looked_for(
    client: Client, world: World
) -> None:
    makes_packages(world)
    handle = await start(client, world)
    await until_asked(handle)
    [made] = world.asked("create_model_package")
    assert (made.step, made.instance_types) == ("Train", ("ml.m5.large",))
    assert "find_model_package" not in world.names
    await send_update(handle, "approve", Decision(by="ana", evidence=EVIDENCE))
    assert (await handle.result()).outcome is Outcome.promoted


async def test_given_a_package_that_is_being_made_when_the_promotion_is_aborted_then_its_answer_is_waited_for_and_it_is_rejected(
    client: Client, world: World
) -> None:
    makes_packages(world)
    gate = world.hold("create_model_package")
    handle = await start(client, world)
    await asyncio.wait_for(world.entered["create_model_package"].wait(), 20)
    await send_update(handle, "abort", OperatorCommand(by="ana"))
    gate.set()
    status: PromotionStatus = await handle.result()
    assert status.outcome is Outcome.aborted
    assert [asked.package.version for asked in world.asked("withdraw_approval")] == [4]


async def test_given_a_look_for_the_execution_that_fails_when_it_is_aborted_then_that_is_not_told_as_none(
    client: Client, world: World
) -> None:
    world.hold("follow_task")
    world.fail("find_execution", needs_person("AccessDeniedException: not authorized"))
    handle = await start(client, world)
    await asyncio.wait_for(world.entered["follow_task"].wait(), 20)
    await send_update(handle, "abort", OperatorCommand(by="ana"))
    status = await until(handle, lambda status: bool(status.waiting_for), "the undoing to park")
    [entry] = [entry for entry in status.ledger if entry.stage is StageName.pipeline]
    assert entry.state is LedgerState.needs_person
    assert "not authorized" in entry.note
    await handle.terminate()


async def test_given_an_abort_when_effects_are_undone_then_each_is_tried_again_for_longer_than_an_outage_of_hours(
    client: Client, world: World
) -> None:
    handle = await start(client, world)
    await until_asked(handle)
    before = len((await handle.fetch_history()).events)
    await send_update(handle, "abort", OperatorCommand(by="ana"))
    await handle.result()
    scheduled = [
        event.activity_task_scheduled_event_attributes
        for event in (await handle.fetch_history()).events[before:]
        if event.HasField("activity_task_scheduled_event_attributes")
    ]
    undone = [each for each in scheduled if each.activity_type.name != "identify_person"]
    assert [each.activity_type.name for each in undone] == ["withdraw_approval", "stop_task", "stop_execution", "revert_image"]
    assert all(each.schedule_to_close_timeout.ToTimedelta() >= timedelta(days=1) for each in undone)
