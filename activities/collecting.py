"""Runs checks one after the other, and keeps what each of them finds instead of stopping at the first."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Generator
from typing import TypeVar

from slipway.errors import MayPassError, NeedsPersonError, RefusedError, ScaledNowError
from slipway.findings import Finding, Level

T = TypeVar("T")


class Collector:
    """What checks have found so far. They are the same checks that a promotion makes at its stages."""

    def __init__(self) -> None:
        self._found: list[Finding] = []

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All that was found, each once."""
        return tuple(dict.fromkeys(self._found))

    @property
    def is_refused(self) -> bool:
        """Whether a promotion would not go on."""
        return any(found.level is Level.refuse for found in self._found)

    def add(self, *findings: Finding) -> None:
        """Keep what something else has found."""
        self._found += findings

    def refuse(self, what: str, where: str, why: str, remedy: str) -> None:
        """Keep what a promotion would not go on with."""
        self.add(Finding(level=Level.refuse, what=what, where=where, why=why, remedy=remedy))

    def warn(self, what: str, where: str, why: str, remedy: str) -> None:
        """Keep what people should know."""
        self.add(Finding(level=Level.warn, what=what, where=where, why=why, remedy=remedy))

    async def attempt(self, check: Awaitable[T], where: str, why: str) -> T | None:
        """The result of a check; none where it found something, which is kept.

        Args:
            check: Raises what is wrong.
            where: What names it.
            why: What would follow from it.

        Raises:
            TransientError: It could not be made now.
        """
        with self._keeping(where, why):
            return await check
        return None

    def check(self, check: Callable[[], T], where: str, why: str) -> T | None:
        """The same for a check that asks nobody."""
        with self._keeping(where, why):
            return check()
        return None

    @contextlib.contextmanager
    def _keeping(self, where: str, why: str) -> Generator[None]:
        try:
            yield
        except (MayPassError, ScaledNowError) as error:
            self.add(Finding.of(error, where, f"{why}; it may be over by then", Level.warn))
        except (NeedsPersonError, RefusedError) as error:
            self.add(Finding.of(error, where, why))
