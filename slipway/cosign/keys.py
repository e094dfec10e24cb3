"""Signatures by a key that the spec or the policy holds."""

from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from slipway.app.signers import key_content
from slipway.errors import RefusedError

_LEAST_RSA = 2_048
_CURVE_HASHES: dict[str, hashes.HashAlgorithm] = {"secp384r1": hashes.SHA384(), "secp521r1": hashes.SHA512()}


@functools.lru_cache(maxsize=256)
def load_key(pem: str) -> PublicKey:
    """A public key.

    Raises:
        RefusedError: It is none, or too weak.
    """
    tried = "reading a key of signedBy"
    remedy = "write the public key as `cosign public-key --key <key>` prints it"
    try:
        content = key_content(pem)
        key = load_der_public_key(content)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise RefusedError(tried, f"it is no public key: {error}", remedy) from error
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < _LEAST_RSA:
        raise RefusedError(tried, f"it is RSA with {key.key_size} bits", f"use one with {_LEAST_RSA:,} bits or more")
    if not isinstance(key, ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey):
        raise RefusedError(tried, "it is a key of another kind", remedy)
    return PublicKey(key, content)


class PublicKey:
    """A key that checks signatures as cosign makes them.

    Args:
        key: The key.
        content: Its DER.
    """

    def __init__(self, key: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey, content: bytes) -> None:
        self._key = key
        self.fingerprint = f"SHA256:{base64.b64encode(hashlib.sha256(content).digest()).decode().rstrip('=')}"
        """The SHA-256 of its DER, in base64."""

    def has_signed(self, content: bytes, signature: bytes) -> bool:
        """Whether a signature over some bytes is this key's."""
        return any(_is_valid(self._key, signature, content, way) for way in self._ways())

    def _ways(self) -> list[tuple[Any, ...]]:
        """How keys of this kind sign. cosign takes SHA-256 with every curve for signatures, and the curve's own in bundles."""
        match self._key:
            case ed25519.Ed25519PublicKey():
                return [()]
            case rsa.RSAPublicKey():
                return [(padding.PKCS1v15(), hashes.SHA256())]
            case _:
                own = _CURVE_HASHES.get(self._key.curve.name)
                return [(ec.ECDSA(each),) for each in (hashes.SHA256(), own) if each]


def _is_valid(key: Any, signature: bytes, content: bytes, way: tuple[Any, ...]) -> bool:
    with contextlib.suppress(InvalidSignature):
        key.verify(signature, content, *way)
        return True
    return False
