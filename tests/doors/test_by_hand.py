"""What somebody starts by hand in the namespace, past the promotion: it is refused, and nothing runs."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from temporalio import workflow
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType, ResetReapplyExcludeType
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import ActivityFailureError, Client, WorkflowFailureError
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError, ChildWorkflowError
from temporalio.worker import Worker

from activities.endpoints.messages import PlanRollout, RolloutRequest
from activities.endpoints.plan import plan_rollout
from activities.registry import SetApproval
from slipway.api import (
    AppRef,
    Decision,
    LedgerState,
    ModelPackage,
    OperatorCommand,
    Outcome,
    PromotionInput,
    PromotionStatus,
    StageName,
    rollout_queue,
)
from slipway.app.spec import Target
from slipway.temporal.connect import PROMOTION, ROLLOUT
from slipway.temporal.start import Handle, attempt_of, send_update, start_promotion
from tests.support.waiting import until, until_asked
from tests.support.world import EVIDENCE, SPEC, World, request
from workflows.state.promotion import PromotionState

PACKAGE = ModelPackage(arn="arn:aws:sagemaker:us-east-1:222222222222:model-package/screening/1", version=1, region="us-east-1")


def rollout_of(promotion_id: str) -> RolloutRequest:
    """A rollout as its promotion would ask for it."""
    rollout = SPEC.spec.rollout
    asked = PlanRollout(
        promotion_id=promotion_id,
        package=PACKAGE,
        target=Target(endpoint="screening-prod"),
        region="us-east-1",
        variant=rollout.variant,
        strategy=rollout.strategy,
    )
    return RolloutRequest(
        plan=plan_rollout(asked),
        previous_config=None,
        app=AppRef(repository="file:///repositories/app.git"),
        spec_commit="a" * 40,
    )


async def test_given_a_promotion_that_waits_when_an_activity_is_started_by_hand_then_it_is_refused(
    client: Client, world: World
) -> None:
    handle, _ = await start_promotion(client, request(), world.task_queue)
    await until_asked(handle)
    before = list(world.names)
    with pytest.raises(ActivityFailureError) as caught:
        await client.execute_activity(
            "set_approval",
            SetApproval(package=PACKAGE, status="Approved", description="approved by ana (claimed)"),
            id=f"by-hand-{uuid4()}",
            task_queue=world.task_queue,
            start_to_close_timeout=timedelta(seconds=30),
        )
    assert isinstance(caught.value.cause, ApplicationError)
    assert "no workflow asked for it, and only a promotion may" in caught.value.cause.message
    assert world.names == before
    await handle.terminate()


async def test_given_a_promotion_that_waits_when_its_rollout_is_started_by_hand_then_it_is_refused(
    client: Client, world: World
) -> None:
    handle, _ = await start_promotion(client, request(), world.task_queue)
    await until_asked(handle)
    before = list(world.names)
    with pytest.raises(WorkflowFailureError) as caught:
        await asyncio.wait_for(
            client.execute_workflow(
                ROLLOUT,
                rollout_of(handle.id),
                id=f"{handle.id}-screening-prod-us-east-1",
                task_queue=rollout_queue(world.task_queue),
            ),
            30,
        )
    assert isinstance(caught.value.cause, ApplicationError)
    said = f"a rollout is started by its promotion {handle.id}, not by hand: no workflow started this one"
    assert (caught.value.cause.message, caught.value.cause.non_retryable) == (said, True)
    assert world.names == before
    await handle.terminate()


@workflow.defn(sandboxed=False)
class Stranger:
    """A workflow of somebody else's, which starts a rollout as its child."""

    @workflow.run
    async def run(self, queue: str, promotion_id: str) -> None:
        await workflow.execute_child_workflow(
            ROLLOUT, rollout_of(promotion_id), id=f"{promotion_id}-screening-prod-us-east-1", task_queue=queue
        )


async def test_given_a_workflow_of_somebody_else_when_it_starts_a_rollout_as_its_child_then_it_is_refused(
    client: Client, world: World
) -> None:
    queue, name = f"stranger-{uuid4()}", f"stranger-{uuid4()}"
    async with Worker(client, task_queue=queue, workflows=[Stranger]):
        with pytest.raises(WorkflowFailureError) as caught:
            await asyncio.wait_for(
                client.execute_workflow(
                    Stranger.run, args=[rollout_queue(world.task_queue), f"app-{uuid4()}"], id=name, task_queue=queue
                ),
                30,
            )
    assert isinstance(caught.value.cause, ChildWorkflowError)
    assert f"the workflow {name} started this one" in str(caught.value.cause.cause)
    assert world.calls == []


