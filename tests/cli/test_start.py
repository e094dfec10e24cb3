"""`slipway start` against a real server, with a worker of activities written by hand."""

from __future__ import annotations

import asyncio
import json
from uuid import uuid4

import pytest
from temporalio.client import Client

from slipway.cli.start import by_digest
from slipway.errors import RefusedError
from slipway.temporal.start import attempt_of, find_latest, promotion, start_promotion
from tests.support.shell import Shell, start_arguments
from tests.support.waiting import until_asked
from tests.support.world import World, approval, request


async def test_given_gates_that_decide_alone_when_it_is_started_with_wait_then_it_follows_to_the_end(
    shell: Shell, world: World
) -> None:
    world.set_approval(approval(mode="auto"))
    asked = request()
    done = await shell.process(*start_arguments(asked), "--wait")
    assert (done.code, done.err) == (0, "")
    assert f"promotion {asked.promotion_id} started" in done.out
    assert "✓ rollout done" in done.out
    assert done.out.splitlines()[-1] == f"promotion {asked.promotion_id}: promoted"


async def test_given_a_ci_job_that_runs_twice_then_the_second_says_that_it_exists_and_where_it_is(
    shell: Shell, world: World, client: Client
) -> None:
    asked = request()
    first = await shell.slipway(*start_arguments(asked), "--json")
    await until_asked(promotion(client, asked.promotion_id))
    second = await shell.slipway(*start_arguments(asked), "--json")
    assert (first.code, second.code) == (0, 0)
    assert first.lines[0]["id"] == second.lines[0]["id"] == asked.promotion_id
    assert (first.lines[0]["started"], second.lines[0]["started"]) == (True, False)
    said = (await shell.slipway(*start_arguments(asked))).out.splitlines()
    exists = f"promotion {asked.promotion_id} already exists for this app and digest"
    assert said[0].startswith(f"{exists}: waiting at approval, started ")
    assert said[1] == f"follow it with: slipway watch {asked.promotion_id}"
    await promotion(client, asked.promotion_id).terminate()


async def test_given_a_refused_promotion_when_it_is_started_once_more_then_it_says_how_it_ended_and_what_to_do(
    shell: Shell, world: World, client: Client
) -> None:
    world.accuracy = 0.5
    asked = request()
    handle, _ = await start_promotion(client, asked, world.task_queue)
    await handle.result()
    done = await shell.slipway(*start_arguments(asked), "--wait")
    assert done.code == 3
    said = done.out.splitlines()
    assert said[0].startswith(f"promotion {asked.promotion_id} already exists for this app and digest: refused ")
    assert "a gate is not met: accuracy: 0.5 does not meet min 0.9" in said[1]
    assert said[2] == "nothing was started; fix the cause, then start the next attempt with --again"
    told = (await shell.slipway(*start_arguments(asked), "--json")).lines[0]
    assert (told["started"], told["state"], told["outcome"]) == (False, "refused", "refused")


async def test_given_a_promoted_digest_when_its_ci_job_runs_again_then_that_is_no_failure(
    shell: Shell, world: World, client: Client
) -> None:
    world.set_approval(approval(mode="auto"))
    asked = request()
    handle, _ = await start_promotion(client, asked, world.task_queue)
    await handle.result()
    done = await shell.slipway(*start_arguments(asked))
    assert done.code == 0
    assert "already exists for this app and digest: promoted" in done.out
    assert "nothing was started" in done.out


async def test_given_a_promotion_that_was_terminated_when_it_is_started_once_more_then_it_says_so(
    shell: Shell, world: World, client: Client
) -> None:
    asked = request()
    handle, _ = await start_promotion(client, asked, world.task_queue)
    await handle.terminate()
    done = await shell.slipway(*start_arguments(asked))
    assert done.code == 3
    assert "already exists for this app and digest: terminated" in done.out


