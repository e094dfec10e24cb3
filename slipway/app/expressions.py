"""Regular expressions that strangers write, PipeCD's above all: Go's dialect, in linear time, by RE2 as Go's own.

Strangers write the text that they run on, too. Python's engine can take years for sixty letters, and holds the whole
process up meanwhile.
"""

from __future__ import annotations

import itertools
import re
import time
from typing import Any

import re2

LENGTH_LIMIT = 1_000
SIZE_LIMIT = 5_000
"""Instructions of the compiled expression: what one step through the text may cost."""
MATCH_LIMIT = 100
SECONDS = 10.0
_ANY_BYTE = re.compile(r"(?<!\\)(?:\\\\)*\\C")
_ENGINE: Any = re2
"""It has no types."""

Span = tuple[int, int]


def compiled(pattern: str) -> Any:
    """A compiled expression for bytes of UTF-8.

    Raises:
        ValueError: It is no expression of Go's dialect, or is too large.
    """
    if len(pattern) > LENGTH_LIMIT:
        raise ValueError(f"has {len(pattern):,} characters; at most {LENGTH_LIMIT:,} are read")
    if _ANY_BYTE.search(pattern):
        raise ValueError("matches single bytes by \\C, which Go's expressions do not: write a dot")
    options = _ENGINE.Options()
    options.log_errors = False
    try:
        made = _ENGINE.compile(pattern.encode(), options=options)
    except (_ENGINE.error, UnicodeEncodeError) as error:
        raise ValueError(f"is not a regular expression: {_words(error)}") from error
    if made.programsize > SIZE_LIMIT:
        raise ValueError("repeats too much: lower its counts in braces")
    return made


def expression(pattern: str) -> Any:
    """A compiled expression whose first group is what is replaced.

    Raises:
        ValueError: It cannot be used, or has no group.
    """
    made = compiled(pattern)
    if not made.groups:
        raise ValueError("has no group: put the part to replace in parentheses; PipeCD replaces the first group")
    return made


def first_groups(pattern: str, content: bytes) -> list[Span]:
    """Where the first group of each match is.

    Raises:
        ValueError: The expression cannot be used, matches too often, or takes too long.
    """
    deadline = time.monotonic() + SECONDS
    spans: list[Span] = []
    for match in itertools.islice(expression(pattern).finditer(content), MATCH_LIMIT + 1):
        if match.start(1) >= 0:
            spans.append(match.span(1))
        if time.monotonic() > deadline:
            raise ValueError(f"had not ended after {SECONDS:.0f} s")
    if len(spans) > MATCH_LIMIT:
        raise ValueError(f"matches more than {MATCH_LIMIT} places")
    return spans


def _words(error: Exception) -> str:
    said: Any = error.args[0] if error.args else ""
    return said.decode(errors="replace") if isinstance(said, bytes) else str(said)
