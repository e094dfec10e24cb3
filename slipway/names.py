"""Names that outlive a process: ids, names and tokens that a retry, another worker or a later release must make again.

Each is a hash over an explicit tuple that begins with what is named and the version of the tuple. A new member of a model never
changes a name. What must change a name gets a new version here, and old promotions keep the names that they recorded.
"""

from __future__ import annotations

import hashlib
import json
import re

NAME_LIMIT = 63
"""SageMaker's limit for the names of models, endpoint configs and endpoints: letters, digits and hyphens."""
HASH_DIGITS = 10
TOKEN_LENGTH = 64
"""Characters of a client token: ECS's RunTask takes 64, SageMaker 32 to 128."""
NamePart = str | int | None


def short_hash(kind: str, version: int, *parts: NamePart, digits: int = 12) -> str:
    """The first hexadecimal digits of the SHA-256 of a versioned tuple.

    Args:
        kind: What is named, as `promotion`.
        version: The version of this tuple.
        parts: What makes the name differ from others of its kind.
        digits: How many digits, 64 at most.
    """
    return hashlib.sha256(json.dumps([kind, version, *parts]).encode()).hexdigest()[:digits]


def hashed_name(stem: str, kind: str, version: int, *parts: NamePart) -> str:
    """A legal SageMaker name: as much of the stem as fits, and a hash of what the named thing is made of.

    Args:
        stem: What people recognise.
        kind: What is named, as `model`.
        version: The version of the tuple.
        parts: What the named thing is made of.
    """
    return f"{slug_of(stem)}-{short_hash(kind, version, *parts, digits=HASH_DIGITS)}"


def slug_of(stem: str) -> str:
    """The part of a name that people recognise."""
    return re.sub(r"[^a-zA-Z0-9]+", "-", stem)[: NAME_LIMIT - HASH_DIGITS - 1].strip("-") or "model"
