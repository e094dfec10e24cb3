"""How commands sign: the document that is signed, the key, and what is handed in by the Temporal UI."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client

from slipway.api import IdentityLevel, StageName
from slipway.cli.reading import open_with_status, query_evidence, read
from slipway.cli.signing import Signing, find_key, make_document, require_signed
from slipway.decisions.document import parse_document
from slipway.decisions.signatures import verify
from slipway.errors import RefusedError
from slipway.temporal.start import Handle, start_promotion
from tests.support.shell import Shell
from tests.support.signing import document, keygen, make_key, signers_line
from tests.support.waiting import until_asked, until_parked
from tests.support.world import World, needs_person, request


async def waiting(client: Client, world: World) -> Handle:
    """A promotion that waits for approval, with evidence whose hash is right."""
    world.evidence = ""
    handle, _ = await start_promotion(client, request(), world.task_queue)
    await until_asked(handle)
    return handle


async def test_given_a_promotion_that_waits_when_its_document_is_signed_by_hand_then_the_json_for_the_ui_verifies(
    shell: Shell, world: World, client: Client, tmp_path: Path
) -> None:
    handle = await waiting(client, world)
    done = await shell.slipway("decision", handle.id, "--kind", "approve", "--reason", "recall is up", "--expires", "1d")
    assert done.code == 0, done.err
    file, key = tmp_path / "decision.json", make_key(tmp_path, "ana")
    file.write_text(done.out)
    keygen("-q", "-Y", "sign", "-n", "slipway-decision", "-f", str(key), str(file))
    attached = (await shell.slipway("decision", "--attach", str(file))).lines[0]
    signer = await verify(attached["document"], attached["signature"], signers_line("ana", key), "ana", datetime.now(UTC))
    signed, status = parse_document(attached["document"]), (await read(client, handle.id)).status
    assert (signer.principal, signed.by, signed.reason) == ("ana", "ana", "recall is up")
    assert (signed.kind, signed.promotion, signed.package) == ("approve", handle.id, status.package)
    assert signed.expires - signed.issued == timedelta(days=1)
    assert signed.evidence.startswith(status.evidence or "none")
    await handle.terminate()


async def test_given_a_promotion_when_its_document_is_made_then_it_names_run_namespace_and_targets(
    world: World, client: Client
) -> None:
    handle = await waiting(client, world)
    opened = await open_with_status(client, handle.id)
    found = await query_evidence(opened.handle)
    made = make_document("reject", opened, found, "ana", "", None)
    assert made.run == (await handle.describe()).run_id
    assert made.namespace == client.namespace
    assert found
    assert made.targets == tuple(f"{each.target.endpoint} in us-east-1" for each in found.evidence.champions)
    assert made.evidence == found.sha256
    await handle.terminate()


async def test_given_a_promotion_without_evidence_when_it_is_to_be_aborted_then_the_document_names_none(
    shell: Shell, world: World, client: Client
) -> None:
    world.fail("write_image", needs_person())
    handle, _ = await start_promotion(client, request(), world.task_queue)
    await until_parked(handle, StageName.taskdef)
    made = parse_document((await shell.slipway("decision", handle.id, "--kind", "abort")).out)
    assert (made.kind, made.evidence, made.package, made.targets) == ("abort", "", "", ())
    refused = await shell.slipway("decision", handle.id, "--kind", "approve")
    assert refused.code == 2
    assert "there is none yet: it is at taskdef" in refused.err
    await handle.terminate()


@pytest.mark.parametrize("command", ["approve", "reject", "retry", "abort"])
async def test_given_no_key_when_a_decision_is_to_be_signed_then_nothing_is_sent_and_it_says_what_to_do(
    shell: Shell, world: World, client: Client, command: str
) -> None:
    handle = await waiting(client, world)
    done = await shell.slipway(command, handle.id, SLIPWAY_SIGN="1", GIT_CONFIG_NOSYSTEM="1")
    assert done.code == 2
    assert "ssh-keygen -t ed25519" in done.err
    assert done.out == ""
    assert (await read(client, handle.id)).status.outcome is None
    await handle.terminate()


@pytest.mark.parametrize(("needed", "signal"), [(IdentityLevel.signed, False), (IdentityLevel.temporal, True)])
async def test_given_a_promotion_that_takes_no_claimed_decisions_when_one_is_not_signed_then_what_counts_is_said(
    world: World, client: Client, needed: IdentityLevel, signal: bool
) -> None:
    world.identity = needed
    handle = await waiting(client, world)
    opened = await open_with_status(client, handle.id)
    with pytest.raises(RefusedError) as refused:
        require_signed(opened, "approve", "ana maria", Signing())
    assert f"slipway approve {handle.id} --by 'ana maria' --sign" in refused.value.report.remedy
    assert ("send the signal approve" in refused.value.report.remedy) is signal
    await handle.terminate()


async def test_given_evidence_that_has_another_hash_when_it_is_to_be_signed_then_it_is_refused(
    shell: Shell, world: World, client: Client, tmp_path: Path
) -> None:
    handle, key = await waiting(client, world), make_key(tmp_path, "ana")
    done = await shell.slipway("approve", handle.id, "--sign", "--key", str(key), "--evidence", "0" * 16)
    assert done.code == 2
    assert "the evidence now has the hash" in done.err
    await handle.terminate()


async def test_given_a_pipe_when_a_signed_decision_is_not_confirmed_then_what_would_be_signed_is_shown(
    shell: Shell, world: World, client: Client, tmp_path: Path
) -> None:
    handle, key = await waiting(client, world), make_key(tmp_path, "ana")
    done = await shell.slipway("approve", handle.id, "--sign", "--key", str(key), "--reason", "recall is up")
    assert done.code == 2
    assert "what is signed:" in done.out
    assert f"  promotion   {handle.id}\n" in done.out
    assert "  reason      recall is up\n" in done.out
    assert "--sign" in done.err
    await handle.terminate()


@pytest.mark.parametrize(
    ("option", "member"), [("--execution", "use_execution"), ("--package", "use_package"), ("--task", "use_task")]
)
async def test_given_a_parked_stage_when_the_document_of_a_retry_is_made_then_it_names_what_it_is_given(
    shell: Shell, world: World, client: Client, option: str, member: str
) -> None:
    world.fail("find_execution", needs_person("two executions"))
    handle, _ = await start_promotion(client, request(), world.task_queue)
    await until_parked(handle, StageName.pipeline)
    made = parse_document((await shell.slipway("decision", handle.id, "--kind", "retry", option, "arn:aws:one")).out)
    assert (made.kind, getattr(made, member)) == ("retry", "arn:aws:one")
    refused = await shell.slipway("decision", handle.id, "--kind", "abort", option, "arn:aws:one")
    assert refused.code == 2
    assert "only a retry names an execution, a package or a task" in refused.err
    await handle.terminate()


@pytest.mark.parametrize("arguments", [(), ("some-id",), ("--kind", "approve"), ("--attach", "missing.json")])
async def test_given_half_a_command_when_a_document_is_asked_for_then_it_says_what_is_missing(
    shell: Shell, arguments: tuple[str, ...]
) -> None:
    done = await shell.slipway("decision", *arguments)
    assert done.code == 2
    assert "do:" in done.err


async def test_given_a_document_that_an_editor_changed_when_it_is_attached_then_it_is_refused(
    shell: Shell, tmp_path: Path
) -> None:
    file = tmp_path / "decision.json"
    file.write_text('{"by":"ana"}\n')
    (tmp_path / "decision.json.sig").write_text("x")
    done = await shell.slipway("decision", "--attach", str(file))
    assert done.code == 2
    assert "without a change, a line end or a space" in done.err


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without keys, where git has no settings."""
    (tmp_path / ".ssh").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / ".gitconfig"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def configure(home: Path, **settings: str) -> None:
    for name, value in settings.items():
        setting = name.replace("_", ".")
        subprocess.run(["git", "config", "--file", str(home / ".gitconfig"), setting, value], check=True, timeout=10)


