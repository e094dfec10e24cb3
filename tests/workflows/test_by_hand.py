"""What somebody starts by hand in the namespace, past the promotion: it is refused, and nothing runs."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest
from temporalio import workflow
from temporalio.client import ActivityFailureError, Client, WorkflowFailureError
from temporalio.exceptions import ApplicationError, ChildWorkflowError
from temporalio.worker import Worker

from activities.endpoints.messages import PlanRollout, RolloutRequest
from activities.endpoints.plan import plan_rollout
from activities.registry import SetApproval
from slipway.api import AppRef, ModelPackage, rollout_queue
from slipway.app.spec import Target
from slipway.temporal.connect import ROLLOUT
from slipway.temporal.start import start_promotion
from tests.support.waiting import until_asked
from tests.support.world import SPEC, World, request

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
