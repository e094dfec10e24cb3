"""A promotion whose history has grown goes on in a new run, at its next wait."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from demo.stack import base_environment
from demo.temporal import TemporalServer
from slipway.api import Decision, Outcome, PromotionStatus
from slipway.temporal.setup import set_up
from slipway.temporal.start import send_update, start_promotion
from tests.support.waiting import until_asked
from tests.support.world import EVIDENCE, World, request, working

SUGGESTED = 40
"""Events after which this server suggests to continue as new; a promotion has more when it waits for approval."""


@pytest.fixture
def hasty_server(tmp_path: Path) -> Iterator[TemporalServer]:
    server = TemporalServer(
        tmp_path,
        base_environment(tmp_path),
        *("--dynamic-config-value", f"limit.historyCount.suggestContinueAsNew={SUGGESTED}"),
    )
    server.start()
    yield server
    server.process.stop()


async def test_given_a_history_that_has_grown_when_people_are_asked_then_a_new_run_asks_them_until_the_same_time(
    hasty_server: TemporalServer,
) -> None:
    client = await Client.connect(hasty_server.address, data_converter=pydantic_data_converter)
    await set_up(client)
    world = World(task_queue=f"test-{uuid4()}")
    async with working(client, world):
        handle, _ = await start_promotion(client, request(), world.task_queue)
        first_run = (await handle.describe()).run_id
        asked = await until_asked(handle)
        await handle.signal("approve", {"by": "nobody"})
        while (await handle.describe()).run_id == first_run:  # noqa: ASYNC110 -- another process decides
            await asyncio.sleep(0.05)
        again = await handle.query("status", result_type=PromotionStatus)
        assert again.waiting_for == asked.waiting_for
        await send_update(handle, "approve", Decision(by="ana", evidence=EVIDENCE))
        assert (await asyncio.wait_for(handle.result(), 30)).outcome is Outcome.promoted
    assert world.names.count("gather_evidence") == 1
