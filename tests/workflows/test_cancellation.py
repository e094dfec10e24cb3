"""Request Cancellation in the Temporal UI is an abort, whatever is under way when it comes."""

from __future__ import annotations

import asyncio
from uuid import uuid4

from temporalio import activity
from temporalio.client import Client

from activities.images.messages import ResolvedImage, ResolveImage
from slipway.api import Outcome
from slipway.temporal.start import start_promotion
from tests.support.world import World, request, working


class Stubborn(World):
    """An outside whose image is found just as the cancellation comes, so that the step succeeds all the same."""

    @activity.defn
    async def resolve_image(self, asked: ResolveImage) -> ResolvedImage:
        self.entered["resolve_image"].set()
        try:
            while True:
                activity.heartbeat()
                await asyncio.sleep(0.02)
        except asyncio.CancelledError:
            return await super().resolve_image(asked)


async def test_given_a_step_that_ends_well_when_the_workflow_is_cancelled_meanwhile_then_the_promotion_is_aborted(
    client: Client,
) -> None:
    outside = Stubborn(task_queue=f"test-{uuid4()}")
    async with working(client, outside):
        handle, _ = await start_promotion(client, request(), outside.task_queue)
        await asyncio.wait_for(outside.entered["resolve_image"].wait(), timeout=20)

        await handle.cancel()

        status = await asyncio.wait_for(handle.result(), timeout=20)
    assert (status.outcome, status.reason) == (Outcome.aborted, "it was cancelled in Temporal")
    assert "copy_image" not in outside.names
