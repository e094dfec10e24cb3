"""What Temporal's own buttons do to the workflows: docs/operations.md promises this. The real parts: tests/scenarios."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from temporalio.api.workflowservice.v1 import PauseWorkflowExecutionRequest, UnpauseWorkflowExecutionRequest
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError, WorkflowHandle

from demo.temporal import TemporalServer
from slipway.api import Decision, OperatorCommand, Outcome, StageName
from slipway.temporal.payloads import data_converter
from slipway.temporal.setup import set_up
from slipway.temporal.start import Handle, send_update, start_promotion
from tests.support.servers import temporal_server
from tests.support.waiting import until_asked, until_parked
from tests.support.world import EVIDENCE, World, request, working

UNDO = {"revert_image", "stop_task", "stop_execution", "withdraw_approval", "restore_endpoint"}


async def in_rollout(client: Client, world: World) -> tuple[Handle, WorkflowHandle[object, object]]:
    """A promotion whose endpoint is being updated, and its rollout."""
    world.hold("follow_endpoint")
    handle, _ = await start_promotion(client, request(), world.task_queue)
    await until_asked(handle)
    await send_update(handle, "approve", Decision(by="ana", evidence=EVIDENCE))
    await asyncio.wait_for(world.entered["follow_endpoint"].wait(), 30)
    return handle, client.get_workflow_handle(f"{handle.id}-screening-prod-us-east-1")


async def until_closed(handle: WorkflowHandle[object, object]) -> WorkflowExecutionStatus | None:
    """How a workflow was closed that did not end well."""
    with pytest.raises(WorkflowFailureError):
        await asyncio.wait_for(handle.result(), 30)
    return (await handle.describe()).status


async def test_given_a_rollout_when_its_promotion_is_terminated_then_the_rollout_is_cancelled_and_nothing_is_undone(
    client: Client, world: World
) -> None:
    handle, rollout = await in_rollout(client, world)
    await handle.terminate()
    assert await until_closed(rollout) is WorkflowExecutionStatus.CANCELED
    assert not UNDO & set(world.names)


async def test_given_a_rollout_that_is_terminated_when_an_operator_retries_then_a_new_one_goes_on(
    client: Client, world: World
) -> None:
    handle, rollout = await in_rollout(client, world)
    await rollout.terminate()
    await until_parked(handle, StageName.rollout)
    world.held["follow_endpoint"].set()
    await send_update(handle, "retry", OperatorCommand(by="ana"))
    assert (await asyncio.wait_for(handle.result(), 30)).outcome is Outcome.promoted


@pytest.fixture
def pausing_server(tmp_path: Path) -> Iterator[TemporalServer]:
    """A server that lets workflows be paused, which is off by default."""
    with temporal_server(tmp_path, "frontend.WorkflowPauseEnabled=true") as server:
        yield server


async def test_given_a_promotion_that_asks_when_it_is_paused_then_a_decision_counts_once_it_goes_on(
    pausing_server: TemporalServer,
) -> None:
    client = await Client.connect(pausing_server.address, data_converter=data_converter)
    await set_up(client)
    world = World(task_queue=f"test-{uuid4()}")
    async with working(client, world):
        handle, _ = await start_promotion(client, request(), world.task_queue)
        await until_asked(handle)
        which = {"namespace": client.namespace, "workflow_id": handle.id, "reason": "tried"}
        service = client.workflow_service
        await service.pause_workflow_execution(PauseWorkflowExecutionRequest(**which, request_id=str(uuid4())))
        await handle.signal("approve", {"by": "ana", "evidence": EVIDENCE})
        await service.unpause_workflow_execution(UnpauseWorkflowExecutionRequest(**which, request_id=str(uuid4())))
        assert (await asyncio.wait_for(handle.result(), 30)).outcome is Outcome.promoted
