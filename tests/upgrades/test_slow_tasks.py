"""A machine that is too busy for a moment: no workflow may be lost by it."""

from __future__ import annotations

from uuid import uuid4

import pytest
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from slipway.temporal.runner import guarded_worker
from tests.support.slow_at_first import MUCH_TOO_LONG, TOO_LONG, SlowAtFirst, SlowToAnswer, options_of_slow


@pytest.fixture
def queue() -> str:
    return f"test-{uuid4()}"


async def tries_of(client: Client, queue: str, worker: Worker, seconds: float) -> list[str]:
    async with worker:
        return await client.execute_workflow(SlowAtFirst.run, seconds, id=queue, task_queue=queue)


async def test_given_a_task_that_is_slow_once_when_it_takes_too_long_then_it_ends_by_itself_and_is_done_again(
    client: Client, queue: str
) -> None:
    worker = guarded_worker(Worker, UnsandboxedWorkflowRunner(), **options_of_slow(client, queue))
    assert await tries_of(client, queue, worker, TOO_LONG) == ["slow"]


async def test_given_the_sdk_alone_then_the_task_is_interrupted(client: Client, queue: str) -> None:
    """Where this fails, the SDK is corrected, and `get_thread_id` of slipway/temporal/runner.py is needed no more."""
    worker = Worker(**options_of_slow(client, queue), workflow_runner=UnsandboxedWorkflowRunner())
    assert await tries_of(client, queue, worker, MUCH_TOO_LONG) == ["interrupted"]


async def test_given_a_query_that_is_slow_once_when_it_is_asked_then_it_is_asked_again(client: Client, queue: str) -> None:
    async with guarded_worker(Worker, UnsandboxedWorkflowRunner(), **options_of_slow(client, queue)):
        await client.execute_workflow(SlowToAnswer.run, id=queue, task_queue=queue)
        assert await client.get_workflow_handle(queue).query(SlowToAnswer.asked, TOO_LONG) == ["once"]
