"""Signed decisions from the shell to the promotion's result. Whose key it was is answered by the tests' world."""

from __future__ import annotations

import asyncio
import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client

from demo.stack import BINARIES
from slipway.api import IdentityLevel, Outcome, PromotionStatus, StageName
from slipway.decisions.signatures import fingerprint_of
from slipway.temporal.start import Handle, start_promotion
from tests.support.keys import Keyring
from tests.support.shell import Shell
from tests.support.signing import keygen
from tests.support.terminal import typed
from tests.support.waiting import until_asked, until_parked
from tests.support.world import World, approval, needs_person, refused, request

KEY = "SLIPWAY_SIGNING_KEY"


@pytest.fixture
def keys(tmp_path: Path) -> Keyring:
    return Keyring(tmp_path / "keys")


@pytest.fixture
def signing(world: World, keys: Keyring) -> World:
    """A world whose policy asks for signed decisions, and that knows the keys of ana and bo."""
    world.identity = IdentityLevel.signed
    world.evidence = ""
    for name in ("ana", "bo"):
        world.keys[name] = keygen("-l", "-f", f"{keys.path(name)}.pub").split()[1]
    return world


def with_key(keys: Keyring, name: str = "ana") -> tuple[str, ...]:
    return ("--yes", "--sign", "--key", str(keys.path(name)))


async def asked(client: Client, world: World, **changes: object) -> Handle:
    handle, _ = await start_promotion(client, request(**changes), world.task_queue)
    await until_asked(handle)
    return handle


async def parked(client: Client, world: World) -> Handle:
    world.fail("write_image", needs_person())
    handle, _ = await start_promotion(client, request(), world.task_queue)
    await until_parked(handle, StageName.taskdef)
    return handle


async def ended(handle: Handle) -> PromotionStatus:
    return await asyncio.wait_for(handle.result(), 30)


async def test_given_a_key_when_an_approval_is_signed_then_it_counts_and_its_level_and_key_are_said(
    shell: Shell, signing: World, client: Client, keys: Keyring
) -> None:
    handle = await asked(client, signing)
    done = await shell.slipway("approve", handle.id, *with_key(keys), "--reason", "recall is up")
    assert done.code == 0, done.err
    assert f"{handle.id}: approved by ana (signed), 1 of 1\nsigned with the key {signing.keys['ana']}" in done.out
    status = await ended(handle)
    assert status.outcome is Outcome.promoted
    (record,) = status.decisions
    assert (record.level, record.reason) == (IdentityLevel.signed, "recall is up")
    assert fingerprint_of(record.signature) == signing.keys["ana"]


async def test_given_json_when_an_approval_is_signed_then_level_and_key_are_members(
    shell: Shell, signing: World, client: Client, keys: Keyring
) -> None:
    handle = await asked(client, signing)
    done = await shell.slipway("approve", handle.id, *with_key(keys), "--json")
    assert done.code == 0, done.err
    said = done.lines[-1]
    assert (said["level"], said["fingerprint"]) == ("signed", signing.keys["ana"])
    await ended(handle)


async def test_given_the_setting_that_signs_always_when_it_is_rejected_then_the_rejection_is_signed(
    shell: Shell, signing: World, client: Client, keys: Keyring
) -> None:
    handle = await asked(client, signing)
    evidence = (await until_asked(handle)).evidence or ""
    done = await shell.slipway(
        "reject", handle.id, "--evidence", evidence, SLIPWAY_SIGN="1", SLIPWAY_SIGNING_KEY=str(keys.path("ana"))
    )
    assert done.code == 0, done.err
    assert f"{handle.id}: rejected by ana (signed)" in done.out
    status = await ended(handle)
    assert (status.outcome, status.reason) == (Outcome.rejected, "rejected by ana (signed)")


