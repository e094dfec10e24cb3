"""Promotions whose image piped's event watcher has written, on the real server with activities written by hand."""

from __future__ import annotations

import pytest
from temporalio.client import Client

from slipway.api import LedgerState, OperatorCommand, Outcome, StageName
from slipway.temporal.start import send_update, start_promotion
from tests.support.waiting import summary_of, until_asked
from tests.support.world import SOURCE, World, request


@pytest.fixture
def piped(world: World) -> World:
    """The spec leaves the writing to piped, and copies nothing."""
    spec = world.spec.spec
    image = spec.image.model_copy(update={"target": spec.image.source})
    git = spec.git.model_copy(update={"writer": "pipecd"})
    world.push("a", image=image, git=git)
    return world


async def test_given_piped_as_the_writer_then_slipway_writes_nothing_and_runs_the_pinned_file_by_digest(
    client: Client, piped: World
) -> None:
    asked = request()
    handle, _ = await start_promotion(client, asked, piped.task_queue)
    status = await until_asked(handle)
    assert "write_image" not in piped.names
    [registered] = piped.asked("register_task_definition")
    assert (registered.image, registered.held, registered.commit) == (asked.image, f"{SOURCE}:v1", piped.head)
    assert summary_of(status, StageName.taskdef) == (
        f"taskdef.yaml: {SOURCE}:v1 since commit bbbbbbbbbbbb by piped (claimed); nothing was written"
    )


async def test_given_piped_as_the_writer_when_the_promotion_is_aborted_then_the_ledger_says_that_git_was_not_changed(
    client: Client, piped: World
) -> None:
    handle, _ = await start_promotion(client, request(), piped.task_queue)
    await until_asked(handle)
    await send_update(handle, "abort", OperatorCommand(by="ana"))
    status = await handle.result()
    assert status.outcome is Outcome.aborted
    assert "revert_image" not in piped.names
    [entry] = [entry for entry in status.ledger if entry.stage is StageName.taskdef]
    assert entry.state is LedgerState.kept
    assert entry.note.startswith("nothing was written to git")
