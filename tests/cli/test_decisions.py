"""`slipway approve` and `slipway reject`: nothing is decided without a hash, a yes on a terminal, or --yes."""

from __future__ import annotations

import asyncio
import os
import sys

import pytest
from temporalio.client import Client

from demo.stack import BINARIES
from slipway.api import StageName
from slipway.temporal.start import Handle, start_promotion
from tests.support.shell import Shell
from tests.support.terminal import typed
from tests.support.waiting import state_of, until_asked
from tests.support.world import EVIDENCE, World, approval, request


async def waiting_promotion(client: Client, world: World) -> tuple[Handle, str]:
    """A promotion that waits for approval, and the hash of its evidence."""
    world.evidence = ""
    handle, _ = await start_promotion(client, request(), world.task_queue)
    return handle, (await until_asked(handle)).evidence or ""


async def still_waits(handle: Handle) -> bool:
    return state_of(await until_asked(handle), StageName.approval) == "waiting"


@pytest.mark.parametrize("command", ["approve", "reject"])
async def test_given_a_pipe_when_it_is_decided_without_a_hash_then_the_evidence_is_shown_and_nothing_decided(
    shell: Shell, world: World, client: Client, command: str
) -> None:
    handle, evidence = await waiting_promotion(client, world)
    run = shell.process if command == "approve" else shell.slipway
    done = await run(command, handle.id, "--reason", "recall is up")
    assert done.code == 2
    assert "min 0.9" in done.out
    assert f"evidence  {evidence}" in done.out
    assert "nobody can be asked here: nothing was decided" in done.err
    assert "decide with --evidence <hash>, or --yes" in done.err
    assert f"slipway {command} {handle.id} --by ana --evidence {evidence}" in done.err
    assert await still_waits(handle)
    await handle.terminate()


async def test_given_json_when_it_is_approved_without_a_hash_then_the_evidence_is_printed_and_nothing_decided(
    shell: Shell, world: World, client: Client
) -> None:
    handle, evidence = await waiting_promotion(client, world)
    done = await shell.slipway("approve", handle.id, "--json")
    assert done.code == 2
    assert [line["hash"] for line in done.lines] == [evidence]
    assert "nothing was decided" in done.error["answered"]
    assert await still_waits(handle)
    await handle.terminate()


async def test_given_yes_when_it_is_approved_without_a_hash_then_the_evidence_is_shown_and_it_is_approved(
    shell: Shell, world: World, client: Client
) -> None:
    handle, evidence = await waiting_promotion(client, world)
    done = await shell.slipway("approve", handle.id, "--yes", "--reason", "recall is up")
    assert done.code == 0, done.err
    assert f"evidence  {evidence}" in done.out
    assert f"{handle.id}: approved by ana (claimed), 1 of 1" in done.out
    assert (await handle.result()).outcome == "promoted"


async def test_given_a_hash_when_it_is_rejected_then_that_is_the_decision(shell: Shell, world: World, client: Client) -> None:
    handle, evidence = await waiting_promotion(client, world)
    done = await shell.slipway("reject", handle.id, "--evidence", evidence, "--json")
    assert done.code == 0, done.err
    assert done.lines[0]["evidence"] == evidence
    assert (await handle.result()).outcome == "rejected"


async def test_given_a_stranger_when_it_is_rejected_then_one_block_says_what_would_be_right(
    shell: Shell, world: World, client: Client
) -> None:
    handle, evidence = await waiting_promotion(client, world)
    done = await shell.slipway("reject", handle.id, "--by", "mallory", "--evidence", evidence)
    assert done.code == 2
    assert done.err.splitlines() == [
        "tried:    sending the command",
        "answered: mallory is not on the list of approvers in promotion.yaml: ana, bo",
        "do:       `slipway status` shows where the promotion is",
    ]
    await handle.terminate()


async def test_given_no_evidence_yet_when_it_is_approved_then_it_says_where_it_is(
    shell: Shell, world: World, client: Client
) -> None:
    world.hold("follow_task")
    handle, _ = await start_promotion(client, request(), world.task_queue)
    await asyncio.wait_for(world.entered["follow_task"].wait(), 20)
    done = await shell.slipway("approve", handle.id)
    assert done.code == 2
    assert "there is none yet: it is at task (running)" in done.err
    await handle.terminate()


async def test_given_a_promotion_that_is_over_when_it_is_decided_then_nobody_is_asked(
    shell: Shell, world: World, client: Client
) -> None:
    world.set_approval(approval(mode="auto"))
    handle, _ = await start_promotion(client, request(), world.task_queue)
    await handle.result()
    for arguments in (("approve", handle.id), ("reject", handle.id, "--evidence", EVIDENCE)):
        done = await shell.slipway(*arguments)
        assert (done.code, done.out) == (2, "")
        assert "this promotion has already finished (promoted)" in done.err


async def test_given_evidence_with_another_hash_when_it_is_approved_unseen_then_nothing_is_decided(
    shell: Shell, world: World, client: Client
) -> None:
    handle, _ = await start_promotion(client, request(), world.task_queue)
    await until_asked(handle)
    done = await shell.slipway("approve", handle.id, "--yes")
    assert done.code == 1
    assert f"the evidence names the hash {EVIDENCE}, but what is shown has the hash " in done.err
    assert await still_waits(handle)
    await handle.terminate()


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        (b"y\n", 0, "approved by ana (claimed), 1 of 1"),
        (b"\n", 2, "you did not say yes: nothing was decided"),
        (b"\x04", 2, "you did not say yes: nothing was decided"),
    ],
    ids=["yes", "only return", "end of input"],
)
async def test_given_a_terminal_when_it_is_approved_without_a_hash_then_only_a_yes_decides(
    shell: Shell, world: World, client: Client, answer: bytes, code: int, said: str
) -> None:
    handle, _ = await waiting_promotion(client, world)
    ended, shown = await asyncio.to_thread(typed, [str(BINARIES / "slipway"), "approve", handle.id], shell.environment, answer)
    assert ended == code, shown
    assert said in shown
    if code:
        assert await still_waits(handle)
    await handle.terminate() if code else await handle.result()


ASK = """\
import asyncio
from slipway.cli.deciding import confirmed
from slipway.cli.out import Out

async def ask():
    confirmed("approve?", Out(as_json=False))

asyncio.run(ask())
"""


def test_given_a_question_when_it_is_interrupted_then_the_command_ends_at_once() -> None:
    ended, _ = typed([sys.executable, "-c", ASK], dict(os.environ), b"\x03")
    assert ended == -2, "ended by SIGINT itself, which a shell shows as 130"
