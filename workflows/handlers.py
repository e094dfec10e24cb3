"""What people do to a running promotion, and how a stage waits for them.

Each command is an update, whose validator refuses what makes no sense before it is in history, and a signal of the same name
for the Temporal UI, which cannot be refused: a notice says then what would have been right.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeVar

from pydantic import ValidationError
from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, FailureError, is_cancelled_exception

from slipway.api import (
    Decision,
    Evidence,
    Message,
    OperatorCommand,
    Outcome,
    PromotionRequest,
    PromotionStatus,
    Receipt,
    StageName,
    StageState,
    WaitingFor,
)
from slipway.errors import Ending, FailureReport, report_of
from workflows.approval import Round, Verdict
from workflows.board import Board
from workflows.compensations import Ledger
from workflows.details import on_timeline

T = TypeVar("T")
M = TypeVar("M", bound=Message)
A_LONG_TIME = timedelta(days=365)
"""How long the timer of a parked stage runs, before the next one does."""


class EndedError(Exception):
    """The promotion is over, and not because something broke."""

    def __init__(self, outcome: Outcome, reason: str) -> None:
        super().__init__(reason)
        self.outcome = outcome
        self.reason = reason


class OperatedWorkflow:
    """A workflow of stages that people can look at, decide on, retry and abort.

    The handlers below are the only other writers of what `run` reads; none of them awaits anything, so none needs a lock.
    """

    def __init__(self, request: PromotionRequest) -> None:
        self._request = request
        self._board = Board(request, workflow.info().workflow_id)
        self._ledger = Ledger()
        self._evidence: Evidence | None = None
        self._round: Round | None = None
        self._failure: FailureReport | None = None
        self._retry: OperatorCommand | None = None
        self._abort: OperatorCommand | None = None
        self._over = ""
        self._work: asyncio.Task[None] | None = None

    # --- Queries ---

    @workflow.query
    def status(self) -> PromotionStatus:
        """Everything that is known."""
        return self._board.status.model_copy(update={"ledger": self._ledger.entries})

    @workflow.query
    def evidence(self) -> Evidence | None:
        """What an approver looks at; none before the approval stage."""
        return self._evidence

    # --- Updates: refused by a validator before they are in history ---

    @workflow.update
    def approve(self, decision: Decision) -> Receipt:
        """One approver says yes."""
        return Receipt(text=self._take_approval(decision))

    @approve.validator
    def _may_approve(self, decision: Decision) -> None:
        refuse(self._objection_to_approval(decision))

    @workflow.update
    def reject(self, decision: Decision) -> Receipt:
        """One approver says no, and that decides."""
        return Receipt(text=self._take_rejection(decision))

    @reject.validator
    def _may_reject(self, decision: Decision) -> None:
        refuse(self._objection_to_rejection(decision))

    @workflow.update
    def retry(self, command: OperatorCommand) -> Receipt:
        """An operator mended the cause for which a stage is parked."""
        return Receipt(text=self._take_retry(command))

    @retry.validator
    def _may_retry(self, command: OperatorCommand) -> None:
        refuse(self._objection_to_retry(command))

    @workflow.update
    def abort(self, command: OperatorCommand) -> Receipt:
        """An operator ends the promotion; what it did is undone."""
        return Receipt(text=self._take_abort(command))

    @abort.validator
    def _may_abort(self, command: OperatorCommand) -> None:
        refuse(self._objection_to_abort(command))

    # --- Signals of the same names. Their input is anything: what does not fit must end in a notice, not in the log ---

    @workflow.signal(name="approve")
    def _approve_signal(self, payload: Any = None) -> None:
        self._on_signal("approve", payload, Decision, self._objection_to_approval, self._take_approval)

    @workflow.signal(name="reject")
    def _reject_signal(self, payload: Any = None) -> None:
        self._on_signal("reject", payload, Decision, self._objection_to_rejection, self._take_rejection)

    @workflow.signal(name="retry")
    def _retry_signal(self, payload: Any = None) -> None:
        self._on_signal("retry", payload, OperatorCommand, self._objection_to_retry, self._take_retry)

    @workflow.signal(name="abort")
    def _abort_signal(self, payload: Any = None) -> None:
        self._on_signal("abort", payload, OperatorCommand, self._objection_to_abort, self._take_abort)

    def _on_signal(
        self, name: str, payload: Any, model: type[M], objection: Callable[[M], str | None], take: Callable[[M], str]
    ) -> None:
        try:
            command = model.model_validate(payload)
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, each['loc'])) or 'input'}: {each['msg']}" for each in error.errors())
            example = ", ".join(f'"{field}": "…"' for field in model.model_fields)
            self._board.notice(f"the signal {name} was refused: {wrong}; its input looks like {{{example}}}")
            return
        reason = objection(command)
        if reason:
            self._board.notice(f"the signal {name} was refused: {reason}")
        else:
            take(command)

    # --- What makes no sense now, and what would ---

    def _objection_to_approval(self, decision: Decision) -> str | None:
        return self._not_asked() or (self._round.objection_to_approval(decision) if self._round else None)

    def _objection_to_rejection(self, decision: Decision) -> str | None:
        return self._not_asked() or (self._round.objection_to_rejection(decision) if self._round else None)

    def _not_asked(self) -> str | None:
        if self._over:
            return self._over
        if self._round is None or self._board.current.state is not StageState.waiting:
            return f"nobody is asked now: {self._whereabouts()}; decide when it waits for approval, on the evidence shown then"
        return None

    def _objection_to_retry(self, command: OperatorCommand) -> str | None:
        del command
        if self._over:
            return self._over
        if self._retry:
            return f"{self._retry.by} said retry already"
        if self._failure is None:
            return f"nothing is parked: {self._whereabouts()}"
        return None

    def _objection_to_abort(self, command: OperatorCommand) -> str | None:
        del command
        if self._over:
            return self._over
        if self._abort:
            return f"{self._abort.by} said abort already"
        return None

    def _whereabouts(self) -> str:
        stage = self._board.current
        return f"the promotion is at {stage.name} ({stage.state})"

    # --- What a command does ---

    def _take_approval(self, decision: Decision) -> str:
        if self._round is None:
            raise ApplicationError("nobody is asked")
        self._round = self._round.approved(decision)
        self._board.notice(f"approved by {decision.by} (claimed), {self._round.progress}{_because(decision.reason)}")
        if self._round.verdict is Verdict.pending:
            self._show_round(self._round)
        else:
            # At once, so that nobody is told to decide what is decided.
            self._board.go_on()
        return f"approved by {decision.by}, {self._round.progress}"

    def _take_rejection(self, decision: Decision) -> str:
        if self._round is None:
            raise ApplicationError("nobody is asked")
        self._round = self._round.rejected(decision)
        self._board.notice(f"rejected by {decision.by} (claimed){_because(decision.reason)}")
        self._board.go_on()
        return f"rejected by {decision.by}"

    def _take_retry(self, command: OperatorCommand) -> str:
        self._retry = command
        self._failure = None
        self._board.notice(f"retry of {self._board.current.name} by {command.by} (claimed){_because(command.reason)}")
        self._board.go_on()
        return f"{self._board.current.name} is tried again"

    def _take_abort(self, command: OperatorCommand) -> str:
        self._abort = command
        self._board.notice(f"abort by {command.by} (claimed){_because(command.reason)}")
        if self._work:
            self._work.cancel()
        return "the promotion is being aborted; what it did is undone"

    # --- Stages ---

    async def _stage(self, name: StageName, body: Callable[[], Awaitable[T]]) -> T:
        """Run a stage until it is done: again each time that an operator says retry.

        Raises:
            EndedError: It was refused.
        """
        while True:
            self._check_abort()
            self._board.begin(name)
            try:
                result = await body()
            except FailureError as error:
                if is_cancelled_exception(error):
                    raise
                report = explained(error)
                if report.ending is Ending.refused:
                    raise EndedError(Outcome.refused, str(report)) from error
                await self._park(report)
            else:
                self._check_abort()
                self._board.done()
                return result

    async def _park(self, report: FailureReport) -> None:
        self._failure, self._retry = report, None
        promotion = self._board.status.id
        commands = tuple(f'slipway {command} {promotion} --by <you> --reason "…"' for command in ("retry", "abort"))
        waiting = WaitingFor(what="retry or abort", since=workflow.now(), commands=commands, failure=report)
        self._board.park(waiting, report)
        while self._retry is None:
            # The timer is there for its summary, which the UI's timeline shows; when it runs out, the next one begins.
            with contextlib.suppress(TimeoutError):
                await workflow.wait_condition(
                    lambda: self._retry is not None, timeout=A_LONG_TIME, timeout_summary=on_timeline(waiting)
                )
        self._retry = None

    async def _ask(self, question: Round) -> Round:
        """Ask the approvers, and wait for what they say.

        Raises:
            EndedError: Nobody decided in time.
        """
        self._round = question
        policy = question.policy
        self._deadline = workflow.now() + policy.timeout
        self._asked_at = workflow.now()
        waiting = self._show_round(question)
        try:
            await workflow.wait_condition(
                lambda: self._round is not None and self._round.verdict is not Verdict.pending,
                timeout=policy.timeout,
                timeout_summary=on_timeline(waiting),
            )
        except TimeoutError as error:
            reason = f"nobody decided within {policy.timeout}: {self._round.progress} approved"
            raise EndedError(Outcome.expired, reason) from error
        return self._round

    def _show_round(self, question: Round) -> WaitingFor:
        promotion = self._board.status.id
        commands = tuple(
            f"slipway {command} {promotion} --by <you> --evidence {question.evidence}" for command in ("approve", "reject")
        )
        waiting = WaitingFor(
            what=f"approval ({question.progress})",
            since=self._asked_at,
            until=self._deadline,
            who=question.still_asked,
            commands=commands,
        )
        self._board.wait_for_people(waiting)
        return waiting

    async def _finish_first(self, effect: Awaitable[None], grace: timedelta) -> None:
        """Wait for an effect whose answer says what there is to undo, even when an abort comes meanwhile.

        Args:
            effect: Keeps its answer itself.
            grace: How long an abort waits for it.
        """
        task = asyncio.ensure_future(effect)
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            _, unfinished = await workflow.wait([task], timeout=grace.total_seconds())
            for each in unfinished:
                each.cancel()
            await asyncio.gather(task, return_exceptions=True)
            raise

    def _check_abort(self) -> None:
        """An abort is never lost, not even where the cancellation that it causes is (see the SDK's logic flag 2).

        Nor is a cancellation from outside: a step that ends well while it comes takes it for its own.
        """
        if self._abort or workflow.cancellation_reason() is not None:
            raise asyncio.CancelledError


def refuse(objection: str | None) -> None:
    """Refuse an update, if there is an objection.

    Raises:
        ApplicationError: With the objection.
    """
    if objection:
        raise ApplicationError(objection, type="Refused", non_retryable=True)


def explained(error: FailureError) -> FailureReport:
    """The report on a failed step. Where Slipway did not foresee the error, the step is at least named."""
    report = report_of(error)
    innermost: BaseException | None = error
    while innermost is not None and not isinstance(innermost, ActivityError):
        innermost = innermost.__cause__
    if innermost is None or report.tried != "running a step of the promotion":
        return report
    return report.model_copy(update={"tried": f"running {innermost.activity_type}"})


def _because(reason: str) -> str:
    return f": {reason}" if reason else ""
