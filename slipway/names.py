"""Names of what a promotion makes in SageMaker, derived from what it is about, so that a retry makes the same.

A name carries a hash of everything that its resource is made of: the same name means the same content, and a changed spec makes
another. SageMaker allows letters, digits and hyphens, 63 at most.
"""

from __future__ import annotations

import hashlib
import json
import re

NAME_LIMIT = 63
HASH_DIGITS = 10


def hashed_name(stem: str, content: object) -> str:
    """A legal name: as much of the stem as fits, and a hash of the content.

    Args:
        stem: What people recognise.
        content: JSON-ready values that the named thing is made of.
    """
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:HASH_DIGITS]
    slug = re.sub(r"[^a-zA-Z0-9]+", "-", stem)[: NAME_LIMIT - HASH_DIGITS - 1].strip("-") or "model"
    return f"{slug}-{digest}"
