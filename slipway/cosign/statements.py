"""What signatures are over: cosign's simple signing payloads, in-toto statements, and the DSSE envelopes around these."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

PAYLOAD_TYPE = "application/vnd.in-toto+json"
SIGNATURE_PREDICATE = "https://sigstore.dev/cosign/sign/v1"
"""What cosign's own signatures say, where they are statements. Other statements describe an image, and do not sign it."""
SUBJECTS_LIMIT = 1_000
SIGNATURES_LIMIT = 10
_SIMPLE_SIGNING = "cosign container image signature"
_STATEMENTS = ("https://in-toto.io/Statement/v0.1", "https://in-toto.io/Statement/v1")


class FormatError(Exception):
    """It is not what its media type says, or has more of something than is read."""


@dataclass(frozen=True)
class Statement:
    """An in-toto statement."""

    predicate_type: str
    predicate: Mapping[str, Any]
    digests: tuple[str, ...]
    """What it is about, as `sha256:<hex>`."""


@dataclass(frozen=True)
class Envelope:
    """A DSSE envelope."""

    payload_type: str
    payload: bytes
    signatures: tuple[bytes, ...]

    @property
    def signed(self) -> bytes:
        """The bytes that the signatures are over: DSSE's pre-authentication encoding."""
        kind = self.payload_type.encode()
        return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(self.payload), self.payload)


def read_json(content: bytes) -> Mapping[str, Any]:
    """A JSON object.

    Raises:
        FormatError: It is none.
    """
    try:
        found: object = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise FormatError("it is no JSON") from error
    return mapping(found)


def simple_signing_digest(payload: bytes) -> str:
    """The digest that a simple signing payload names. The repository that it claims proves nothing and is not read.

    Raises:
        FormatError: It is no such payload.
    """
    critical = mapping(read_json(payload).get("critical"))
    if critical.get("type") != _SIMPLE_SIGNING:
        raise FormatError("it is no container signature of cosign")
    return text(mapping(critical.get("image")).get("docker-manifest-digest"))


def read_envelope(document: Mapping[str, Any]) -> Envelope:
    """A DSSE envelope from its JSON.

    Raises:
        FormatError: It is none, or has more than the 10 signatures that are looked at.
    """
    signatures = sequence(document.get("signatures"), SIGNATURES_LIMIT)
    return Envelope(
        payload_type=text(document.get("payloadType")),
        payload=decoded(document.get("payload")),
        signatures=tuple(decoded(mapping(each).get("sig")) for each in signatures),
    )


def read_statement(payload: bytes) -> Statement:
    """An in-toto statement of version 0.1 or 1.

    Raises:
        FormatError: It is none, or is about more than 1,000 things.
    """
    document = read_json(payload)
    if document.get("_type") not in _STATEMENTS:
        raise FormatError("it is no in-toto statement")
    digests = (mapping(mapping(each).get("digest")).get("sha256") for each in sequence(document.get("subject"), SUBJECTS_LIMIT))
    return Statement(
        predicate_type=text(document.get("predicateType")),
        predicate=mapping(document.get("predicate") or {}),
        digests=tuple(f"sha256:{digest}" for digest in digests if isinstance(digest, str)),
    )


def decoded(value: object) -> bytes:
    """The bytes of base64.

    Raises:
        FormatError: It is none.
    """
    try:
        return base64.b64decode(text(value), validate=True)
    except ValueError as error:
        raise FormatError("a part of it is no base64") from error


def mapping(value: object) -> Mapping[str, Any]:
    """A JSON object.

    Raises:
        FormatError: It is something else.
    """
    if not isinstance(value, dict):
        raise FormatError("a part of it is missing")
    return cast("Mapping[str, Any]", value)


def sequence(value: object, limit: int) -> list[object]:
    """A JSON array.

    Raises:
        FormatError: It is something else, or too long.
    """
    if not isinstance(value, list):
        raise FormatError("a part of it is missing")
    found = cast("list[object]", value)
    if len(found) > limit:
        raise FormatError(f"a part of it has more than {limit:,} entries")
    return found


def text(value: object) -> str:
    """A JSON string.

    Raises:
        FormatError: It is something else.
    """
    if not isinstance(value, str):
        raise FormatError("a part of it is missing")
    return value