async def test_given_a_parked_stage_when_it_is_retried_and_aborted_with_a_signature_then_both_are_recorded_as_signed(
    shell: Shell, signing: World, client: Client, keys: Keyring
) -> None:
    handle = await parked(client, signing)
    environment = {"SLIPWAY_SIGN": "1", KEY: str(keys.path("bo")), "SLIPWAY_USER": "bo"}
    done = await shell.slipway("retry", handle.id, **environment)
    assert f"{handle.id}: retrying the taskdef stage, asked by bo (signed)" in done.out, done.err
    await until_asked(handle)
    done = await shell.slipway("abort", handle.id, "--reason", "wrong data", **environment)
    assert f"{handle.id}: aborting, asked by bo (signed)" in done.out, done.err
    status = await ended(handle)
    assert status.reason == "aborted by bo (signed): wrong data"
    assert [(each.kind, each.level) for each in status.decisions] == [
        ("retry", IdentityLevel.signed),
        ("abort", IdentityLevel.signed),
    ]


@pytest.mark.parametrize("command", ["approve", "reject"])
async def test_given_a_policy_that_asks_for_signatures_when_a_command_does_not_sign_then_it_is_refused_before_anything_is_shown(
    shell: Shell, signing: World, client: Client, command: str
) -> None:
    handle = await asked(client, signing)
    done = await shell.slipway(command, handle.id, "--yes")
    assert (done.code, done.out) == (2, "")
    assert done.err.splitlines() == [
        f"tried:    deciding to {command} {handle.id}",
        "answered: the worker's policy asks for decisions that are signed, and this command does not sign",
        f"do:       sign it: slipway {command} {handle.id} --by ana --sign",
    ]
    await handle.terminate()


@pytest.mark.parametrize(("options", "level"), [((), "claimed"), (("--sign",), "signed")])
async def test_given_a_terminal_when_it_is_asked_then_the_question_says_the_level_that_the_decision_will_have(
    shell: Shell, world: World, client: Client, keys: Keyring, options: tuple[str, ...], level: str
) -> None:
    world.evidence = ""
    handle = await asked(client, world)
    environment = {**shell.environment, KEY: str(keys.path("ana"))}
    command = [str(BINARIES / "slipway"), "approve", handle.id, *options]
    code, shown = await asyncio.to_thread(typed, command, environment, b"y\n")
    assert code == 0, shown
    assert f"approve as ana ({level})?" in shown
    assert f"approved by ana ({level}), 1 of 1" in shown
    await ended(handle)


REFUSALS: dict[str, tuple[tuple[str, ...], dict[str, Any], str]] = {
    "somebody else": (("--by", "mallory"), {}, "mallory is not on the list of approvers in promotion.yaml: ana, bo"),
    "who asked for it": (
        (),
        {"requested_by": "ana"},
        "ana asked for this promotion or wrote its source commit, and selfApproval is off: one of bo has to approve",
    ),
}


@pytest.mark.parametrize("who", REFUSALS)
async def test_given_a_signed_approval_by_who_may_not_then_it_is_refused_with_what_would_be_right(
    shell: Shell, signing: World, client: Client, keys: Keyring, who: str
) -> None:
    arguments, changes, said = REFUSALS[who]
    handle = await asked(client, signing, **changes)
    done = await shell.slipway("approve", handle.id, "--yes", "--sign", *arguments, SLIPWAY_SIGNING_KEY=str(keys.path("ana")))
    assert done.code == 2
    assert f"answered: {said}\n" in done.err
    await handle.terminate()


async def test_given_a_key_that_is_not_enrolled_when_it_is_approved_then_it_is_refused_and_nothing_is_recorded(
    shell: Shell, signing: World, client: Client, keys: Keyring
) -> None:
    signing.fail("identify_person", refused("the key SHA256:eve is not one of ana in allowed_signers"))
    handle = await asked(client, signing)
    done = await shell.slipway("approve", handle.id, *with_key(keys, "eve"))
    assert done.code == 2
    assert "answered: the key SHA256:eve is not one of ana in allowed_signers" in done.err
    assert (await until_asked(handle)).decisions == ()
    await handle.terminate()


