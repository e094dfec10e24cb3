from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from slipway.app.signers import RequiredSigner
from slipway.cosign.attached import SIMPLE_SIGNING, Attached
from slipway.cosign.keyless import SigstoreRoot
from slipway.cosign.keys import load_key
from slipway.cosign.verify import SIGNATURE_ANNOTATION, Verification, verify_attached
from slipway.errors import NeedsPersonError, RefusedError
from tests.support.signed_images import (
    BUNDLE,
    SLSA_1,
    Key,
    Layer,
    bundle_of,
    encoded,
    envelope_layer,
    payload_of,
    signature_layer,
    statement_of,
)

DIGEST = f"sha256:{'a' * 64}"
OTHER = f"sha256:{'b' * 64}"


def verdict_on(*layers: Layer, by: Key, digest: str = DIGEST) -> Verification:
    """What is known of the image where this key has to have signed it."""
    attached = [Attached(layer.media_type, layer.content, layer.annotations or {}) for layer in layers]
    return verify_attached(attached, digest, [RequiredSigner(key=by.pem)], SigstoreRoot(None))


def bundle_layer(key: Key, statement: bytes) -> Layer:
    return Layer(bundle_of(key, statement), BUNDLE)


@pytest.mark.parametrize(
    "key",
    [
        Key(),
        Key(ec.generate_private_key(ec.SECP384R1())),
        Key(ec.generate_private_key(ec.SECP521R1())),
        Key(ed25519.Ed25519PrivateKey.generate()),
        Key(rsa.generate_private_key(65537, 2048)),
    ],
    ids=["p-256", "p-384", "p-521", "ed25519", "rsa"],
)
def test_given_a_signature_by_the_key_when_it_is_verified_then_it_counts_in_both_formats(key: Key) -> None:
    layers = (signature_layer(key, payload_of(DIGEST)), bundle_layer(key, statement_of(DIGEST)))
    verdict = verdict_on(*layers, by=key)
    assert [signed.who.key for signed in verdict.signatures] == [load_key(key.pem).fingerprint] * 2
    assert verdict.objections == []


def test_given_a_signature_of_another_image_when_it_is_verified_then_it_does_not_count() -> None:
    key = Key()
    layers = (signature_layer(key, payload_of(OTHER)), bundle_layer(key, statement_of(OTHER)))
    verdict = verdict_on(*layers, by=key)
    assert verdict.signatures == []
    assert verdict.objections == ["it is about another image"] * 2


def test_given_a_payload_that_claims_another_repository_when_it_is_verified_then_only_the_digest_matters() -> None:
    key = Key()
    payload = payload_of(DIGEST, identity={"docker-reference": "evil.example.com/other"})
    assert len(verdict_on(signature_layer(key, payload), by=key).signatures) == 1


def test_given_a_signature_by_another_key_when_it_is_verified_then_it_does_not_count() -> None:
    another = Key()
    layers = (signature_layer(another, payload_of(DIGEST)), bundle_layer(another, statement_of(DIGEST)))
    verdict = verdict_on(*layers, by=Key())
    assert verdict.signatures == []
    assert set(verdict.objections) == {"it is by none of the keys and identities that are asked for"}


def test_given_a_payload_that_was_changed_after_it_was_signed_then_it_does_not_count() -> None:
    key = Key()
    assert verdict_on(signature_layer(key, payload_of(DIGEST), signed=payload_of(OTHER)), by=key).signatures == []
    document = json.loads(bundle_of(key, statement_of(OTHER)))
    document["dsseEnvelope"]["payload"] = encoded(statement_of(DIGEST))
    assert verdict_on(Layer(json.dumps(document).encode(), BUNDLE), by=key).signatures == []


def test_given_a_statement_that_was_signed_as_another_type_then_it_does_not_count() -> None:
    key, statement = Key(), statement_of(DIGEST)
    document = json.loads(bundle_of(key, statement))
    document["dsseEnvelope"]["signatures"] = [{"sig": encoded(key.sign(statement))}]
    assert verdict_on(Layer(json.dumps(document).encode(), BUNDLE), by=key).signatures == []


