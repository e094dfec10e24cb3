"""What people send to a running promotion.

Each command is an update, whose validator refuses what makes no sense before it is in the history, and a signal of the same name
for the Temporal UI. A signal cannot be refused: a notice says then what would have been right.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from slipway.api import (
        Decision,
        Evidence,
        Message,
        OperatorCommand,
        PromotionInput,
        PromotionStatus,
        Receipt,
        StageState,
        WaitingFor,
    )
    from slipway.errors import cap

from workflows.approval import Round, Verdict
from workflows.payloads import REFUSAL_LIMIT, read, refusal
from workflows.state import PromotionState
from workflows.view import StatusView

A = TypeVar("A")
M = TypeVar("M", bound=Message)


class OperatorHandlers:
    """A workflow of stages that people can look at, decide on, retry and abort.

    The handlers below are the only other writers of the state. None of them awaits anything, so none needs a lock.
    """

    def __init__(self, request: PromotionInput) -> None:
        self._request = request
        self._id = workflow.info().workflow_id
        self._state = PromotionState.model_validate(request.carried or {})
        self._view = StatusView(self._id, request, self._state)
        self._worker_version = workflow.info().get_current_deployment_version()
        self._work: asyncio.Task[None] | None = None

    # --- Queries ---

    @workflow.query
    def status(self) -> PromotionStatus:
        """Everything that is known."""
        return self._state.status(self._id, self._request)

    @workflow.query
    def evidence(self) -> Evidence | None:
        """What an approver looks at; none before the approval stage."""
        return self._state.evidence

    # --- Updates: refused by a validator before they are in the history. Their input is anything (workflows/payloads.py) ---

    @workflow.update
    def approve(self, *payloads: Any) -> Receipt:
        """One approver says yes."""
        return Receipt(text=self._take_approval(read(payloads, Decision)))

    @approve.validator
    def _may_approve(self, *payloads: Any) -> None:
        refuse(self._objection_to_approval(read(payloads, Decision)))

    @workflow.update
    def reject(self, *payloads: Any) -> Receipt:
        """One approver says no, and that decides."""
        return Receipt(text=self._take_rejection(read(payloads, Decision)))

    @reject.validator
    def _may_reject(self, *payloads: Any) -> None:
        refuse(self._objection_to_rejection(read(payloads, Decision)))

    @workflow.update
    def retry(self, *payloads: Any) -> Receipt:
        """An operator fixed the cause for which a stage is parked."""
        return Receipt(text=self._take_retry(read(payloads, OperatorCommand)))

    @retry.validator
    def _may_retry(self, *payloads: Any) -> None:
        refuse(self._objection_to_retry(read(payloads, OperatorCommand)))

    @workflow.update
    def abort(self, *payloads: Any) -> Receipt:
        """An operator ends the promotion; its effects are undone."""
        return Receipt(text=self._take_abort(read(payloads, OperatorCommand)))

    @abort.validator
    def _may_abort(self, *payloads: Any) -> None:
        refuse(self._objection_to_abort(read(payloads, OperatorCommand)))

    # --- Signals of the same names: what does not fit must end in a notice, not in the log ---

    @workflow.signal(name="approve")
    def _approve_signal(self, *payloads: Any) -> None:
        self._on_signal("approve", payloads, Decision, self._objection_to_approval, self._take_approval)

    @workflow.signal(name="reject")
    def _reject_signal(self, *payloads: Any) -> None:
        self._on_signal("reject", payloads, Decision, self._objection_to_rejection, self._take_rejection)

    @workflow.signal(name="retry")
    def _retry_signal(self, *payloads: Any) -> None:
        self._on_signal("retry", payloads, OperatorCommand, self._objection_to_retry, self._take_retry)

    @workflow.signal(name="abort")
    def _abort_signal(self, *payloads: Any) -> None:
        self._on_signal("abort", payloads, OperatorCommand, self._objection_to_abort, self._take_abort)

    def _on_signal(
        self,
        name: str,
        payloads: tuple[Any, ...],
        model: type[M],
        objection: Callable[[M], str | None],
        take: Callable[[M], str],
    ) -> None:
        try:
            # A person types it: a misspelled member must not be lost.
            command = read(payloads, model, extra="forbid")
            refuse(objection(command))
        except ApplicationError as error:
            self._notice(cap(f"the signal {name} was refused: {error.message}", REFUSAL_LIMIT))
        else:
            take(command)

    # --- What makes no sense now, and what would ---

    def _objection_to_approval(self, decision: Decision) -> str | None:
        return self._not_asked() or (self._state.round.objection_to_approval(decision) if self._state.round else None)

    def _objection_to_rejection(self, decision: Decision) -> str | None:
        return self._not_asked() or (self._state.round.objection_to_rejection(decision) if self._state.round else None)

    def _not_asked(self) -> str | None:
        if over := self._over():
            return over
        if self._state.round is None or self._state.stage.state is not StageState.waiting:
            return (
                f"no decision is wanted now: {self._whereabouts()}; decide when it waits for approval, on the evidence shown then"
            )
        return None

    def _objection_to_retry(self, command: OperatorCommand) -> str | None:
        del command
        if over := self._over():
            return over
        if self._state.retry:
            return f"{self._state.retry.by} already said retry"
        if self._state.stage.state is not StageState.parked:
            return f"no stage is parked: {self._whereabouts()}"
        return None

    def _objection_to_abort(self, command: OperatorCommand) -> str | None:
        del command
        if over := self._over():
            return over
        if self._state.abort:
            return f"{self._state.abort.by} already said abort"
        return None

    def _over(self) -> str | None:
        if self._state.outcome:
            return f"this promotion has already finished ({self._state.outcome})"
        if self._state.ending:
            return f"this promotion is ending ({self._state.ending}: {self._state.reason}); its effects are being undone"
        return None

    def _whereabouts(self) -> str:
        return f"the promotion is at {self._state.current} ({self._state.stage.state})"

    # --- What a command does ---

    def _take_approval(self, decision: Decision) -> str:
        if self._state.round is None:
            raise ApplicationError("no decision is wanted now")
        self._state.round = asked = self._state.round.approved(decision)
        self._notice(f"approved by {decision.by} (claimed), {asked.progress}{_because(decision.reason)}")
        if asked.verdict is Verdict.pending:
            self._show_round(asked)
        else:
            # At once, so that nobody is told to decide what is decided.
            self._resume()
        return f"approved by {decision.by}, {asked.progress}"

    def _take_rejection(self, decision: Decision) -> str:
        if self._state.round is None:
            raise ApplicationError("no decision is wanted now")
        self._state.round = self._state.round.rejected(decision)
        self._notice(f"rejected by {decision.by} (claimed){_because(decision.reason)}")
        self._resume()
        return f"rejected by {decision.by}"

    def _take_retry(self, command: OperatorCommand) -> str:
        self._state.retry = command
        self._notice(f"retry of {self._state.current} by {command.by} (claimed){_because(command.reason)}")
        self._resume()
        return f"retrying the {self._state.current} stage"

    def _take_abort(self, command: OperatorCommand) -> str:
        self._state.abort = command
        self._notice(f"abort by {command.by} (claimed){_because(command.reason)}")
        if self._work:
            self._work.cancel()
        return "aborting; the effects of this promotion are being undone"

    def _resume(self) -> None:
        self._state.resume()
        self._view.show()

    def _notice(self, text: str) -> None:
        self._state.notice(text, workflow.now())
        self._view.show()

    def _summarize(self, summary: str) -> None:
        self._state.summarize(summary)
        self._view.show()

    def _show_round(self, question: Round) -> None:
        commands = tuple(
            f"slipway {command} {self._id} --by <you> --evidence {question.evidence}" for command in ("approve", "reject")
        )
        now = workflow.now()
        asked = self._state.waiting_for
        self._state.wait_for_people(
            WaitingFor(
                what=f"approval ({question.progress})",
                since=asked.since if asked else now,
                until=asked.until if asked else now + question.policy.timeout,
                who=question.still_asked,
                commands=commands,
            )
        )
        self._view.show()


def refuse(objection: str | None) -> None:
    """Refuse an update, if there is an objection.

    Raises:
        ApplicationError: With the objection.
    """
    if objection:
        raise refusal(objection)


def _because(reason: str) -> str:
    return f": {reason}" if reason else ""
