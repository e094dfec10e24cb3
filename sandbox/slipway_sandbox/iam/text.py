"""Patterns in policies: wildcards, and variables that the call fills in."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence

from slipway_sandbox.protocol.patterns import Expression, expression, literally

Context = Mapping[str, Sequence[str]]
"""Condition keys in lower case, with their values."""
VARIABLE = re.compile(r"\$\{(?P<key>[^}]+)\}")
WILDCARDS = {"*": ".*", "?": "."}
LITERALS = frozenset("*?$")
"""`${*}`, `${?}` and `${$}` mean the character itself."""


@functools.lru_cache(maxsize=8192)
def glob(pattern: str) -> Expression:
    """`*` for any characters, `?` for one."""
    return expression(spelled(pattern))


def spelled(pattern: str) -> str:
    """The same as a regular expression's text."""
    return "".join(WILDCARDS.get(letter) or literally(letter) for letter in pattern)


def fits(pattern: str, value: str, context: Context) -> bool:
    """Whether a value fits a pattern whose variables are filled in. A variable without a value in the call matches nothing."""
    found = _resolved(pattern, context)
    return found is not None and found.fullmatch(value) is not None


def _resolved(pattern: str, context: Context) -> Expression | None:
    if "${" not in pattern:
        return glob(pattern)
    parts: list[str] = []
    end = 0
    for found in VARIABLE.finditer(pattern):
        value = literal(found["key"], context)
        if value is None:
            return None
        parts += [spelled(pattern[end : found.start()]), literally(value)]
        end = found.end()
    return expression("".join([*parts, spelled(pattern[end:])]))


def literal(variable: str, context: Context) -> str | None:
    """What a variable stands for: the key's one value, or the default written after a comma."""
    if variable in LITERALS:
        return variable
    key, _, default = variable.partition(",")
    values = context.get(key.strip().lower(), ())
    if len(values) == 1:
        return values[0]
    return default.strip().strip("'") if default else None
