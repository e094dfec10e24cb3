"""Signatures on decisions, made and checked by the real `ssh-keygen`, both ways."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slipway.decisions.signatures import NAMESPACE, SIGNERS_LIMIT, fingerprint_of, sign, verify
from slipway.errors import NeedsPersonError, RefusedError
from tests.support.signing import NOON, document, keygen, make_key, signers_line

TEXT = document().canonical()


def by_hand(folder: Path, key: Path, text: str = TEXT, namespace: str = NAMESPACE) -> str:
    """Signs as a person does on the command line."""
    file = folder / "decision.json"
    file.write_text(text)
    file.with_suffix(".json.sig").unlink(missing_ok=True)
    keygen("-q", "-Y", "sign", "-n", namespace, "-f", str(key), str(file))
    return file.with_suffix(".json.sig").read_text()


def fingerprint(key: Path) -> str:
    return keygen("-lf", str(key.with_suffix(".pub"))).split()[1]


@pytest.fixture(scope="module")
def ana(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_key(tmp_path_factory.mktemp("ana"), "ana")


@pytest.fixture(scope="module")
def eve(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_key(tmp_path_factory.mktemp("eve"), "eve")


@pytest.mark.parametrize(("kind", "shown"), [("ed25519", "ED25519"), ("ecdsa", "ECDSA"), ("rsa", "RSA")])
async def test_given_a_kind_of_key_when_it_signs_by_hand_or_by_slipway_then_either_checks_the_others(
    tmp_path: Path, kind: str, shown: str
) -> None:
    key = make_key(tmp_path, "ana", kind)
    signers = tmp_path / "allowed_signers"
    signers.write_text(signers_line("ana", key))
    for signature in (sign(TEXT, key), by_hand(tmp_path, key)):
        signer = await verify(TEXT, signature, signers.read_text(), "ana", NOON)
        assert (signer.principal, signer.fingerprint, signer.key_type) == ("ana", fingerprint(key), shown)
        assert fingerprint_of(signature) == fingerprint(key)
        file = tmp_path / "signature"
        file.write_text(signature)
        said = keygen("-Y", "verify", "-n", NAMESPACE, "-f", str(signers), "-I", "ana", "-s", str(file), stdin=TEXT)
        assert f"with {shown} key {fingerprint(key)}" in said


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
async def test_given_a_certificate_when_it_signs_then_its_authority_is_enough_and_the_fingerprint_is_the_keys(
    tmp_path: Path, kind: str
) -> None:
    key, authority = make_key(tmp_path, "ana", kind), make_key(tmp_path, "authority")
    keygen("-q", "-s", str(authority), "-I", "ana", "-n", "ana", "-V", "20260101:20270101", str(key.with_suffix(".pub")))
    signature = sign(TEXT, tmp_path / "ana-cert.pub")
    signers = signers_line("ana,bob", authority, "cert-authority")
    signer = await verify(TEXT, signature, signers, "ana", NOON)
    assert signer.key_type.endswith("-CERT")
    assert signer.fingerprint == fingerprint_of(signature) == fingerprint(key)
    with pytest.raises(RefusedError, match="does not count"):
        await verify(TEXT, signature, signers, "bob", NOON)
    with pytest.raises(RefusedError, match="does not count"):
        await verify(TEXT, signature, signers, "ana", datetime(2028, 1, 1, tzinfo=UTC))


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An agent that has a key; the file of the private key is gone."""
    key = make_key(tmp_path, "ana")
    socket = tmp_path / "agent"
    with subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()  # it says where it listens
        monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
        subprocess.run(["ssh-add", "-q", str(key)], check=True, timeout=30)
        key.unlink()
        yield key
        process.terminate()


async def test_given_a_key_in_an_agent_when_its_public_file_is_named_then_the_agent_signs(agent: Path) -> None:
    signature = sign(TEXT, agent.with_suffix(".pub"))
    assert (await verify(TEXT, signature, signers_line("ana", agent), "ana", NOON)).fingerprint == fingerprint(agent)


