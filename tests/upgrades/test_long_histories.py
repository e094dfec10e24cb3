"""A promotion whose history has grown goes on in a new run, at its next wait."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import UnsandboxedWorkflowRunner

from demo.temporal import TemporalServer
from slipway.api import Decision, OperatorCommand, Outcome, PromotionStatus, StageName, StageState
from slipway.temporal.setup import set_up
from slipway.temporal.start import Handle, send_update, start_promotion
from tests.support.servers import temporal_server
from tests.support.waiting import state_of, summary_of, until, until_asked, until_parked
from tests.support.world import EVIDENCE, World, needs_person, request, working
from workflows import new_run

SUGGESTED = 40
"""Events after which this server suggests to continue as new; a promotion has more when it waits for approval."""

FEW = 120
"""Events that a run takes in the last test; a promotion has fewer when it waits for approval."""


@pytest.fixture
def hasty_server(tmp_path: Path) -> Iterator[TemporalServer]:
    with temporal_server(tmp_path, f"limit.historyCount.suggestContinueAsNew={SUGGESTED}") as server:
        yield server


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
        await until_new_run(handle, first_run)
        again = await handle.query("status", result_type=PromotionStatus)
        assert again.waiting_for == asked.waiting_for
        await send_update(handle, "approve", Decision(by="ana", evidence=EVIDENCE))
        assert (await asyncio.wait_for(handle.result(), 30)).outcome is Outcome.promoted
    assert world.names.count("gather_evidence") == 1


async def until_new_run(handle: Handle, former: str | None) -> None:
    """Wait until the promotion goes on in another run."""
    async with asyncio.timeout(45):
        while (await handle.describe()).run_id == former:  # noqa: ASYNC110 -- another process decides
            await asyncio.sleep(0.05)


async def when_large_signals_come(handle: Handle) -> None:
    """More than 2 MB of them, one after the other: less than the 4 MiB at which the server itself suggests a new run."""
    former = (await handle.describe()).run_id
    for number in range(1, 4):
        await handle.signal("abort", {"by": "eve", "reason": "r" * 900_000})
        await until(handle, lambda status, number=number: len(status.notices) >= number, f"the signal {number} to be refused")
    await until_new_run(handle, former)


async def test_given_a_promotion_that_asks_when_large_signals_come_then_a_new_run_asks_the_same(
    client: Client, world: World
) -> None:
    handle, _ = await start_promotion(client, request(), world.task_queue)
    asked = await until_asked(handle)
    await when_large_signals_come(handle)
    again = await until_asked(handle)
    assert again.waiting_for == asked.waiting_for
    assert "the signal abort was refused" in again.notices[-1]
    await send_update(handle, "approve", Decision(by="ana", evidence=EVIDENCE))
    assert (await asyncio.wait_for(handle.result(), 30)).outcome is Outcome.promoted
    assert world.names.count("gather_evidence") == 1


async def test_given_a_parked_promotion_when_large_signals_come_then_a_new_run_waits_for_retry(
    client: Client, world: World
) -> None:
    world.fail("read_app", needs_person())
    handle, _ = await start_promotion(client, request(), world.task_queue)
    parked = await until_parked(handle, StageName.image)
    await when_large_signals_come(handle)
    assert (await until_parked(handle, StageName.image)).waiting_for == parked.waiting_for
    await send_update(handle, "retry", OperatorCommand(by="ana"))
    await until_asked(handle)
    await handle.terminate()


async def test_given_an_undoing_that_is_parked_when_large_signals_come_then_a_new_run_undoes_what_is_left(
    client: Client, world: World
) -> None:
    world.fail("revert_image", needs_person())
    handle, _ = await start_promotion(client, request(), world.task_queue)
    await until_asked(handle)
    await send_update(handle, "abort", OperatorCommand(by="ana"))
    parked = await until(handle, lambda status: bool(status.waiting_for and status.waiting_for.failure), "the undoing to park")
    await when_large_signals_come(handle)
    again = await until(handle, lambda status: status.waiting_for is not None, "the undoing to be parked")
    assert (again.waiting_for, again.outcome) == (parked.waiting_for, None)
    await send_update(handle, "retry", OperatorCommand(by="ana"))
    assert (await asyncio.wait_for(handle.result(), 30)).outcome is Outcome.aborted
    assert (world.names.count("withdraw_approval"), world.names.count("revert_image")) == (1, 2)


async def test_given_a_soak_when_large_signals_come_then_a_new_run_soaks_on(client: Client, world: World) -> None:
    world.set_waves(("canary",), ("prod",), soak=timedelta(days=1))
    handle, _ = await start_promotion(client, request(), world.task_queue)
    await until_asked(handle)
    await send_update(handle, "approve", Decision(by="ana", evidence=EVIDENCE))
    soaking = await until(handle, lambda status: "wave 2 follows" in summary_of(status, StageName.rollout), "the soak")
    await when_large_signals_come(handle)
    again = await until(handle, lambda status: state_of(status, StageName.rollout) is StageState.running, "the soak")
    assert summary_of(again, StageName.rollout) == summary_of(soaking, StageName.rollout)
    assert world.names.count("update_endpoint") == 1
    await handle.terminate()


async def test_given_more_refused_signals_than_a_run_takes_when_it_asks_then_a_new_run_does(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(new_run, "EVENTS", FEW)
    world = World(task_queue=f"test-{uuid4()}")
    async with working(client, world, UnsandboxedWorkflowRunner()):
        handle, _ = await start_promotion(client, request(), world.task_queue)
        await until_asked(handle)
        first_run = (await handle.describe()).run_id
        for _ in range(FEW):
            await handle.signal("approve", {"by": "eve"})
        await until_new_run(handle, first_run)
        await send_update(handle, "approve", Decision(by="ana", evidence=EVIDENCE))
        assert (await asyncio.wait_for(handle.result(), 30)).outcome is Outcome.promoted
