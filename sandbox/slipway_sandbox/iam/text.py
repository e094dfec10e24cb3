"""Patterns in policies: wildcards, and variables that the call fills in."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence

Context = Mapping[str, Sequence[str]]
"""Condition keys in lower case, with their values."""
VARIABLE = re.compile(r"\$\{(?P<key>[^}]+)\}")
LITERALS = frozenset("*?$")
"""`${*}`, `${?}` and `${$}` mean the character itself."""


@functools.lru_cache(maxsize=8192)
def glob(pattern: str) -> re.Pattern[str]:
    """`*` for any characters, `?` for one."""
    parts = {"*": ".*", "?": "."}
    return re.compile("".join(parts.get(letter) or re.escape(letter) for letter in pattern), re.DOTALL)


def resolved(pattern: str, context: Context) -> re.Pattern[str]:
    """A pattern with its variables filled in. One that the call has no value for matches nothing."""
    if "${" not in pattern:
        return glob(pattern)
    parts: list[str] = []
    end = 0
    for found in VARIABLE.finditer(pattern):
        value = literal(found["key"], context)
        if value is None:
            return re.compile(r"(?!)")
        parts += [glob(pattern[end : found.start()]).pattern, re.escape(value)]
        end = found.end()
    return re.compile("".join([*parts, glob(pattern[end:]).pattern]), re.DOTALL)


def literal(variable: str, context: Context) -> str | None:
    """What a variable stands for: the key's one value, or the default written after a comma."""
    if variable in LITERALS:
        return variable
    key, _, default = variable.partition(",")
    values = context.get(key.strip().lower(), ())
    if len(values) == 1:
        return values[0]
    return default.strip().strip("'") if default else None
