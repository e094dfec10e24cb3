"""JSON that clients send, read strictly: what is stored here is answered and shown again, and computed with."""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

DEEPEST = 100
"""Lists and objects within each other. AWS publishes no limit; what is real has a dozen."""
BRACKETS_AND_TEXTS = re.compile(rb'[\[\]{}]|"(?:[^"\\]|\\.)*"', re.DOTALL)
STEPS = {b"[": 1, b"{": 1, b"]": -1, b"}": -1}
ESCAPED_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def parsed(document: str | bytes) -> Any:
    """The value of a document of JSON (RFC 8259).

    Raises:
        ValueError: It is none, has a number that cannot be told again (`NaN`, `1e999`), holds half a character, or is nested too
            deeply.
    """
    encoded = document.encode() if isinstance(document, str) else document
    if deeper(encoded):
        raise ValueError(f"it is nested more than {DEEPEST} times")
    value = json.loads(encoded, parse_constant=_refuse, parse_float=_finite)
    if ESCAPED_SURROGATE.search(encoded):
        json.dumps(value, ensure_ascii=False).encode()
    return value


def deeper(document: bytes) -> bool:
    """Whether its brackets, but for those in texts, open within each other more often than they may."""
    if document.count(b"[") + document.count(b"{") <= DEEPEST:
        return False
    depth = 0
    for found in BRACKETS_AND_TEXTS.finditer(document):
        depth += STEPS.get(found[0], 0)
        if depth > DEEPEST:
            return True
    return False


def _finite(number: str) -> float:
    value = float(number)
    if math.isinf(value):
        raise ValueError(f"{number} is too large")
    return value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number of JSON")
