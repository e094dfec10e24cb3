"""What can be undone: planned before each effect, undone last in first out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from temporalio.exceptions import FailureError

from activities.compensation import Compensation
from slipway.api import LedgerEntry, LedgerState, StageName
from slipway.errors import report_of

Undo = Callable[[str], Awaitable[Compensation]]
"""Undoes one effect, for a reason. It may find that there is nothing to undo, and says so."""


@dataclass
class _Plan:
    entry: LedgerEntry
    undo: Undo

    def settle(self, state: LedgerState, note: str) -> None:
        self.entry = self.entry.model_copy(update={"state": state, "note": note})


class Ledger:
    """The effects of one promotion on the outside."""

    def __init__(self) -> None:
        self._plans: list[_Plan] = []

    @property
    def entries(self) -> tuple[LedgerEntry, ...]:
        """Every entry, in the order of the effects."""
        return tuple(plan.entry for plan in self._plans)

    def plan(self, stage: StageName, inverse: str, undo: Undo) -> None:
        """Put an effect's inverse down. Call it before the effect; the second try of a stage changes nothing here.

        Args:
            stage: The effect's stage.
            inverse: What undoes it, as `revert the commit`.
            undo: Undoes whatever of the effect there is by then.
        """
        if not any((plan.entry.stage, plan.entry.inverse) == (stage, inverse) for plan in self._plans):
            self._plans.append(_Plan(LedgerEntry(stage=stage, inverse=inverse), undo))

    def keep_all(self, note: str) -> None:
        """Nothing is to be undone."""
        for plan in self._plans:
            plan.settle(LedgerState.kept, note)

    async def undo_all(self, reason: str, changed: Callable[[], None]) -> None:
        """Undo everything, the last effect first. One that cannot be undone is left to a person, and the others go on.

        Args:
            reason: Why, as whoever looks at the outside later should read it.
            changed: Called after each entry.
        """
        for plan in reversed(self._plans):
            try:
                done = await plan.undo(reason)
            except FailureError as error:
                plan.settle(LedgerState.needs_person, str(report_of(error)))
            else:
                plan.settle(done.state, done.note)
            changed()


async def keep(reason: str) -> Compensation:
    """The inverse of an effect that does no harm."""
    del reason
    return Compensation(state=LedgerState.kept, note="it does no harm, and the next promotion of the same digest uses it")
