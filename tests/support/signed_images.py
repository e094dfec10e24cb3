"""Signed images: keys, signatures and attestations as cosign makes them, in the local AWS's registry."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from slipway_sandbox.testing import SandboxProcess, TestImage, push_image

from activities.guard import Guard
from activities.images.origins import ImageOrigins
from activities.repositories import Repositories
from slipway.aws.clients import Aws
from slipway.cosign.attached import BUNDLES, DSSE, IN_TOTO, SIMPLE_SIGNING
from slipway.cosign.keyless import SigstoreRoot
from slipway.cosign.statements import SIGNATURE_PREDICATE
from slipway.oci.client import content_digest
from slipway.policy.model import policy_of_branches
from slipway.policy.source import fixed

BUNDLE = BUNDLES[0]
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
EMPTY = b"{}"
SLSA_1 = "https://slsa.dev/provenance/v1"
SLSA_0_2 = "https://slsa.dev/provenance/v0.2"

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


def origins_of(aws: Aws, repositories: Repositories | None = None, root: Path | None = None) -> ImageOrigins:
    """A worker's look at where images come from.

    Args:
        aws: Where to find AWS.
        repositories: What the worker may use; nothing by default.
        root: The file of the trusted root.
    """
    nothing = Repositories(fixed(policy_of_branches([])), Path("unused"))
    return ImageOrigins(aws, Guard(repositories or nothing), SigstoreRoot(root))


class Key:
    """Somebody who signs with a key of their own.

    Args:
        key: The key; one of cosign's own kind by default.
    """

    def __init__(self, key: PrivateKey | None = None) -> None:
        self._key = key or ec.generate_private_key(ec.SECP256R1())
        self.pem = self._key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    def sign(self, content: bytes) -> bytes:
        """A signature over some bytes."""
        match self._key:
            case ed25519.Ed25519PrivateKey():
                return self._key.sign(content)
            case rsa.RSAPrivateKey():
                return self._key.sign(content, padding.PKCS1v15(), hashes.SHA256())
            case _:
                return self._key.sign(content, ec.ECDSA(hashes.SHA256()))


def payload_of(digest: str, **changes: Any) -> bytes:
    """A simple signing payload about a digest, as cosign writes it."""
    critical = {
        "identity": {"docker-reference": "registry.test/any"},
        "image": {"docker-manifest-digest": digest},
        "type": "cosign container image signature",
    }
    return json.dumps({"critical": {**critical, **changes}, "optional": None}).encode()


def statement_of(digest: str, predicate_type: str = SIGNATURE_PREDICATE, predicate: Mapping[str, Any] | None = None) -> bytes:
    """An in-toto statement about a digest."""
    subject = [{"name": "image", "digest": {"sha256": digest.partition(":")[2]}}]
    document = {"_type": "https://in-toto.io/Statement/v1", "subject": subject, "predicateType": predicate_type}
    return json.dumps({**document, "predicate": predicate or {}}).encode()


def encoded(content: bytes) -> str:
    """Base64."""
    return base64.b64encode(content).decode()


def to_be_signed(payload: bytes, kind: str = IN_TOTO) -> bytes:
    """DSSE's pre-authentication encoding, written down apart from the product's."""
    return f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload


def envelope_of(key: Key, payload: bytes) -> dict[str, Any]:
    """A DSSE envelope."""
    return {
        "payloadType": IN_TOTO,
        "payload": encoded(payload),
        "signatures": [{"sig": encoded(key.sign(to_be_signed(payload)))}],
    }


def bundle_of(key: Key, payload: bytes) -> bytes:
    """Sigstore's bundle of an envelope that a key signed."""
    material: dict[str, Any] = {"publicKey": {"hint": "any"}, "tlogEntries": []}
    return json.dumps({"mediaType": BUNDLE, "verificationMaterial": material, "dsseEnvelope": envelope_of(key, payload)}).encode()


@dataclass(frozen=True)
class Layer:
    """One layer of what is attached to an image."""

    content: bytes
    media_type: str
    annotations: Mapping[str, str] | None = None


def signature_layer(key: Key, payload: bytes, signed: bytes | None = None) -> Layer:
    """A signature in cosign's older format.

    Args:
        key: Whose it is.
        payload: What lies in the registry.
        signed: What was signed, where that is something else.
    """
    annotations = {"dev.cosignproject.cosign/signature": encoded(key.sign(payload if signed is None else signed))}
    return Layer(payload, SIMPLE_SIGNING, annotations)


def envelope_layer(key: Key, payload: bytes) -> Layer:
    """An attestation in cosign's older format."""
    return Layer(json.dumps(envelope_of(key, payload)).encode(), DSSE)


def artifact(layers: Sequence[Layer], subject: TestImage | None = None, digest: str = "") -> TestImage:
    """A manifest of some layers.

    Args:
        layers: The layers.
        subject: The image that it refers to.
        digest: The digest that it names instead.
    """
    blobs = {content_digest(content): content for content in (EMPTY, *(layer.content for layer in layers))}
    described = [
        {
            "mediaType": layer.media_type,
            "digest": content_digest(layer.content),
            "size": len(layer.content),
            **({"annotations": dict(layer.annotations)} if layer.annotations else {}),
        }
        for layer in layers
    ]
    config = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": content_digest(EMPTY), "size": len(EMPTY)}
    manifest: dict[str, Any] = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": described}
    if subject:
        manifest["artifactType"] = layers[0].media_type
        manifest["subject"] = {"mediaType": MANIFEST, "digest": digest or subject.digest, "size": len(subject.manifest)}
    return TestImage(json.dumps(manifest).encode(), blobs)


class Shelf:
    """A repository in which things are attached to images.

    Args:
        sandbox: The local AWS.
        account: Whose it is.
        repository: Its name.
    """

    def __init__(self, sandbox: SandboxProcess, account: str, repository: str) -> None:
        self._sandbox, self._account, self._repository = sandbox, account, repository
        self.name = f"{account}.dkr.ecr.us-east-1.amazonaws.com/{repository}"

    def _push(self, tag: str, image: TestImage) -> None:
        push_image(self._sandbox, self._account, self._repository, tag, image)

    def push(self, image: TestImage, tag: str = "v1") -> str:
        """Pushes an image, and returns its name by digest."""
        self._push(tag, image)
        return f"{self.name}@{image.digest}"

    def tag(self, digest: str, suffix: str, *layers: Layer) -> None:
        """Attaches layers to an image by cosign's tag."""
        self._push(f"{digest.replace(':', '-')}.{suffix}", artifact(layers))

    def refer(self, image: TestImage, *layers: Layer) -> TestImage:
        """Attaches layers to an image as a referrer."""
        referrer = artifact(layers, image)
        self._push(referrer.digest, referrer)
        return referrer