async def test_given_one_approval_of_two_when_the_same_person_or_key_signs_again_then_each_is_refused(
    shell: Shell, signing: World, client: Client, keys: Keyring
) -> None:
    signing.set_approval(approval(quorum=2))
    signing.keys["bo"] = signing.keys["ana"]
    handle = await asked(client, signing)
    sign = ("approve", handle.id, *with_key(keys))
    first = await shell.slipway(*sign)
    assert f"{handle.id}: approved by ana (signed), 1 of 2" in first.out, first.err
    again = await shell.slipway(*sign)
    assert "ana approved already (1 of 2), and a person counts once: one of bo has to approve" in again.err
    other = await shell.slipway(*sign, "--by", "bo")
    assert f"ana approved with the same key ({signing.keys['ana']})" in other.err
    assert [again.code, other.code] == [2, 2]
    await handle.terminate()


async def test_given_the_commands_of_the_page_when_they_are_typed_and_pasted_as_a_signal_then_the_decision_counts(
    shell: Shell, signing: World, client: Client, keys: Keyring, tmp_path: Path
) -> None:
    handle = await asked(client, signing)
    made = f"slipway decision {handle.id} --kind approve --by ana --reason 'recall is up' > decision.json"
    signed = f"ssh-keygen -q -Y sign -n slipway-decision -f {shlex.quote(str(keys.path('ana')))} decision.json"
    script = f"{made} && {signed} 2> /dev/null && slipway decision --attach decision.json"
    pasted = await in_shell(shell, script, tmp_path)
    # The Temporal UI sends what is typed as one payload of the encoding json/plain.
    await handle.signal("approve", json.loads(pasted))
    status = await ended(handle)
    assert status.outcome is Outcome.promoted
    (record,) = status.decisions
    assert (record.by, record.level, record.reason) == ("ana", IdentityLevel.signed, "recall is up")
    assert status.notices == ()


async def in_shell(shell: Shell, script: str, folder: Path) -> str:
    process = await asyncio.create_subprocess_exec(
        "sh", "-c", script, cwd=folder, env=shell.environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()


async def test_given_a_promotion_that_ended_when_its_decisions_are_verified_then_they_are_good_until_the_record_is_changed(
    shell: Shell, signing: World, client: Client, keys: Keyring, tmp_path: Path
) -> None:
    handle = await asked(client, signing)
    await shell.slipway("approve", handle.id, *with_key(keys))
    await ended(handle)
    signers = tmp_path / "allowed_signers"
    signers.write_text(keys.allowed(ana="ana", bo="bo"))
    good = await shell.slipway("verify", handle.id, "--allowed-signers", str(signers))
    assert good.code == 0, good.out + good.err
    assert f"{handle.id}: 1 of 1 decision signed and good; nothing is wrong" in good.out
    record = tmp_path / "status.json"
    whole = (await shell.slipway("status", handle.id, "--json")).out
    record.write_text(whole)
    assert (await shell.slipway("verify", str(record), "--allowed-signers", str(signers))).code == 0
    record.write_text(whole.replace('\\"kind\\":\\"approve\\"', '\\"kind\\":\\"reject\\"'))
    assert record.read_text() != whole
    bad = await shell.slipway("verify", str(record), "--allowed-signers", str(signers))
    assert bad.code == 2
    assert "NOT GOOD" in bad.out
    assert "the document was changed after it was signed" in bad.out


async def test_given_signed_decisions_when_the_status_is_shown_then_it_has_them_and_commands_that_sign(
    shell: Shell, signing: World, client: Client, keys: Keyring
) -> None:
    signing.set_approval(approval(quorum=2))
    handle = await asked(client, signing)
    await shell.slipway("approve", handle.id, *with_key(keys), "--reason", "recall is up")
    shown = (await shell.slipway("status", handle.id)).out
    status = await until_asked(handle)
    assert "requested by ci (claimed)" in shown
    assert "decisions have to be signed with a key of the approver" in shown
    assert f"$ slipway approve {handle.id} --by <you> --evidence {status.evidence} --sign\n" in shown
    assert f"approved by ana (signed, key {signing.keys['ana']}), evidence {status.evidence}: recall is up" in shown
    await handle.terminate()
