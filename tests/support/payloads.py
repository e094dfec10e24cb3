"""Payloads as anybody may send them to a workflow."""

from __future__ import annotations

import json
from collections.abc import Sequence

from temporalio.api.common.v1 import Payload, Payloads
from temporalio.common import RawValue


def raw(data: bytes, encoding: str = "json/plain", **metadata: str) -> RawValue:
    """One payload, byte by byte."""
    return RawValue(Payload(metadata={"encoding": encoding.encode()} | {k: v.encode() for k, v in metadata.items()}, data=data))


def of(value: object) -> RawValue:
    """One payload of JSON."""
    return raw(json.dumps(value).encode())


_FULL = {"by": "ana", "evidence": "e", "reason": ""}
STRANGE: dict[str, Sequence[RawValue]] = {
    "none": [],
    "two": [of(_FULL), of(_FULL)],
    "two that cannot be decoded": [raw(b"\xff", "binary/unknown"), raw(b"{")],
    "binary/null": [raw(b"", "binary/null")],
    "binary/plain": [raw(json.dumps(_FULL).encode(), "binary/plain")],
    "binary/plain, no UTF-8": [raw(b"\xff\xfe", "binary/plain")],
    "json/protobuf": [raw(b'{"payloads": []}', "json/protobuf", messageType=Payloads.DESCRIPTOR.full_name)],
    "json/protobuf of an unknown type": [raw(b"{}", "json/protobuf", messageType="no.such.Type")],
    "binary/protobuf": [raw(b"\xff", "binary/protobuf", messageType=Payloads.DESCRIPTOR.full_name)],
    "an unknown encoding": [raw(b"{}", "binary/encrypted")],
    "an encoding that is no text": [RawValue(Payload(metadata={"encoding": b"\xff"}, data=b"{}"))],
    "no encoding": [RawValue(Payload(data=b"{}"))],
    "no JSON": [raw(b"{by: ana")],
    "no UTF-8": [raw(b'{"by": "\xff"}')],
    "nested deeply": [raw(b"[" * 50_000)],
    "a list": [of([_FULL])],
    "a number": [raw(b"1" * 5_000)],
    "half a surrogate pair": [raw(b'{"by": "\\ud800", "evidence": "e"}')],
    "wrong members": [of({"by": 5, "evidence": [], "reason": {}, "app": 1, "image": None, "attempt": 0})],
    "an escape in the name": [of(_FULL | {"by": "\x1b[2Jana"})],
    "lines in the name": [of(_FULL | {"by": "eve\n\n# Approved by ana, bo"})],
    "a long name": [of(_FULL | {"by": "a" * 1_000})],
    "a long evidence": [of({"evidence": "e" * 10_000})],
    "a long reason": [of(_FULL | {"reason": "r" * 10_000})],
    "1.9 MB of evidence": [of(_FULL | {"evidence": "e" * 1_900_000})],
    "100,000 members": [of(_FULL | dict.fromkeys((f"k{number}" for number in range(100_000)), 1))],
    "a document that is an object": [of({"document": {"document": {"kind": "approve"}}, "signature": ["-----BEGIN"]})],
    "a document of 16,001 characters": [of({"document": "d" * 16_001, "signature": "s"})],
    "a document with half a surrogate pair": [raw(b'{"document": "\\ud800", "signature": "s"}')],
    "1,000 members": [of(dict.fromkeys((f"k{number}" for number in range(1_000)), 1))],
}
"""What neither a command nor a start may take: refused at each door."""
