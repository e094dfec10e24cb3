"""What only waits has a task queue of its own, so that short steps and the way back never stand behind it."""

from __future__ import annotations

import asyncio
from uuid import uuid4

from temporalio.client import Client

from slipway.api import OperatorCommand, Outcome
from slipway.temporal.start import send_update, start_promotion
from tests.support.waiting import until
from tests.support.world import World, request, working_without_followers


async def test_given_no_follower_that_is_free_when_a_promotion_is_aborted_then_its_effects_are_undone(client: Client) -> None:
    world = World(task_queue=f"test-{uuid4()}")
    spec = world.spec.spec
    unscanned = spec.model_copy(update={"image": spec.image.model_copy(update={"scan": None})})
    world.spec = world.spec.model_copy(update={"spec": unscanned})
    async with working_without_followers(client, world):
        handle, _ = await start_promotion(client, request(), world.task_queue)
        await until(handle, lambda status: status.task is not None, "the task to start")
        await send_update(handle, "abort", OperatorCommand(by="ana"))
        status = await asyncio.wait_for(handle.result(), 20)
    assert status.outcome is Outcome.aborted
    assert world.names[-4:] == ["stop_task", "find_execution", "stop_execution", "revert_image"]
