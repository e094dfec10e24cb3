"""The hash that names one piece of evidence: the worker computes it, and whoever reads the evidence computes it again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, cast

HASH_DIGITS = 16
_NOT_HASHED = frozenset({"hash", "sha256"})


def hash_of(document: Mapping[str, Any]) -> str:
    """The first digits of the checksum, by which people and decisions name evidence.

    Args:
        document: The evidence as JSON.
    """
    return sha256_of(document)[:HASH_DIGITS]


def sha256_of(document: Mapping[str, Any]) -> str:
    """The checksum of evidence: SHA-256 over everything in it but its checksums, as canonical JSON.

    Members without a value do not count. So evidence keeps its checksum when a later release, which knows more members, shows it.

    Args:
        document: The evidence as JSON.
    """
    content = {name: value for name, value in document.items() if name not in _NOT_HASHED}
    canonical = json.dumps(_with_value(content), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _with_value(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_value(each) for each in cast("list[Any]", value)]
    if not isinstance(value, dict):
        return value
    members = {name: _with_value(each) for name, each in cast("dict[str, Any]", value).items()}
    return {name: each for name, each in members.items() if each not in (None, "", [], {})}
