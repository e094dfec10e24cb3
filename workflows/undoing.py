"""The way back: effects are undone, and an operator is waited for where one cannot be."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from slipway.api import LedgerState, Outcome
    from slipway.errors import TEXT_LIMIT, Ending, FailureReport, cap
    from slipway.temporal.search_attributes import State
    from workflows.state.compensations import Planned

from workflows.stages import TIMER, StagedWorkflow
from workflows.undo import parks_undoing, undo_all
from workflows.way_back import said_of_way_back


class UndoingWorkflow(StagedWorkflow):
    """A workflow of stages whose effects are undone."""

    async def _undo(self, outcome: Outcome, reason: str) -> None:
        """Undo every effect, the last one first."""
        self._state.fail(outcome, reason, workflow.now())
        if outcome is Outcome.aborted and (way_back := said_of_way_back(self._state.rollouts)):
            self._notice(f"the way back: {way_back}")
        self._view.show()
        if self._state.compensations:
            # Worth an event, for it may take long.
            self._view.index(state=State.undoing)
        await self._go_back(outcome)

    async def _go_back(self, outcome: Outcome) -> None:
        """Undo what is not undone yet. A cancellation does not end that."""
        undoing = asyncio.create_task(self._undo_all())
        while not undoing.done():
            try:
                await asyncio.shield(undoing)
            except asyncio.CancelledError:
                self._notice("a cancellation was ignored: the effects of this promotion are being undone")
        undoing.result()
        self._end(outcome)

    async def _undo_all(self) -> None:
        state = self._state
        if state.parked_undoing:  # by the run before this one
            await self._until_told()
        while state.compensations and not state.left:
            failed = await undo_all(state, f"{state.ending}: {state.reason}", self._origin, self._view.show)
            if not failed or not parks_undoing():
                return
            state.park_undoing(self._waiting_for_operator(together(failed)))
            self._show_parked()
            await self._until_told()
        self._leave_rest()

    async def _until_told(self) -> None:
        """Wait until an operator says whether to try again, or to leave what is left to people."""
        state = self._state

        def told() -> bool:
            return state.retry is not None or state.left is not None

        while not told():
            await self._wait(told, TIMER)
        state.retry = None
        self._view.index(state=State.undoing)

    def _leave_rest(self) -> None:
        if self._state.left is None:
            return
        by = f"left to people by {self._state.left.who}: {self._state.left.reason}"
        for planned in self._state.compensations:
            if planned.state is LedgerState.needs_person:
                self._state.settle(planned, LedgerState.needs_person, f"{planned.note}; {by}")

    def _end(self, outcome: Outcome) -> None:
        self._state.end(outcome)
        self._view.show()
        self._view.index(state=State(outcome.value))


def together(failed: Sequence[tuple[Planned, FailureReport]]) -> FailureReport:
    """One report on the effects that could not be undone.

    Args:
        failed: What undoes them, and why it could not.
    """
    leave = "abort with a reason leaves what is not undone to people"
    if len(failed) == 1:
        planned, report = failed[0]
        return report.model_copy(
            update={"tried": f"{planned.inverse}: {report.tried}", "remedy": f"{report.remedy}. `retry` tries it again; {leave}"}
        )
    lines = (f"{planned.inverse}: {report.tried}: {report.answered} -- {report.remedy}" for planned, report in failed)
    return FailureReport(
        ending=Ending.needs_person,
        tried=f"undoing the effects of this promotion; {len(failed)} could not be undone",
        answered=cap("\n".join(lines), 2 * TEXT_LIMIT),
        remedy=f"fix each of them; `retry` then tries those again, and {leave}",
    )