def test_given_keys_in_the_home_then_the_one_on_a_token_comes_first(home: Path) -> None:
    for name in ("id_rsa", "id_ed25519", "id_ed25519_sk"):
        (home / ".ssh" / name).touch()
        assert find_key(None) == home / ".ssh" / name


def test_given_a_key_that_git_signs_with_then_it_comes_before_those_in_the_home(home: Path) -> None:
    (home / ".ssh" / "id_ed25519").touch()
    configure(home, user_signingkey="~/keys/work.pub")
    assert find_key(None) == home / ".ssh" / "id_ed25519"
    configure(home, gpg_format="ssh")
    assert find_key(None) == home / "keys" / "work.pub"
    assert find_key(Path("mine")) == Path("mine")


def test_given_a_key_inside_gits_settings_then_it_says_to_write_a_file(home: Path) -> None:
    configure(home, gpg_format="ssh", user_signingkey="key::ssh-ed25519 AAAA")
    with pytest.raises(RefusedError, match="write it to a file"):
        find_key(None)


def test_given_no_key_then_it_says_how_to_make_one(home: Path) -> None:
    with pytest.raises(RefusedError, match="ssh-keygen -t ed25519") as refused:
        find_key(None)
    assert "docs/approvers.md" in refused.value.report.remedy


def test_given_a_signed_command_when_it_is_made_then_it_is_what_a_signal_takes(tmp_path: Path) -> None:
    command = Signing(sign=True, key=make_key(tmp_path, "ana")).sign_document(document())
    signal: dict[str, Any] = json.loads(command.model_dump_json())
    assert sorted(signal) == ["document", "signature"]
    assert parse_document(signal["document"]) == document()
