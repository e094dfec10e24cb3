"""Regular expressions that take linear time, whatever the pattern: RE2's, if it can read them.

Some of the models' own patterns take Python's engine years for a name of sixty letters that does not fit, and wildcards come from
clients.
"""

from __future__ import annotations

import re
from typing import Any, Protocol

import re2

ENGINE: Any = re2
"""It has no types."""
OPTIONS = ENGINE.Options()
OPTIONS.dot_nl = True
OPTIONS.log_errors = False


class Expression(Protocol):
    """The part of `re.Pattern` that is used."""

    def fullmatch(self, string: str, /) -> object | None:
        """Match the whole text."""
        ...


def expression(pattern: str) -> Expression:
    """An expression whose dot stands for line ends, too. Lookarounds and counts over 1000 are left to Python's engine.

    Raises:
        ValueError: Neither engine can read it.
    """
    try:
        return ENGINE.compile(pattern, options=OPTIONS)
    except ENGINE.error:
        pass
    try:
        return re.compile(pattern, re.DOTALL)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from error


def literally(text: str) -> str:
    """A pattern that matches this text only."""
    return ENGINE.escape(text)