async def until_listed_as_ended(client: Client, handle: Handle) -> None:
    """Wait until Temporal's list, which is a moment late, has the end."""
    async with asyncio.timeout(30):
        while not (await client.count_workflows(f"WorkflowId = '{handle.id}' AND ExecutionStatus != 'Running'")).count:  # noqa: ASYNC110 -- Temporal decides
            await asyncio.sleep(0.05)


async def test_given_a_promoted_one_when_it_is_started_again_under_its_id_then_it_is_refused_and_nothing_runs(
    client: Client, world: World
) -> None:
    asked = request()
    handle, _ = await start_promotion(client, asked, world.task_queue)
    first_run = (await handle.describe()).run_id
    await until_asked(handle)
    await send_update(handle, "approve", Decision(by="ana", evidence=EVIDENCE))
    assert (await handle.result()).outcome is Outcome.promoted
    await until_listed_as_ended(client, handle)
    before = list(world.names)
    again = await client.start_workflow(PROMOTION, asked, id=handle.id, task_queue=world.task_queue, result_type=PromotionStatus)
    status: PromotionStatus = await asyncio.wait_for(again.result(), 30)
    assert status.outcome is Outcome.refused
    assert "this promotion has ended already (promoted at 20" in status.reason
    assert f"run {first_run}) -- start another attempt with `slipway start … --again`" in status.reason
    assert (world.names, status.ledger) == (before, ())


async def test_given_a_promoted_one_when_the_next_attempt_is_started_then_it_runs(client: Client, world: World) -> None:
    asked = request()
    handle, _ = await start_promotion(client, asked, world.task_queue)
    await handle.terminate()
    await until_listed_as_ended(client, handle)
    second, _ = await start_promotion(client, attempt_of(asked, 2), world.task_queue)
    await until_asked(second)
    await second.terminate()


async def test_given_a_terminated_one_when_it_is_started_again_under_its_id_then_it_is_refused(
    client: Client, world: World
) -> None:
    asked = request()
    handle, _ = await start_promotion(client, asked, world.task_queue)
    await until_asked(handle)
    await handle.terminate()
    await until_listed_as_ended(client, handle)
    again = await client.start_workflow(PROMOTION, asked, id=handle.id, task_queue=world.task_queue, result_type=PromotionStatus)
    assert "this promotion has ended already (terminated at 20" in (await asyncio.wait_for(again.result(), 30)).reason


async def test_given_a_promotion_that_waits_when_it_is_reset_to_its_first_step_then_it_is_the_same_promotion_and_goes_on(
    client: Client, world: World
) -> None:
    handle, _ = await start_promotion(client, request(), world.task_queue)
    await until_asked(handle)
    first_run = (await handle.describe()).run_id
    await reset(client, handle)
    await until_asked(handle)
    now = await handle.describe()
    assert now.run_id != first_run
    assert now.raw_description.workflow_execution_info.first_run_id == first_run
    assert world.names.count("read_app") == 2
    await handle.terminate()


async def test_given_a_terminated_one_when_it_is_reset_to_its_last_step_then_it_goes_on_and_can_be_promoted(
    client: Client, world: World
) -> None:
    handle, _ = await start_promotion(client, request(), world.task_queue)
    await until_asked(handle)
    await handle.terminate()
    await until_listed_as_ended(client, handle)
    await reset(client, handle, await last_step(handle))
    await until_asked(handle)
    await send_update(handle, "approve", Decision(by="ana", evidence=EVIDENCE))
    assert (await asyncio.wait_for(handle.result(), 30)).outcome is Outcome.promoted
    assert world.names.count("write_image") == 1


WITHOUT_DECISIONS = {"reset_reapply_exclude_types": [ResetReapplyExcludeType.RESET_REAPPLY_EXCLUDE_TYPE_UPDATE]}
"""By default a reset sends again what people sent after the step."""


async def promoted(client: Client, world: World) -> tuple[Handle, int]:
    """A promotion that ended well, and the step at which it asked."""
    handle, _ = await start_promotion(client, request(), world.task_queue)
    await until_asked(handle)
    asked = await last_step(handle)
    await send_update(handle, "approve", Decision(by="ana", evidence=EVIDENCE))
    assert (await handle.result()).outcome is Outcome.promoted
    await until_listed_as_ended(client, handle)
    return handle, asked


