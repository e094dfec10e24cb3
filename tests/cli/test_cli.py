"""The real command against a real server, with a worker of activities written by hand."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client
from temporalio.exceptions import ApplicationError

from demo.stack import BINARIES
from demo.temporal import TemporalServer
from slipway.api import PromotionRequest, StageName
from slipway.temporal.start import promotion, start_promotion
from tests.support.waiting import until_asked, until_parked
from tests.support.world import EVIDENCE, World, approval, needs_person, request


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


class Shell:
    """Somebody's shell, in which `slipway` is typed."""

    def __init__(self, temporal: TemporalServer, world: World, folder: Path) -> None:
        self.environment = {
            "PATH": f"{BINARIES}{os.pathsep}{os.environ.get('PATH', '')}",
            "HOME": str(folder),
            "TEMPORAL_ADDRESS": temporal.address,
            "SLIPWAY_TASK_QUEUE": world.task_queue,
            "SLIPWAY_USER": "ana",
        }

    async def slipway(self, *arguments: str, **environment: str) -> Done:
        process = await asyncio.create_subprocess_exec(
            str(BINARIES / "slipway"),
            *arguments,
            env={**self.environment, **environment},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        assert "\x1b" not in (out + err).decode(), "there are escapes off a terminal"
        return Done(process.returncode or 0, out.decode(), err.decode())


@pytest.fixture
def shell(temporal: TemporalServer, world: World, tmp_path: Path) -> Shell:
    return Shell(temporal, world, tmp_path)


def start_arguments(asked: PromotionRequest) -> list[str]:
    app = asked.app
    place = ["--repository", app.repository, "--branch", app.branch, "--folder", app.folder]
    return ["start", *place, "--image", asked.image, "--commit", asked.commit, "--requested-by", "ci"]


async def test_given_gates_that_decide_alone_when_it_is_started_with_wait_then_it_follows_to_the_end(
    shell: Shell, world: World
) -> None:
    world.set_approval(approval(mode="auto"))
    asked = request()
    done = await shell.slipway(*start_arguments(asked), "--wait")
    assert done.code == 0, done.err
    assert f"promotion {asked.promotion_id} started" in done.out
    assert "✓ rollout done" in done.out
    assert done.out.splitlines()[-1] == f"promotion {asked.promotion_id}: promoted"


async def test_given_a_ci_job_that_runs_twice_then_the_second_says_that_it_is_there(shell: Shell, world: World) -> None:
    asked = request()
    first = await shell.slipway(*start_arguments(asked), "--json")
    second = await shell.slipway(*start_arguments(asked), "--json")
    assert (first.code, second.code) == (0, 0)
    assert first.lines[0]["id"] == second.lines[0]["id"] == asked.promotion_id
    assert (first.lines[0]["started"], second.lines[0]["started"]) == (True, False)


async def test_given_a_gate_that_is_not_met_when_it_is_watched_then_the_exit_code_says_so(
    shell: Shell, world: World, client: Client
) -> None:
    world.accuracy = 0.5
    handle, _ = await start_promotion(client, request(), world.task_queue)
    done = await shell.slipway("watch", handle.id)
    assert done.code == 3
    assert "refused: a gate is not met: accuracy: 0.5 does not meet min 0.9" in done.out.splitlines()[-1]


async def test_given_a_waiting_promotion_when_the_watch_is_limited_then_the_exit_code_says_that_it_waits(
    shell: Shell, world: World, client: Client
) -> None:
    handle, _ = await start_promotion(client, request(), world.task_queue)
    await until_asked(handle)
    done = await shell.slipway("watch", handle.id, "--timeout", "1s", "--json")
    assert done.code == 4
    assert done.lines[-1]["waiting_for"]["what"] == "approval (0 of 1)"


async def test_given_a_running_task_when_its_status_is_asked_for_then_live_progress_is_shown(
    shell: Shell, world: World, client: Client
) -> None:
    world.hold("follow_task")
    handle, _ = await start_promotion(client, request(), world.task_queue)
    await asyncio.wait_for(world.entered["follow_task"].wait(), 20)
    async with asyncio.timeout(20):
        while "follow_task: RUNNING" not in (done := await shell.slipway("status", handle.id)).out:
            assert done.code == 0, done.err
    await handle.terminate()


@pytest.mark.parametrize("size", [10, 10_000])
async def test_given_a_step_that_is_tried_again_when_its_status_is_asked_for_then_it_says_why(
    shell: Shell, world: World, client: Client, size: int
) -> None:
    text = "ThrottlingException: slow down\n" + "x" * size
    world.fail("write_image", ApplicationError(text, next_retry_delay=timedelta(minutes=1)))
    handle, _ = await start_promotion(client, request(), world.task_queue)
    async with asyncio.timeout(20):
        while "write_image: attempt 2 after" not in (done := await shell.slipway("status", handle.id)).out:
            assert done.code == 0, done.err
    assert "attempt 2 after ThrottlingException: slow down\n" in done.out
    await handle.terminate()


async def test_given_a_waiting_promotion_when_it_is_approved_without_a_hash_then_the_evidence_is_shown(
    shell: Shell, world: World, client: Client
) -> None:
    handle, _ = await start_promotion(client, request(), world.task_queue)
    await until_asked(handle)
    done = await shell.slipway("approve", handle.id, "--reason", "recall is up")
    assert done.code == 0, done.err
    assert "min 0.9" in done.out
    assert f"evidence  {EVIDENCE}" in done.out
    assert f"{handle.id}: approved by ana, 1 of 1 (claimed)" in done.out
    assert (await handle.result()).outcome == "promoted"


async def test_given_a_waiting_promotion_when_a_stranger_rejects_it_then_one_block_says_what_would_be_right(
    shell: Shell, world: World, client: Client
) -> None:
    handle, _ = await start_promotion(client, request(), world.task_queue)
    await until_asked(handle)
    done = await shell.slipway("reject", handle.id, "--by", "mallory", "--evidence", EVIDENCE)
    assert done.code == 2
    assert done.err.splitlines() == [
        "tried:    telling the promotion",
        "answered: mallory is not on the list of approvers in promotion.yaml: ana, bo",
        "do:       `slipway status <id>` shows where it is and what it takes",
    ]
    await handle.terminate()


async def test_given_a_promotion_without_evidence_when_it_is_approved_then_it_says_where_it_is(
    shell: Shell, world: World, client: Client
) -> None:
    world.hold("follow_task")
    handle, _ = await start_promotion(client, request(), world.task_queue)
    await asyncio.wait_for(world.entered["follow_task"].wait(), 20)
    done = await shell.slipway("approve", handle.id)
    assert done.code == 1
    assert "there is none yet: it is at task (running)" in done.err
    await handle.terminate()


async def test_given_a_promotion_that_is_over_when_it_is_approved_then_nobody_is_asked(
    shell: Shell, world: World, client: Client
) -> None:
    world.set_approval(approval(mode="auto"))
    handle, _ = await start_promotion(client, request(), world.task_queue)
    await handle.result()
    done = await shell.slipway("approve", handle.id)
    assert (done.code, done.out) == (1, "")
    assert "there is nothing to decide any more: it is promoted" in done.err


async def test_given_a_parked_stage_when_it_is_listed_retried_and_aborted_then_each_does_so(
    shell: Shell, world: World, client: Client
) -> None:
    world.fail("write_image", needs_person(), needs_person())
    handle, _ = await start_promotion(client, request(), world.task_queue)
    await until_parked(handle, StageName.taskdef)
    async with asyncio.timeout(20):  # what is listed comes a little later than what is
        while not (found := [row for row in (await listed(shell)) if row["id"] == handle.id]):
            pass
    assert found[0]["stage"] == "taskdef"
    assert found[0]["waiting_for"] == "retry or abort"
    retried = await shell.slipway("retry", handle.id, "--reason", "allowed now")
    assert retried.out.strip() == f"{handle.id}: taskdef is tried again"
    await until_parked(handle, StageName.taskdef)
    aborted = await shell.slipway("abort", handle.id, "--json")
    assert aborted.lines[0]["by"] == "ana"
    assert (await handle.result()).outcome == "aborted"
    late = await shell.slipway("abort", handle.id)
    assert (late.code, "it is over" in late.err) == (1, True)


async def listed(shell: Shell) -> list[Any]:
    return (await shell.slipway("list", "--state", "parked", "--json")).lines


async def test_given_a_promotion_that_nobody_knows_then_the_error_says_how_to_find_one(shell: Shell, world: World) -> None:
    done = await shell.slipway("status", "no-such")
    assert done.code == 1
    assert "`slipway list` shows the promotions that are known" in done.err


async def test_given_a_setup_when_it_is_repeated_then_it_changes_nothing(shell: Shell, world: World) -> None:
    done = await shell.slipway("setup", "--json")
    assert done.code == 0, done.err
    assert done.lines[0]["attributes_made"] == []
    assert done.lines[0]["namespace_made"] is False


async def test_given_a_namespace_that_is_not_there_when_it_is_set_up_then_it_can_be_used(shell: Shell, world: World) -> None:
    before = await shell.slipway("list", TEMPORAL_NAMESPACE="fresh")
    assert (before.code, "run `slipway setup`" in before.err) == (1, True)
    done = await shell.slipway("setup", "--json", TEMPORAL_NAMESPACE="fresh")
    assert done.code == 0, done.err
    assert (done.lines[0]["namespace_made"], len(done.lines[0]["attributes_made"])) == (True, 6)


REGISTRY = "111111111111.dkr.ecr.us-east-1.amazonaws.com"
BAD = {
    "no such command": (["promote"], "promote"),
    "no image in ECR": (["start", "--repository", "file:///a", "--image", "nginx:latest"], "is not an image in ECR"),
    "a short digest": (["start", "--repository", "file:///a", "--image", f"{REGISTRY}/x@sha256:short"], "x@sha256:short"),
    "a password": (["start", "--repository", "https://a:b@host/x", "--image", "nginx"], "repository"),
    "no duration": (["watch", "x", "--timeout", "soon"], "soon"),
    "no folder": (["lint", "no-such-folder"], "is not there"),
}


@pytest.mark.parametrize(("arguments", "said"), BAD.values(), ids=BAD)
async def test_given_wrong_usage_then_it_is_refused_with_one_block(shell: Shell, arguments: list[str], said: str) -> None:
    done = await shell.slipway(*arguments)
    assert done.code == 2, done
    assert [line.split(":")[0] for line in done.err.splitlines() if not line.startswith(" ")] == ["tried", "answered", "do"]
    assert said in done.err


async def test_given_no_server_then_the_error_says_how_to_start_one(shell: Shell) -> None:
    done = await shell.slipway("list", "--json", TEMPORAL_ADDRESS="127.0.0.1:1")
    assert done.code == 1
    assert "docker compose up" in json.loads(done.err)["error"]["remedy"]


@pytest.mark.parametrize(
    "command", ["", "setup", "start", "list", "status", "watch", "approve", "reject", "retry", "abort", "lint"]
)
async def test_given_any_command_then_its_help_has_examples_and_exit_codes(shell: Shell, command: str) -> None:
    done = await shell.slipway(*filter(None, [command]), "--help")
    assert done.code == 0
    assert "Exit codes:" in done.out
    assert not command or f"$ slipway {command}" in done.out or "$ TEMPORAL_NAMESPACE" in done.out


async def test_given_a_promotion_that_is_over_then_its_status_needs_no_worker(shell: Shell, world: World, client: Client) -> None:
    world.set_approval(approval(mode="auto"))
    handle, _ = await start_promotion(client, request(), world.task_queue)
    await promotion(client, handle.id).result()
    done = await shell.slipway("status", handle.id, "--json")
    assert done.lines[0]["outcome"] == "promoted"
