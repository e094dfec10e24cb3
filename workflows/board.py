"""What people see of a promotion: one frozen status, replaced at each change, shown in details and search attributes."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from temporalio import workflow
from temporalio.common import SearchAttributeKey, SearchAttributeUpdate

from slipway.api import LedgerEntry, Outcome, PromotionRequest, PromotionStatus, StageName, StageReport, StageState, WaitingFor
from slipway.errors import FailureReport
from slipway.temporal import search_attributes as attributes
from workflows.details import render

UNDOING = "undoing"
"""The search attribute's value while the ledger runs backwards."""
NOTICES = 50
"""How many notices are kept; the first ones go."""


class Board:
    """Keeps the status, and what Temporal shows of it.

    Args:
        request: What was asked for.
        promotion_id: The workflow's id.
    """

    def __init__(self, request: PromotionRequest, promotion_id: str) -> None:
        self.status = PromotionStatus(
            id=promotion_id,
            app=request.app,
            image=request.image,
            commit=request.commit,
            requested_by=request.requested_by,
            stages=tuple(StageReport(name=name) for name in StageName),
        )
        # What the starter set, which costs no event here (slipway/temporal/start.py).
        self._shown: dict[str, Any] = {attributes.STAGE.name: StageName.image.value, attributes.STATE.name: "running"}
        self._current = StageName.image
        self._app = ""
        self._targets: tuple[str, ...] = ()

    @property
    def current(self) -> StageReport:
        """The stage that the promotion is at."""
        return next(stage for stage in self.status.stages if stage.name is self._current)

    def set(self, **facts: object) -> None:
        """Change members of the status."""
        self.status = self.status.model_copy(update=facts)
        self._show()

    def is_about(self, app: str, targets: tuple[str, ...]) -> None:
        """What the promotion turned out to be about; shown with the next change of stage, for an event less."""
        self._app = app
        self._targets = targets

    def begin(self, name: StageName) -> None:
        """A stage begins, or begins again."""
        self._current = name
        started = self.current.started_at or workflow.now()
        attempts = self.current.attempts + 1
        self._set_stage(state=StageState.running, started_at=started, ended_at=None, attempts=attempts, summary="")
        self._upsert(state="running", waiting_for=None)

    def say(self, summary: str) -> None:
        """What came of the current stage so far, in one line."""
        self._set_stage(summary=summary)

    def wait_for_people(self, waiting: WaitingFor) -> None:
        """The current stage waits for a decision."""
        self.status = self.status.model_copy(update={"waiting_for": waiting})
        self._set_stage(state=StageState.waiting)
        self._upsert(state="waiting", waiting_for="approval")

    def park(self, waiting: WaitingFor, failure: FailureReport) -> None:
        """The current stage waits for an operator."""
        self.status = self.status.model_copy(update={"waiting_for": waiting})
        self._set_stage(state=StageState.parked, summary=_first_line(failure.answered))
        self._upsert(state="parked", waiting_for="retry or abort")

    def go_on(self) -> None:
        """The current stage waits no more."""
        self.status = self.status.model_copy(update={"waiting_for": None})
        self._set_stage(state=StageState.running)

    def done(self) -> None:
        """The current stage is done."""
        self._set_stage(state=StageState.done, ended_at=workflow.now())

    def undo(self, reason: str) -> None:
        """The promotion did not make it, and is being undone."""
        self.status = self.status.model_copy(update={"waiting_for": None, "reason": reason, "endpoints": ()})
        self._set_stage(state=StageState.failed, ended_at=workflow.now(), summary=_first_line(reason))

    def undoing(self) -> None:
        """Show that effects are being undone: worth an event, for it may take long."""
        self._upsert(state=UNDOING, waiting_for=None)

    def end(self, outcome: Outcome, ledger: tuple[LedgerEntry, ...]) -> None:
        """The promotion is over."""
        self.set(outcome=outcome, ledger=ledger)
        self._upsert(state=outcome.value, waiting_for=None)

    def notice(self, text: str) -> None:
        """Something that people should be able to read later."""
        noticed = f"{_stamp(workflow.now())} {text}"
        self.set(notices=(*self.status.notices, noticed)[-NOTICES:])

    def _set_stage(self, **changes: object) -> None:
        changed = self.current.model_copy(update=changes)
        self.set(stages=tuple(changed if stage.name is self._current else stage for stage in self.status.stages))

    def _show(self) -> None:
        workflow.set_current_details(render(self.status))

    def _upsert(self, *, state: str, waiting_for: str | None) -> None:
        """One event for all that changed, or none."""
        wanted: list[tuple[SearchAttributeKey[str], str | None]] = [
            (attributes.STAGE, self._current.value),
            (attributes.STATE, state),
            (attributes.WAITING_FOR, waiting_for),
        ]
        updates: list[SearchAttributeUpdate[Any]] = []
        for key, value in wanted:
            if self._shown.get(key.name) != value:
                self._shown[key.name] = value
                updates.append(key.value_unset() if value is None else key.value_set(value))
        if self._targets and attributes.TARGETS.name not in self._shown:
            self._shown[attributes.TARGETS.name] = self._targets
            updates += [attributes.APP.value_set(self._app), attributes.TARGETS.value_set(self._targets)]
        if updates:
            workflow.upsert_search_attributes(updates)  # pyright: ignore[reportUnknownMemberType] -- the SDK's own type is partial


def _stamp(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def _first_line(text: str) -> str:
    return text.partition("\n")[0]
