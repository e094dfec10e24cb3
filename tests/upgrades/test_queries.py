"""Queries at a bad moment: they must not let a workflow decide by half of what came, and must be answered."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import uuid4

import pytest
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import PollWorkflowTaskQueueRequest
from temporalio.client import Client, WorkflowHandle
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner, Worker

from demo.temporal import TemporalServer
from slipway.api import PromotionStatus, StageName, StageState
from slipway.temporal.runner import guarded_worker
from slipway.temporal.start import start_promotion
from tests.support.first_of_two import FirstOfTwo, options_of_two, worker_of_two
from tests.support.waiting import state_of, until_asked
from tests.support.world import World, request, working

Handle = WorkflowHandle[FirstOfTwo, str]
A_MOMENT = 0.5
"""Until the server has a query. It does not say so: a query without a worker waits where nobody can look."""


@pytest.fixture
def queue() -> str:
    return f"test-{uuid4()}"


@pytest.fixture
async def left(client: Client, temporal: TemporalServer, queue: str) -> AsyncIterator[Handle]:
    """A workflow whose worker was killed while it waited for signals."""
    command = (sys.executable, "-m", "tests.support.first_of_two", temporal.address, queue)
    worker = await asyncio.create_subprocess_exec(*command)
    handle = await client.start_workflow(FirstOfTwo.run, id=queue, task_queue=queue)
    await handle.query(FirstOfTwo.signals)  # so its first task is over
    worker.kill()
    await worker.wait()
    yield handle
    if not (await handle.describe()).close_time:
        await handle.terminate()


async def asked_in_between(handle: Handle, worker: Worker) -> str:
    """What it ends with, where somebody asks it before the first signal, and it answers before a worker has the task."""
    asked = asyncio.create_task(handle.query(FirstOfTwo.signals))
    await asyncio.sleep(A_MOMENT)
    await handle.signal(FirstOfTwo.put, "a")
    async with worker:
        assert await asked == ["a"]
        await handle.signal(FirstOfTwo.put, "b")
        return await handle.result()


async def is_followed(handle: Handle) -> bool:
    """Whether a replay of its history does the same."""
    replayer = Replayer(workflows=[FirstOfTwo], workflow_runner=UnsandboxedWorkflowRunner())
    return (await replayer.replay_workflow(await handle.fetch_history(), raise_on_replay_failure=False)).replay_failure is None


async def test_given_a_killed_worker_when_a_query_comes_before_the_task_then_the_workflow_decides_by_all_that_came(
    client: Client, queue: str, left: Handle
) -> None:
    worker = guarded_worker(Worker, UnsandboxedWorkflowRunner(), **options_of_two(client, queue))
    assert await asked_in_between(left, worker) == "both"
    assert await is_followed(left)


async def test_given_the_sdk_alone_then_the_history_is_one_that_no_replay_follows(
    client: Client, queue: str, left: Handle
) -> None:
    """Where this fails, the SDK is corrected, and slipway/temporal/runner.py is needed no more."""
    assert await asked_in_between(left, worker_of_two(client, queue)) == "a alone"
    assert not await is_followed(left)


async def test_given_a_worker_that_drops_a_query_when_it_is_asked_then_the_next_one_answers(client: Client, queue: str) -> None:
    world = World(task_queue=queue)
    async with working(client, world):
        handle, _ = await start_promotion(client, request(), queue)
        await until_asked(handle)
    poll = PollWorkflowTaskQueueRequest(namespace="default", task_queue=TaskQueue(name=queue), identity="drops what it gets")
    taken = asyncio.create_task(client.workflow_service.poll_workflow_task_queue(poll))
    asked = asyncio.create_task(handle.query("status", result_type=PromotionStatus, rpc_timeout=timedelta(seconds=10)))
    assert (await taken).query.query_type == "status"
    async with working(client, world):
        assert state_of(await asked, StageName.approval) is StageState.waiting
        await handle.terminate()