async def test_given_two_keys_of_a_person_when_either_signs_then_it_counts(ana: Path, eve: Path) -> None:
    signers = f"# keys of the approvers\nnot a line\n{signers_line('ana', ana)}\n{signers_line('ana', eve)}"
    for key in (ana, eve):
        assert (await verify(TEXT, sign(TEXT, key), signers, "ana", NOON)).fingerprint == fingerprint(key)


async def test_given_a_byte_order_mark_before_the_file_when_its_first_person_signs_then_it_counts(ana: Path) -> None:
    signers = "\ufeff" + signers_line("ana", ana)
    assert (await verify(TEXT, sign(TEXT, ana), signers, "ana", NOON)).principal == "ana"


async def test_given_a_name_with_a_space_when_it_is_quoted_in_the_file_then_it_counts(ana: Path) -> None:
    signers = signers_line("ana maria", ana)
    assert (await verify(TEXT, sign(TEXT, ana), signers, "ana maria", NOON)).principal == "ana maria"


@pytest.mark.parametrize(
    ("principal", "said"),
    [
        ("bob", "is not one of bob in allowed_signers"),
        ("Ana", "is not one of Ana in allowed_signers"),
        ("-f", "is not one of -f in allowed_signers"),
        ("ana bob", "is not one of ana bob in allowed_signers"),
        ("*", "one line without"),
        ("an?", "one line without"),
        ("!bob", "one line without"),
        ("ana,bob", "one line without"),
        ('"ana"', "one line without"),
        ("ana\nbob", "one line without"),
        ("", "one line without"),
    ],
)
async def test_given_a_name_that_is_not_the_keys_when_it_is_checked_then_it_is_refused(
    ana: Path, principal: str, said: str
) -> None:
    with pytest.raises(RefusedError) as refused:
        await verify(TEXT, sign(TEXT, ana), signers_line("ana", ana), principal, NOON)
    assert said in refused.value.report.answered


async def test_given_another_persons_key_when_it_signs_then_it_is_refused_and_named(ana: Path, eve: Path) -> None:
    signers = signers_line("ana", ana) + signers_line("eve", eve)
    with pytest.raises(RefusedError) as refused:
        await verify(TEXT, sign(TEXT, eve), signers, "ana", NOON)
    assert refused.value.report.answered == f"the key {fingerprint(eve)} is not one of ana in allowed_signers"
    assert "docs/approvers.md" in refused.value.report.remedy


@pytest.mark.parametrize(
    ("options", "counts"),
    [
        ('valid-before="20260301120001"', True),
        ('valid-before="20260301115959"', False),
        ('valid-after="20260301115959",valid-before="20270101"', True),
        ('valid-after="20260301120001"', False),
    ],
)
async def test_given_times_of_a_key_when_it_is_checked_then_they_count_in_utc_wherever_the_worker_is(
    ana: Path, monkeypatch: pytest.MonkeyPatch, options: str, counts: bool
) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    signature, signers = sign(TEXT, ana), signers_line("ana", ana, options)
    if counts:
        assert (await verify(TEXT, signature, signers, "ana", NOON)).principal == "ana"
        return
    with pytest.raises(RefusedError, match="does not count at this time"):
        await verify(TEXT, signature, signers, "ana", NOON)


async def test_given_a_signature_for_git_when_it_is_checked_then_it_is_refused(tmp_path: Path, ana: Path) -> None:
    signature = by_hand(tmp_path, ana, namespace="git")
    with pytest.raises(RefusedError, match="made for something else"):
        await verify(TEXT, signature, signers_line("ana", ana, ""), "ana", NOON)


async def test_given_a_key_for_git_alone_when_it_signs_a_decision_then_it_is_refused(ana: Path) -> None:
    with pytest.raises(RefusedError, match="checking the signature of ana"):
        await verify(TEXT, sign(TEXT, ana), signers_line("ana", ana, 'namespaces="git"'), "ana", NOON)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
async def test_given_a_signed_document_when_any_byte_of_it_is_changed_then_it_is_refused(ana: Path, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(TEXT) - 1))
    changed = TEXT[:place] + chr((ord(TEXT[place]) + data.draw(st.integers(1, 90))) % 128) + TEXT[place + 1 :]
    with pytest.raises(RefusedError, match="changed after it was signed"):
        await verify(changed, sign(TEXT, ana), signers_line("ana", ana), "ana", NOON)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
