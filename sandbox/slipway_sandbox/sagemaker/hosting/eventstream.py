"""Messages of AWS's event stream encoding (`application/vnd.amazon.eventstream`), as the runtime sends its parts in."""

from __future__ import annotations

import struct
from binascii import crc32
from collections.abc import Mapping

CONTENT_TYPE = "application/vnd.amazon.eventstream"
_STRING = 7
_OVERHEAD = 16
"""Bytes of a message beside headers and payload: two lengths and two checksums."""


def event(kind: str, payload: bytes) -> bytes:
    """One event with bytes in it."""
    return message({":event-type": kind, ":content-type": "application/octet-stream", ":message-type": "event"}, payload)


def exception(kind: str, payload: bytes) -> bytes:
    """What ends a stream that fails; the payload is JSON."""
    return message({":exception-type": kind, ":content-type": "application/json", ":message-type": "exception"}, payload)


def message(headers: Mapping[str, str], payload: bytes) -> bytes:
    """One message."""
    packed = b"".join(_header(name, value) for name, value in headers.items())
    prelude = struct.pack("!II", _OVERHEAD + len(packed) + len(payload), len(packed))
    head = prelude + struct.pack("!I", crc32(prelude))
    whole = head + packed + payload
    return whole + struct.pack("!I", crc32(whole))


def _header(name: str, value: str) -> bytes:
    key, text = name.encode(), value.encode()
    return struct.pack("!B", len(key)) + key + struct.pack("!BH", _STRING, len(text)) + text
