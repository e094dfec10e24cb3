"""A promotion's state on its way into a new run.

A state of many targets says the same of each, and is larger than the 2 MB that Temporal takes. As it is so repetitive, it takes a
tenth of that when it is compressed. A small one stays as it is, which every release reads.
"""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

PLAIN_SIZE = 1_000_000
"""Bytes up to which a state is carried as it is."""
LIMIT = 64_000_000
"""Bytes of a state that is read: only a promotion itself carries one, and this is many times what the largest has."""
_MEMBER = "deflated"


def pack(state: str) -> dict[str, Any]:
    """A state as a new run's input has it.

    Args:
        state: As JSON.
    """
    content = state.encode()
    if len(content) <= PLAIN_SIZE:
        return json.loads(state)
    return {_MEMBER: base64.b64encode(zlib.compress(content)).decode()}


def unpack(carried: dict[str, Any]) -> dict[str, Any]:
    """The state that a run's input has.

    Raises:
        ValueError: It is longer than any state, or not what `pack` made.
    """
    if _MEMBER not in carried:
        return carried
    inflate = zlib.decompressobj()
    try:
        content = inflate.decompress(base64.b64decode(carried[_MEMBER], validate=True), LIMIT)
    except (zlib.error, TypeError) as error:
        raise ValueError(f"the carried state cannot be read: {error}") from error
    if not inflate.eof:
        raise ValueError(f"the carried state has more than {LIMIT:,} bytes")
    return json.loads(content)