async def test_given_a_signature_when_any_character_is_changed_then_it_is_refused(ana: Path, data: st.DataObject) -> None:
    signature = sign(TEXT, ana)
    place = data.draw(st.integers(0, len(signature) - 2))
    other = data.draw(st.characters(codec="ascii").filter(lambda letter: letter != signature[place]))
    with pytest.raises(RefusedError):
        await verify(TEXT, signature[:place] + other + signature[place + 1 :], signers_line("ana", ana), "ana", NOON)


@pytest.mark.parametrize(
    "signature",
    [
        "",
        "yes",
        "-----BEGIN SSH SIGNATURE-----\nU1NIU0lH\n-----END SSH SIGNATURE-----\n",
        "-----BEGIN SSH SIGNATURE-----\nU1NIU0lHAAAAAf////8=\n-----END SSH SIGNATURE-----\n",
        "-----BEGIN SSH SIGNATURE-----\n=\n-----END SSH SIGNATURE-----\n",
        "-----BEGIN SSH SIGNATURE-----\n" + "A" * 9_000 + "\n-----END SSH SIGNATURE-----\n",
    ],
)
async def test_given_what_is_no_signature_when_it_is_checked_then_it_is_refused(ana: Path, signature: str) -> None:
    with pytest.raises(RefusedError, match="signature"):
        await verify(TEXT, signature, signers_line("ana", ana), "ana", NOON)
    with pytest.raises(RefusedError, match="reading the signature"):
        fingerprint_of(signature)


@pytest.mark.parametrize(
    ("kind", "after"),
    [
        ("ssh-ed25519", []),
        ("ssh-ed25519", [b"nonce"]),
        ("ssh-rsa", [b"nonce", b"exponent"]),
        ("sk-ecdsa-sha2-nistp256", [b"nonce", b"curve", b"point"]),
        ("ssh-unknown", [b"nonce", b"key"]),
    ],
)
def test_given_a_certificate_that_is_cut_off_when_its_signature_is_read_then_it_is_refused(kind: str, after: list[bytes]) -> None:
    fields = [f"{kind}-cert-v01@openssh.com".encode(), *after]
    certificate = b"".join(len(each).to_bytes(4, "big") + each for each in fields)
    blob = b"SSHSIG\x00\x00\x00\x01" + len(certificate).to_bytes(4, "big") + certificate
    armour = f"-----BEGIN SSH SIGNATURE-----\n{base64.b64encode(blob).decode()}\n-----END SSH SIGNATURE-----\n"
    with pytest.raises(RefusedError, match="it is damaged"):
        fingerprint_of(armour)


async def test_given_a_file_of_signers_that_is_too_large_when_it_is_used_then_it_is_refused(ana: Path) -> None:
    with pytest.raises(RefusedError, match="allowed_signers has more than"):
        await verify(TEXT, sign(TEXT, ana), "#" * (SIGNERS_LIMIT + 1), "ana", NOON)


async def test_given_no_ssh_keygen_when_a_signature_is_made_or_checked_then_it_says_what_to_install(
    tmp_path: Path, ana: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signature = sign(TEXT, ana)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NeedsPersonError, match="openssh-client"):
        await verify(TEXT, signature, signers_line("ana", ana), "ana", NOON)
    with pytest.raises(NeedsPersonError, match="openssh-client"):
        sign(TEXT, ana)


@pytest.mark.parametrize("passphrase", ["", "correct horse"])
def test_given_a_key_that_cannot_sign_without_a_terminal_when_it_is_to_sign_then_it_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, passphrase: str
) -> None:
    for name in ("SSH_AUTH_SOCK", "SSH_ASKPASS", "DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    key = make_key(tmp_path, "ana", passphrase=passphrase) if passphrase else tmp_path / "missing"
    with pytest.raises(RefusedError) as refused:
        sign(TEXT, key)
    assert "passphrase" in refused.value.report.answered if passphrase else "No such file" in refused.value.report.answered
    assert "--key" in refused.value.report.remedy