async def test_given_attempts_that_are_over_when_it_is_started_again_then_the_next_one_starts(
    shell: Shell, world: World, client: Client
) -> None:
    asked = request()
    for attempt in (1, 2):
        handle, _ = await start_promotion(client, attempt_of(asked, attempt), world.task_queue)
        await handle.terminate()
    done = await shell.slipway(*start_arguments(asked), "--again", "--json")
    assert done.code == 0
    assert (done.lines[0]["id"], done.lines[0]["started"]) == (f"{asked.promotion_id}-3", True)
    await promotion(client, f"{asked.promotion_id}-3").terminate()


async def test_given_a_promotion_that_runs_when_it_is_started_again_then_that_is_refused(
    shell: Shell, world: World, client: Client
) -> None:
    asked = request()
    handle, _ = await start_promotion(client, asked, world.task_queue)
    await until_asked(handle)
    done = await shell.slipway(*start_arguments(asked), "--again", "--json")
    assert (done.code, done.out) == (2, "")
    assert "has not finished: waiting at approval" in done.error["answered"]
    assert f"slipway abort {handle.id}" in done.error["remedy"]
    await handle.terminate()


async def test_given_a_digest_that_never_ran_when_it_is_started_again_then_the_first_attempt_starts(
    shell: Shell, world: World, client: Client
) -> None:
    asked = request()
    done = await shell.slipway(*start_arguments(asked), "--again", "--json")
    assert done.lines[0]["id"] == asked.promotion_id
    await promotion(client, asked.promotion_id).terminate()


async def test_given_first_attempts_that_temporal_has_forgotten_then_the_newest_is_found(client: Client, world: World) -> None:
    asked = request()
    handle, _ = await start_promotion(client, attempt_of(asked, 7), world.task_queue)
    async with asyncio.timeout(20):  # what is listed comes a little later than what is
        while (latest := await find_latest(client, asked)) is None:
            pass
    assert (latest[0], latest[1].id) == (7, f"{asked.promotion_id}-7")
    await handle.terminate()


async def test_given_no_worker_when_it_is_started_then_a_warning_says_so(shell: Shell, world: World, client: Client) -> None:
    queue = f"nobody-{uuid4()}"
    asked = request()
    done = await shell.slipway(*start_arguments(asked), "--json", SLIPWAY_TASK_QUEUE=queue)
    [warning] = done.lines[0]["warnings"]
    assert (done.code, json.loads(done.err)) == (0, {"warning": warning})
    assert f"no worker polls the task queue {queue} in the namespace default" in warning
    told = await shell.slipway(*start_arguments(asked))
    assert told.err == f"warning: {warning}\n"
    await promotion(client, asked.promotion_id).terminate()


async def test_given_a_worker_and_the_uis_address_when_it_is_started_then_its_page_is_shown_and_nothing_is_warned_of(
    shell: Shell, world: World, client: Client
) -> None:
    asked = request()
    handle, _ = await start_promotion(client, asked, world.task_queue)
    await until_asked(handle)  # by then the worker has polled
    done = await shell.slipway(*start_arguments(asked), "--json", SLIPWAY_UI_URL="https://ui.example.org/")
    assert done.lines[0]["warnings"] == []
    assert done.lines[0]["url"] == f"https://ui.example.org/namespaces/default/workflows/{asked.promotion_id}"
    await promotion(client, asked.promotion_id).terminate()


def test_given_a_tag_on_another_registry_when_its_digest_is_looked_up_then_it_is_refused_with_what_shows_it() -> None:
    with pytest.raises(RefusedError, match=r"it is in ghcr\.io -- give it by digest, which `docker buildx imagetools inspect"):
        by_digest("ghcr.io/acme/screening:v1")


def test_given_a_digest_on_another_registry_when_it_is_read_then_it_is_taken_as_it_is() -> None:
    image = f"ghcr.io/acme/screening@sha256:{'0' * 64}"
    assert by_digest(image) == image