def test_given_an_attestation_by_the_key_when_it_is_verified_then_it_is_no_signature() -> None:
    key = Key()
    statement = statement_of(DIGEST, "https://cosign.sigstore.dev/attestation/vuln/v1", {"scanner": "found something"})
    verdict = verdict_on(bundle_layer(key, statement), envelope_layer(key, statement), by=key)
    assert verdict.signatures == []
    assert len(verdict.attestations) == 2


def test_given_provenance_by_another_key_when_it_is_verified_then_it_is_kept_as_unsigned() -> None:
    verdict = verdict_on(envelope_layer(Key(), statement_of(DIGEST, SLSA_1)), by=Key())
    assert [statement.predicate_type for statement in verdict.others] == [SLSA_1]
    assert verdict.attestations == []


PAYLOADS: list[Any] = [
    b"",
    b"null",
    b"[]",
    b"{}",
    b"[" * 100_000,
    b"\xff\xfe",
    {"critical": []},
    {"critical": {"type": "atomic container signature", "image": {"docker-manifest-digest": DIGEST}}},
    {"critical": {"type": "cosign container image signature", "image": {"docker-manifest-digest": [DIGEST]}}},
    {"critical": {"type": "cosign container image signature", "image": DIGEST}},
]


@pytest.mark.parametrize("payload", PAYLOADS, ids=range(len(PAYLOADS)))
def test_given_a_signed_payload_of_another_shape_when_it_is_verified_then_it_does_not_count(payload: Any) -> None:
    key = Key()
    content = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    verdict = verdict_on(signature_layer(key, content), by=key)
    assert verdict.signatures == []
    assert len(verdict.objections) == 1


BUNDLES: list[Any] = [
    None,
    {"verificationMaterial": None},
    {"verificationMaterial": {"publicKey": {}}, "dsseEnvelope": []},
    {"verificationMaterial": {"publicKey": {}}, "dsseEnvelope": {"payloadType": "application/vnd.in-toto+json", "payload": "%"}},
    {
        "verificationMaterial": {"publicKey": {}},
        "dsseEnvelope": {"payloadType": "text/plain", "payload": "", "signatures": [{"sig": ""}] * 11},
    },
]


@pytest.mark.parametrize("bundle", BUNDLES, ids=range(len(BUNDLES)))
def test_given_a_bundle_of_another_shape_when_it_is_verified_then_it_does_not_count(bundle: Any) -> None:
    verdict = verdict_on(Layer(json.dumps(bundle).encode(), BUNDLE), by=Key())
    assert verdict.signatures == []
    assert len(verdict.objections) == 1


def test_given_a_signature_annotation_that_is_missing_or_no_base64_then_it_does_not_count() -> None:
    key = Key()
    for given in ({}, {SIGNATURE_ANNOTATION: "§"}):
        assert verdict_on(Layer(payload_of(DIGEST), SIMPLE_SIGNING, given), by=key).signatures == []


def test_given_something_too_large_when_it_is_verified_then_the_objection_says_so() -> None:
    verdict = verify_attached(
        [Attached(BUNDLE, b"", {}, large=True)], DIGEST, [RequiredSigner(key=Key().pem)], SigstoreRoot(None)
    )
    assert verdict.objections == ["it is too large to be looked at"]


def test_given_no_trusted_root_when_a_keyless_signer_is_asked_for_then_a_person_is_told_what_to_set() -> None:
    signer = RequiredSigner(issuer="https://issuer.example.com", subject="ana@example.com")
    with pytest.raises(NeedsPersonError, match="SLIPWAY_SIGSTORE_ROOT"):
        verify_attached([], DIGEST, [signer], SigstoreRoot(None))


def test_given_a_weak_key_when_an_image_is_verified_then_it_is_refused() -> None:
    weak = Key(rsa.generate_private_key(65537, 1024))  # noqa: S505 -- it is refused for that
    with pytest.raises(RefusedError, match="2,048"):
        verify_attached([], DIGEST, [RequiredSigner(key=weak.pem)], SigstoreRoot(None))
