"""`slipway evidence`: what a decision is about, before it and after the end, with a hash that is computed again."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from temporalio.client import Client

from demo.temporal import TemporalServer
from slipway.api import Decision, PromotionStatus
from slipway.cli import reading
from slipway.evidence_hash import hash_of
from slipway.temporal.start import Handle, send_update, start_promotion
from tests.support.shell import Shell
from tests.support.waiting import until_asked
from tests.support.world import EVIDENCE, World, approval, refused, request, working


async def asked(client: Client, world: World) -> tuple[Handle, PromotionStatus]:
    """A promotion that waits for approval, of evidence with its own hash."""
    world.evidence = ""
    handle, _ = await start_promotion(client, request(), world.task_queue)
    return handle, await until_asked(handle)


async def test_given_a_waiting_promotion_then_the_evidence_has_gates_champion_rollback_and_hash(
    shell: Shell, world: World, client: Client
) -> None:
    handle, status = await asked(client, world)
    done = await shell.slipway("evidence", handle.id)
    assert (done.code, done.err) == (0, "")
    rows = [line.split() for line in done.out.splitlines()]
    assert rows[:2] == [
        ["gate", "challenger", "champion", "rule", "verdict"],
        ["accuracy", "0.95", "-", "min", "0.9", "met"],
    ]
    assert "champion  screening-prod: none" in done.out
    assert "rollback  the former config is put back" in done.out
    assert f"evidence  {status.evidence}" in done.out
    assert "mismatch" not in done.out
    await handle.terminate()


async def test_given_a_promotion_that_is_over_then_its_evidence_is_printed_whole_with_a_hash_that_fits(
    shell: Shell, world: World, client: Client
) -> None:
    handle, status = await asked(client, world)
    assert status.evidence
    await send_update(handle, "approve", Decision(by="ana", evidence=status.evidence))
    await handle.result()
    done = await shell.slipway("evidence", handle.id, "--json")
    assert done.code == 0, done.err
    [document] = done.lines
    assert document["metrics"] == {"accuracy": 0.95}
    assert document["hash"] == status.evidence == hash_of(document)


async def test_given_evidence_with_another_hash_then_it_is_shown_and_the_mismatch_is_an_error(
    shell: Shell, world: World, client: Client
) -> None:
    handle, _ = await start_promotion(client, request(), world.task_queue)
    await until_asked(handle)
    done = await shell.slipway("evidence", handle.id)
    assert done.code == 1
    assert "mismatch  what is shown has the hash " in done.out
    assert f"the evidence names the hash {EVIDENCE}, but what is shown has the hash " in done.err
    await handle.terminate()


async def test_given_a_promotion_that_ended_without_evidence_then_it_says_so(shell: Shell, world: World, client: Client) -> None:
    world.fail("resolve_image", refused())
    handle, _ = await start_promotion(client, request(), world.task_queue)
    await handle.result()
    done = await shell.slipway("evidence", handle.id)
    assert done.code == 2
    assert "there is none: the promotion ended before its model was judged (refused)" in done.err
    assert f"`slipway status {handle.id}` shows how it ended" in done.err


async def test_given_no_worker_then_the_evidence_of_a_finished_promotion_says_what_is_needed(
    temporal: TemporalServer, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "QUERY_TIMEOUT", timedelta(seconds=1))
    world = World(task_queue=f"test-{uuid4()}")
    world.set_approval(approval(mode="auto"))
    async with working(client, world):
        handle, _ = await start_promotion(client, request(), world.task_queue)
        await handle.result()
    done = await Shell(temporal, world.task_queue, tmp_path).slipway("evidence", handle.id)
    assert done.code == 1
    assert "the promotion has finished (promoted), and only a worker can read its evidence" in done.err
    assert f"start a worker (`slipway-worker`) for the task queue {world.task_queue}" in done.err


async def test_given_evidence_then_the_status_has_the_gates_and_the_champions_also_after_the_end(
    shell: Shell, world: World, client: Client
) -> None:
    world.accuracy = 0.5
    handle, _ = await start_promotion(client, request(), world.task_queue)
    await handle.result()
    done = await shell.slipway("status", handle.id)
    assert ["accuracy", "0.5", "-", "min", "0.9", "not", "met"] in [line.split() for line in done.out.splitlines()]
    assert "champion of screening-prod: none" in done.out
    assert f"evidence: $ slipway evidence {handle.id}" in done.out
