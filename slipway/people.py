"""Names of people: which are accepted, and when two of them are one person."""

from __future__ import annotations

import unicodedata

from pydantic_core import PydanticCustomError

NAME_LIMIT = 128
_INVISIBLE = {"Cc", "Cf"}


def fold_name(name: str) -> str:
    """What the spellings of a name have in common: no case, no outer spaces, no invisible characters, one form of each letter."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    visible = "".join(letter for letter in folded if unicodedata.category(letter) not in _INVISIBLE)
    return " ".join(visible.split())


def same_person(one: str, other: str) -> bool:
    """Whether two names are spellings of one."""
    return fold_name(one) == fold_name(other)


def check_line(text: str) -> str:
    """A text of one printable line.

    Raises:
        PydanticCustomError: It has a line end, or a character that cannot be seen.
    """
    if not text.isprintable():
        raise PydanticCustomError("not_printable", "must be one line without invisible characters")
    return text


def check_name(name: str) -> str:
    """A name as it is kept: one printable line without outer spaces.

    Raises:
        PydanticCustomError: It is none.
    """
    stripped = check_line(name).strip()
    if not fold_name(stripped) or len(stripped) > NAME_LIMIT:
        raise PydanticCustomError("no_name", "must be a name of 1 to 128 characters")
    return stripped
