"""What people send to a running promotion, and how a stage waits for them.

Each command is an update, whose validator refuses what makes no sense before it is in the history, and a signal of the same name
for the Temporal UI. A signal cannot be refused: a notice says then what would have been right.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, FailureError, is_cancelled_exception
from temporalio.workflow import ActivityConfig, ContinueAsNewVersioningBehavior

with workflow.unsafe.imports_passed_through():
    from slipway.api import (
        Decision,
        Evidence,
        Message,
        OperatorCommand,
        Outcome,
        PromotionInput,
        PromotionStatus,
        Receipt,
        StageName,
        StageState,
        WaitingFor,
    )
    from slipway.errors import Ending, FailureReport, cap
    from slipway.temporal.failures import report_of

from workflows.activity_options import shown
from workflows.approval import Round, Verdict
from workflows.details import on_timeline
from workflows.payloads import REFUSAL_LIMIT, read, refusal
from workflows.state import PromotionState
from workflows.view import StatusView

A = TypeVar("A")
R = TypeVar("R")
T = TypeVar("T")
M = TypeVar("M", bound=Message)
TIMER = timedelta(days=365)
"""How long the timer of a wait without an end runs, before the next one does."""


class EndedError(Exception):
    """The promotion is over, and not because something broke."""

    def __init__(self, outcome: Outcome, reason: str) -> None:
        super().__init__(reason)
        self.outcome = outcome
        self.reason = reason


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

    # --- Stages ---

    async def _stage(self, name: StageName, body: Callable[[], Awaitable[None]]) -> None:
        """Run a stage that is not done, again after each `retry`, until it is done.

        Args:
            name: The stage.
            body: What it does. What it brings is kept in the state.

        Raises:
            EndedError: It was refused.
            CancelledError: The promotion was aborted.
        """
        before = self._state.stages[name].state
        if before is StageState.done:
            return
        if before is StageState.parked:
            await self._until_retry()
        begun = before in {StageState.running, StageState.waiting}  # by the run before this one
        while True:
            self._check_abort()
            if not begun:
                self._begin(name)
            begun = False
            try:
                await body()
            except FailureError as error:
                if is_cancelled_exception(error):
                    raise
                report = explained(error)
                if report.ending is Ending.refused:
                    raise EndedError(Outcome.refused, str(report)) from error
                await self._park(report)
            else:
                self._check_abort()
                self._state.finish_stage(workflow.now())
                self._view.show()
                return

    def _begin(self, name: StageName) -> None:
        self._state.begin(name, workflow.now())
        self._view.show()
        self._view.index(state="running")

    async def _step(
        self,
        activity: Callable[[A, R], Coroutine[Any, Any, T]],
        request: R,
        options: ActivityConfig,
        summary: str,
    ) -> T:
        """The result of an activity, unless the promotion was aborted meanwhile."""
        result = await workflow.execute_activity_method(activity, request, **shown(options, summary))
        self._check_abort()
        return result

    async def _park(self, report: FailureReport) -> None:
        commands = tuple(f'slipway {command} {self._id} --by <you> --reason "…"' for command in ("retry", "abort"))
        waiting = WaitingFor(what="retry or abort", since=workflow.now(), commands=commands, failure=report)
        self._state.park(waiting, report)
        self._view.show()
        self._view.index(state="parked", waiting_for="retry or abort")
        await self._until_retry()

    async def _until_retry(self) -> None:
        while self._state.retry is None:
            await self._wait(lambda: self._state.retry is not None, TIMER)
        self._state.retry = None

    async def _ask(self, question: Round) -> Round:
        """Ask the approvers, and wait for what they say. A question that was asked before keeps its deadline.

        Raises:
            EndedError: Nobody decided in time.
        """
        if self._state.stage.state is not StageState.waiting:
            self._state.round = question
            self._show_round(question)
            self._view.index(state="waiting", waiting_for="approval")
        waiting = self._state.waiting_for
        while (asked := self._state.round) and asked.verdict is Verdict.pending:
            left = waiting.until - workflow.now() if waiting and waiting.until else question.policy.timeout
            if left <= timedelta(0):
                reason = f"nobody decided within {question.policy.timeout}: {asked.progress} approved"
                raise EndedError(Outcome.expired, reason)
            await self._wait(lambda: self._state.round is None or self._state.round.verdict is not Verdict.pending, left)
        return asked or question

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

    async def _wait(self, done: Callable[[], bool], at_most: timedelta) -> None:
        """Wait until something happens or the time is over, if need be in a new run.

        A wait is where a promotion continues as new: no activity and no child is under way.
        """
        waiting = self._state.waiting_for
        summary = on_timeline(waiting) if waiting else f"next: {self._state.current}"
        try:
            await workflow.wait_condition(lambda: done() or self._wants_new_run(), timeout=at_most, timeout_summary=summary)
        except TimeoutError:
            return
        if not done():
            # The new run begins on the version that is current now; where workers have no versions, on any.
            workflow.continue_as_new(
                self._request.model_copy(update={"carried": self._state.model_dump(mode="json")}),
                initial_versioning_behavior=ContinueAsNewVersioningBehavior.AUTO_UPGRADE if self._worker_version else None,
            )

    def _wants_new_run(self) -> bool:
        """Whether the history has grown, or a worker of another deployment version took over.

        A short history is all that a later version of the worker has to follow.
        """
        info = workflow.info()
        version = info.get_current_deployment_version()
        replaced = bool(version and version.deployment_name) and version != self._worker_version
        return replaced or info.is_continue_as_new_suggested()

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
            await self._give_time(task, grace)
            raise

    @staticmethod
    async def _give_time(task: asyncio.Future[None], grace: timedelta) -> None:
        """Let a task end by itself; one that does not is cancelled. A further cancellation does not end the wait."""
        deadline = workflow.now() + grace
        while not task.done() and (left := deadline - workflow.now()) > timedelta(0):
            try:
                await workflow.wait([task], timeout=left.total_seconds())
            except asyncio.CancelledError:
                continue
        task.cancel()
        while not task.done():
            try:
                await workflow.wait([task])
            except asyncio.CancelledError:
                continue

    def _check_abort(self) -> None:
        """Raise where the promotion was aborted.

        An abort is never lost, not even where the cancellation that it causes is (see the SDK's logic flag 2). Nor is a
        cancellation from outside: a step that ends well while it comes takes it for its own.
        """
        if self._state.abort or workflow.cancellation_reason() is not None:
            raise asyncio.CancelledError


def refuse(objection: str | None) -> None:
    """Refuse an update, if there is an objection.

    Raises:
        ApplicationError: With the objection.
    """
    if objection:
        raise refusal(objection)


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
