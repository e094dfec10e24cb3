"""The hash that names one piece of evidence: the worker computes it, and whoever reads the evidence computes it again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

HASH_DIGITS = 16


def hash_of(document: Mapping[str, Any]) -> str:
    """The hash of evidence, over everything in it but the hash itself: the same findings have the same hash.

    Args:
        document: The evidence as JSON.
    """
    content = {name: value for name, value in document.items() if name != "hash"}
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:HASH_DIGITS]
