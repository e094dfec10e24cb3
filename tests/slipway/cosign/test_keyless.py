"""Keyless signatures, made and verified without a network: an authority and logs of the tests' own."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from slipway.app.signers import RequiredSigner
from slipway.cosign.attached import SIMPLE_SIGNING, Attached
from slipway.cosign.keyless import SigstoreRoot
from slipway.cosign.verify import SIGNATURE_ANNOTATION, Verification, verify_attached
from slipway.errors import NeedsPersonError
from tests.support.own_sigstore import OwnSigstore
from tests.support.signed_images import BUNDLE, SLSA_1, Key, encoded, payload_of, statement_of

DIGEST = f"sha256:{'a' * 64}"
OTHER = f"sha256:{'b' * 64}"
ISSUER = "https://issuer.test"
WORKFLOW = "https://github.com/acme/pipeline/.github/workflows/build.yml@refs/heads/main"


@pytest.fixture(scope="module")
def sigstore(tmp_path_factory: pytest.TempPathFactory) -> OwnSigstore:
    return OwnSigstore(tmp_path_factory.mktemp("sigstore"))


def verdict_on(bundle: bytes, root: Path, **signer: str) -> Verification:
    """What is known of the image where this person has to have signed it."""
    asked = RequiredSigner.model_validate({"issuer": ISSUER, **(signer or {"subject": WORKFLOW})})
    return verify_attached([Attached(BUNDLE, bundle, {})], DIGEST, [asked], SigstoreRoot(root))


def changed(bundle: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    document = json.loads(bundle)
    change(document)
    return json.dumps(document).encode()


def test_given_a_bundle_by_the_identity_when_it_is_verified_then_it_counts(sigstore: OwnSigstore) -> None:
    verdict = verdict_on(sigstore.bundle(statement_of(DIGEST), WORKFLOW), sigstore.file)
    assert verdict.objections == []
    assert [signed.who.line for signed in verdict.signatures] == [f"{WORKFLOW} (by {ISSUER})"]


def test_given_a_certificate_of_fulcios_former_form_when_it_is_verified_then_its_issuer_is_known(sigstore: OwnSigstore) -> None:
    bundle = sigstore.bundle(statement_of(DIGEST), "ana@example.com", former=True)
    assert len(verdict_on(bundle, sigstore.file, subject="ana@example.com").signatures) == 1


def test_given_a_pattern_when_it_matches_the_whole_subject_then_the_signature_counts(sigstore: OwnSigstore) -> None:
    bundle = sigstore.bundle(statement_of(DIGEST), WORKFLOW)
    pattern = r"https://github\.com/acme/pipeline/\.github/workflows/build\.yml@refs/(heads/main|tags/v.*)"
    assert len(verdict_on(bundle, sigstore.file, subjectPattern=pattern).signatures) == 1


@pytest.mark.parametrize(
    "signer",
    [
        {"subject": f"{WORKFLOW}2"},
        {"subject": WORKFLOW, "issuer": "https://another.test"},
        {"subjectPattern": r"https://github\.com/acme/pipeline"},
        {"subjectPattern": r".*/acme/pipeline/"},
    ],
    ids=["subject", "issuer", "beginning", "part"],
)
def test_given_another_identity_when_the_bundle_is_verified_then_it_does_not_count(
    sigstore: OwnSigstore, signer: dict[str, str]
) -> None:
    verdict = verdict_on(sigstore.bundle(statement_of(DIGEST), WORKFLOW), sigstore.file, **signer)
    assert verdict.signatures == []
    assert verdict.objections == ["it is by none of the keys and identities that are asked for"]


def test_given_a_bundle_about_another_image_when_it_is_verified_then_it_does_not_count(sigstore: OwnSigstore) -> None:
    verdict = verdict_on(sigstore.bundle(statement_of(OTHER), WORKFLOW), sigstore.file)
    assert verdict.objections == ["it is about another image"]


def test_given_another_authority_when_the_bundle_is_verified_then_it_does_not_count(
    sigstore: OwnSigstore, tmp_path: Path
) -> None:
    verdict = verdict_on(OwnSigstore(tmp_path).bundle(statement_of(DIGEST), WORKFLOW), sigstore.file)
    assert verdict.signatures == []


@pytest.mark.parametrize("after", [timedelta(minutes=11), timedelta(minutes=-1)], ids=["late", "early"])
def test_given_an_entry_outside_the_certificates_time_when_the_bundle_is_verified_then_it_does_not_count(
    sigstore: OwnSigstore, after: timedelta
) -> None:
    verdict = verdict_on(sigstore.bundle(statement_of(DIGEST), WORKFLOW, logged_after=after), sigstore.file)
    assert verdict.signatures == []
    assert "Sigstore's verification failed" in verdict.objections[0]


def _another_payload(document: dict[str, Any]) -> None:
    document["dsseEnvelope"]["payload"] = encoded(statement_of(DIGEST, predicate={"changed": True}))


def _another_time(document: dict[str, Any]) -> None:
    entry = document["verificationMaterial"]["tlogEntries"][0]
    entry["integratedTime"] = str(int(entry["integratedTime"]) + 1)


def _no_promise(document: dict[str, Any]) -> None:
    del document["verificationMaterial"]["tlogEntries"][0]["inclusionPromise"]


def _no_proof(document: dict[str, Any]) -> None:
    del document["verificationMaterial"]["tlogEntries"][0]["inclusionProof"]


def _no_entry(document: dict[str, Any]) -> None:
    document["verificationMaterial"]["tlogEntries"] = []


def _another_certificate(document: dict[str, Any]) -> None:
    document["verificationMaterial"]["certificate"]["rawBytes"] = encoded(b"none")


@pytest.mark.parametrize(
    "change",
    [_another_payload, _another_time, _no_promise, _no_proof, _no_entry, _another_certificate],
    ids=lambda each: each.__name__,
)
def test_given_a_bundle_that_was_changed_when_it_is_verified_then_it_does_not_count(
    sigstore: OwnSigstore, change: Callable[[dict[str, Any]], None]
) -> None:
    bundle = sigstore.bundle(statement_of(DIGEST), WORKFLOW)
    verdict = verdict_on(changed(bundle, change), sigstore.file)
    assert verdict.signatures == []
    assert len(verdict.objections) == 1


def test_given_the_entry_of_another_signature_when_the_bundle_is_verified_then_it_does_not_count(sigstore: OwnSigstore) -> None:
    other = json.loads(sigstore.bundle(statement_of(DIGEST), WORKFLOW))["verificationMaterial"]["tlogEntries"]

    def swap(document: dict[str, Any]) -> None:
        document["verificationMaterial"]["tlogEntries"] = other

    assert verdict_on(changed(sigstore.bundle(statement_of(DIGEST), WORKFLOW), swap), sigstore.file).signatures == []


def test_given_provenance_by_the_identity_when_it_is_verified_then_it_is_an_attestation(sigstore: OwnSigstore) -> None:
    verdict = verdict_on(sigstore.bundle(statement_of(DIGEST, SLSA_1), WORKFLOW), sigstore.file)
    assert verdict.signatures == []
    assert [each.who.subject for each in verdict.attestations] == [WORKFLOW]


def test_given_a_keyless_signature_of_cosign_2_when_it_is_verified_then_the_objection_says_how_to_sign(
    sigstore: OwnSigstore,
) -> None:
    payload = payload_of(DIGEST)
    annotations = {SIGNATURE_ANNOTATION: encoded(Key().sign(payload)), "dev.sigstore.cosign/certificate": "-----BEGIN"}
    signer = RequiredSigner(issuer=ISSUER, subject=WORKFLOW)
    attached = [Attached(SIMPLE_SIGNING, payload, annotations)]
    verdict = verify_attached(attached, DIGEST, [signer], SigstoreRoot(sigstore.file))
    assert "--new-bundle-format" in verdict.objections[0]


def test_given_a_root_that_is_replaced_when_a_bundle_is_verified_then_the_new_one_counts(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    one, two = OwnSigstore(tmp_path / "one"), OwnSigstore(tmp_path / "two")
    root, bundle = SigstoreRoot(one.file), Attached(BUNDLE, two.bundle(statement_of(DIGEST), WORKFLOW), {})
    signer = RequiredSigner(issuer=ISSUER, subject=WORKFLOW)
    assert verify_attached([bundle], DIGEST, [signer], root).signatures == []
    one.file.write_bytes(two.file.read_bytes())
    assert len(verify_attached([bundle], DIGEST, [signer], root).signatures) == 1


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"mediaType": "application/json"}', "x" * 1_000_001])
def test_given_a_file_that_is_no_trusted_root_when_it_is_read_then_a_person_is_told(tmp_path: Path, content: str) -> None:
    file = tmp_path / "trusted_root.json"
    file.write_text(content)
    with pytest.raises(NeedsPersonError, match="SLIPWAY_SIGSTORE_ROOT"):
        SigstoreRoot(file).verifier()
