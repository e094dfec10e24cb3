"""What may go wrong with a question about permissions: it is no error, but a finding that stops nothing."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TypeVar

from slipway.aws.errors import answer_of
from slipway.errors import NeedsPersonError
from slipway.findings import Finding, Level

T = TypeVar("T")


@dataclass(frozen=True)
class Denied:
    """A question that AWS did not answer."""

    code: str
    said: str

    @property
    def is_denial(self) -> bool:
        """Whether a permission is missing."""
        return self.code.startswith("AccessDenied")


async def asked(question: Awaitable[T]) -> T | Denied:
    """The answer, or why there is none.

    Raises:
        TransientError: AWS did not answer at all; it is asked again.
    """
    try:
        return await question
    except NeedsPersonError as error:
        return Denied(answer_of(error)[0], error.report.answered)


def not_looked_at(what: str, where: str, why: str, statement: str = "") -> Finding:
    """A check that could not be made.

    Args:
        what: What was to be found out, as `whether … may …`.
        where: What names it.
        why: What came back.
        statement: The policy statement that it would need, where that is known.
    """
    remedy = "make sure that it is allowed" + (" by this statement" if statement else "")
    return Finding(level=Level.warn, what=f"not checked: {what}", where=where, why=why, remedy=remedy, statement=statement)