async def test_given_a_promoted_one_when_it_is_reset_to_its_first_step_then_it_is_refused_and_nothing_runs(
    client: Client, world: World
) -> None:
    handle, _ = await promoted(client, world)
    before = list(world.names)
    await reset(client, handle)
    status = await asyncio.wait_for(handle.result(), 30)
    assert status.outcome is Outcome.refused
    assert "this promotion has ended already (promoted at 20" in status.reason
    assert (world.names, status.ledger) == (before, ())


async def test_given_a_promoted_one_when_it_is_reset_to_where_it_asked_and_is_aborted_then_what_it_did_stays(
    client: Client, world: World
) -> None:
    handle, asked = await promoted(client, world)
    before = list(world.names)
    await reset(client, handle, asked, **WITHOUT_DECISIONS)
    await until_asked(handle)
    await send_update(handle, "abort", OperatorCommand(by="ana"))
    status = await asyncio.wait_for(handle.result(), 30)
    assert status.outcome is Outcome.aborted
    assert world.names == before
    assert {entry.state for entry in status.ledger} == {LedgerState.kept}
    [commit] = [entry for entry in status.ledger if entry.stage is StageName.taskdef]
    assert commit.note.startswith("this promotion ended before (promoted at 20")


async def test_given_a_promoted_one_when_it_is_reset_to_where_it_asked_and_is_approved_then_nothing_is_done_again(
    client: Client, world: World
) -> None:
    handle, asked = await promoted(client, world)
    before = list(world.names)
    await reset(client, handle, asked, **WITHOUT_DECISIONS)
    await until_asked(handle)
    await send_update(handle, "approve", Decision(by="ana", evidence=EVIDENCE))
    status = await asyncio.wait_for(handle.result(), 30)
    assert status.outcome is Outcome.refused
    assert "running set_approval" in status.reason
    assert world.names == before
    assert {entry.state for entry in status.ledger} == {LedgerState.kept}


async def test_given_a_promoted_one_when_it_is_reset_into_its_rollout_then_the_endpoint_is_not_touched_again(
    client: Client, world: World
) -> None:
    handle, _ = await promoted(client, world)
    before = list(world.names)
    await reset(client, handle, await step_before(handle, EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED))
    status = await asyncio.wait_for(handle.result(), 30)
    assert "running prepare_endpoint" in status.reason
    assert status.outcome is Outcome.refused
    assert world.names == before


async def step_before(handle: Handle, kind: EventType.ValueType) -> int:
    """The step that made the first event of a kind."""
    made = next(event.event_id for event in (await handle.fetch_history()).events if event.event_type == kind)
    return max(step for step in await steps(handle) if step < made)


async def last_step(handle: Handle) -> int:
    return (await steps(handle))[-1]


async def steps(handle: Handle) -> list[int]:
    """The workflow tasks that were completed."""
    history = (await handle.fetch_history()).events
    return [event.event_id for event in history if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED]


async def reset(client: Client, handle: Handle, step: int | None = None, **more: Any) -> None:
    """What `temporal workflow reset` does: to the first step, or to another."""
    await client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=handle.id),
            reason="tried",
            workflow_task_finish_event_id=step or (await steps(handle))[0],
            request_id=str(uuid4()),
            **more,
        )
    )


@pytest.mark.parametrize(
    "repeated",
    [{"cron_schedule": "@every 1s"}, {"retry_policy": RetryPolicy(maximum_attempts=2)}],
    ids=["cron schedule", "retry policy"],
)
async def test_given_a_start_that_temporal_repeats_when_it_brings_its_own_state_then_each_run_is_refused(
    client: Client, world: World, repeated: dict[str, Any]
) -> None:
    asked = request()
    forged = PromotionInput(**asked.model_dump(), carried=PromotionState(current=StageName.rollout).model_dump(mode="json"))
    promotion_id = asked.promotion_id
    handle = await client.start_workflow(PROMOTION, forged, id=promotion_id, task_queue=world.task_queue, **repeated)
    runs = [handle.first_execution_run_id]
    if "cron_schedule" in repeated:
        runs.append(await next_run(client, promotion_id, *runs))
    for run in runs:
        handle = client.get_workflow_handle(promotion_id, run_id=run, result_type=PromotionStatus)
        await until(handle, lambda status: status.outcome is Outcome.refused, "the refusal")
    if "cron_schedule" in repeated:
        await client.get_workflow_handle(promotion_id).terminate()
    assert world.calls == []


async def next_run(client: Client, promotion_id: str, former: str | None) -> str:
    """The id of the run after this one."""
    async with asyncio.timeout(30):
        while (run := (await client.get_workflow_handle(promotion_id).describe()).run_id) == former:  # noqa: ASYNC110 -- Temporal decides
            await asyncio.sleep(0.05)
    return run
