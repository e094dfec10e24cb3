"""JSON that clients send, read strictly: what is stored here is answered and shown again, and computed with."""

from __future__ import annotations

import json
from typing import Any

from pydantic_core import from_json

DEEPEST = 200
"""Lists and objects within each other: pydantic's limit. AWS publishes none; real documents have a dozen."""


def parsed(document: str | bytes) -> Any:
    """The value of a document of JSON (RFC 8259).

    Raises:
        ValueError: It is not JSON, has a number that is too large (`1e999`) or none (`NaN`), holds half a surrogate pair, or is
            nested more than `DEEPEST` times.
    """
    value = from_json(document.encode() if isinstance(document, str) else document, allow_inf_nan=False)
    json.dumps(value, allow_nan=False)  # from_json reads a number that is too large as infinity
    return value
