"""Text on its way to people: numbers with their nouns, and what strangers wrote, made harmless for where it is shown."""

from __future__ import annotations

import re

_CONTROLS = r"\x00-\x08\x0b-\x1f\x7f-\x9f"
_BIDI = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_SURROGATES = "\ud800-\udfff"
_SURROGATE = re.compile(f"[{_SURROGATES}]")
_UNSAFE = re.compile(f"[{_CONTROLS}{_BIDI}{_SURROGATES}]")
_LINE_ENDS = re.compile("\r\n|[\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>&|~#!$])")
_BLOCK_START = re.compile(r"(?P<mark>[-+=]|\d+(?=[.)]))")
_CELL = "�"


def pluralize(number: int, noun: str) -> str:
    """A count as people write it, as `1 endpoint` or `2 endpoints`, for nouns whose plural has an s."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def printable(text: str) -> str:
    """Text for a terminal: no character can move the cursor, change a setting, or turn the direction of what follows.

    Line ends and tabs stay; each other control character (C0, C1), control of direction and half of a surrogate pair becomes `�`.
    """
    return _UNSAFE.sub(_CELL, _LINE_ENDS.sub("\n", text))


def without_surrogates(text: str) -> str:
    """Text that UTF-8 can have: halves of surrogate pairs become `�`."""
    return _SURROGATE.sub(_CELL, text)


def one_line(text: str) -> str:
    """The same in one line, each run of spaces as one."""
    return " ".join(printable(text).split())


def markdown(text: str) -> str:
    """Text inside a line of Markdown, where it shows as it is: no mark, HTML or line end has an effect."""
    escaped = _MARKDOWN.sub(r"\\\1", one_line(text))
    start = _BLOCK_START.match(escaped)
    if not start:
        return escaped
    # At the beginning of a line, these would begin a list or a heading.
    mark = start["mark"]
    return f"{mark}\\{escaped[len(mark) :]}" if mark.isdigit() else f"\\{escaped}"


def code_span(text: str) -> str:
    """Text as code in a line of Markdown."""
    line = one_line(text)
    marks = "`" * (_longest_run(line) + 1)
    edge = " " if "`" in line or not line else ""
    return f"{marks}{edge}{line}{edge}{marks}"


def fenced(text: str, language: str = "") -> str:
    """Lines as a block of code in Markdown, whose fence is longer than any in them."""
    lines = printable(text)
    fence = "`" * max(3, _longest_run(lines) + 1)
    return f"{fence}{language}\n{lines}\n{fence}"


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)
