"""`slipway list`."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import Client

from slipway.api import AppRef, StageName
from slipway.cli.list import NARROW, table_of
from slipway.cli.out import Out
from slipway.temporal.search_attributes import State
from slipway.temporal.start import start_promotion
from tests.support.shell import Shell
from tests.support.waiting import until_parked
from tests.support.world import World, needs_person, request


async def until_listed(shell: Shell, promotion_id: str, *arguments: str) -> dict[str, Any]:
    """What is listed comes a little later than what is."""
    async with asyncio.timeout(20):
        while True:
            done = await shell.slipway("list", *arguments, "--json")
            assert done.code == 0, done.err
            for row in done.lines:
                if row["id"] == promotion_id:
                    return row


async def test_given_a_parked_promotion_when_it_is_listed_by_state_and_stage_then_it_is_found(
    shell: Shell, world: World, client: Client
) -> None:
    world.fail("write_image", needs_person())
    handle, _ = await start_promotion(client, request(), world.task_queue)
    await until_parked(handle, StageName.taskdef)
    row = await until_listed(shell, handle.id, "--state", "parked", "--stage", "taskdef")
    assert (row["stage"], row["state"], row["waiting_for"]) == ("taskdef", "parked", "retry or abort")
    started = datetime.strptime(row["started_at"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    assert (datetime.now(UTC) - started).total_seconds() < 600
    assert row["closed_at"] == ""
    await handle.terminate()


async def test_given_a_promotion_that_no_worker_took_when_it_is_listed_by_app_then_it_is_found(
    shell: Shell, world: World, client: Client
) -> None:
    app = f"app-{uuid4().hex[:8]}"
    asked = request(app=AppRef(repository="file:///repositories/app.git", folder=f"apps/{app}"), attempt=2)
    handle, _ = await start_promotion(client, asked, f"nobody-{uuid4()}")
    row = await until_listed(shell, handle.id, "--app", app)
    assert (row["app"], row["state"]) == (app, "running")
    await handle.terminate()
    async with asyncio.timeout(20):
        while (await until_listed(shell, handle.id, "--app", app))["state"] != "terminated":
            pass


@pytest.mark.parametrize(
    ("arguments", "choices"), [(("--state", "foo"), [state.value for state in State]), (("--stage", "nonsense"), list(StageName))]
)
async def test_given_a_filter_that_nothing_can_match_then_it_is_refused_with_the_choices(
    shell: Shell, world: World, arguments: tuple[str, str], choices: list[str]
) -> None:
    done = await shell.slipway("list", *arguments)
    assert done.code == 2
    assert arguments[1] in done.err
    assert all(choice in done.err for choice in choices)


async def test_given_nothing_that_matches_then_it_says_so(shell: Shell, world: World) -> None:
    done = await shell.slipway("list", "--app", "no-such-app")
    assert (done.code, done.out) == (0, "no promotions\n")


async def test_given_a_pipe_when_promotions_are_listed_then_no_line_is_filled_with_spaces(
    shell: Shell, world: World, client: Client
) -> None:
    handle, _ = await start_promotion(client, request(), world.task_queue)
    await until_listed(shell, handle.id)
    for arguments in (("list",), ("list", "--wide"), ("status", handle.id)):
        done = await shell.slipway(*arguments)
        assert all(line == line.rstrip() for line in done.out.splitlines())
    await handle.terminate()


def test_given_the_longest_names_then_they_are_whole_and_fit_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    row = {"id": f"{'a' * 32}-{'0' * 12}-999", "stage": "approval", "state": "rolled-back", "age": "119m"}
    Out(as_json=False).show_whole(table_of([row], NARROW))
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == list(row.values())
    assert max(map(len, lines)) <= 80
