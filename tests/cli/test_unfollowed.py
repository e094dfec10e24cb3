"""A promotion whose history the worker's code does not follow."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from uuid import uuid4

from temporalio import workflow
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from demo.temporal import TemporalServer
from slipway.temporal.start import start_promotion
from tests.support.shell import Shell
from tests.support.waiting import until_asked
from tests.support.world import World, request, working


@workflow.defn(name="PromotionWorkflow")
class Otherwise:
    """It begins with a timer, where promotions read the application's files."""

    @workflow.run
    async def run(self, *payloads: Any) -> None:
        del payloads
        await asyncio.sleep(3600)


async def test_given_code_that_does_not_follow_its_history_when_the_status_is_asked_then_it_says_where_the_cure_is(
    client: Client, temporal: TemporalServer, tmp_path: Path
) -> None:
    world = World(task_queue=f"test-{uuid4()}")
    async with working(client, world):
        handle, _ = await start_promotion(client, request(), world.task_queue)
        await until_asked(handle)
    queue, runner = world.task_queue, UnsandboxedWorkflowRunner()
    async with Worker(client, task_queue=queue, workflows=[Otherwise], workflow_runner=runner):
        asked = await Shell(temporal, queue, tmp_path).slipway("status", handle.id, "--json")
    assert asked.code == 1
    assert "no worker can follow its history: [TMPRL1100]" in asked.error["answered"]
    assert "Workflow tasks that fail" in asked.error["remedy"]
    await handle.terminate()
