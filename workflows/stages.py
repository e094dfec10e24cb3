"""How a promotion goes through its stages: it runs and parks them, waits for people, and goes on in a new run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from typing import Any, NoReturn, TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError, FailureError, is_cancelled_exception
from temporalio.workflow import ActivityConfig, ContinueAsNewVersioningBehavior

with workflow.unsafe.imports_passed_through():
    from slipway.api import IdentityLevel, Outcome, StageName, StageState, WaitingFor
    from slipway.errors import Ending, FailureReport
    from slipway.temporal.failures import report_of
    from slipway.temporal.search_attributes import State
    from workflows.state.approval import Round, Verdict

from workflows.activity_options import shown
from workflows.carried import pack
from workflows.details import on_timeline
from workflows.handlers import OperatorHandlers

A = TypeVar("A")
R = TypeVar("R")
T = TypeVar("T")
OPERATOR = "retry or abort"
"""What a promotion that is parked waits for."""
TIMER = timedelta(days=365)
"""How long the timer of a wait without an end runs, before the next one does."""


class EndedError(Exception):
    """The promotion is over, and not because something broke."""

    def __init__(self, outcome: Outcome, reason: str) -> None:
        super().__init__(reason)
        self.outcome = outcome
        self.reason = reason


class StagedWorkflow(OperatorHandlers):
    """A workflow of stages, each of which is run until it is done. Results are kept in the state."""

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
                self._end_if_aborted()
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
        self._view.index(state=State.running)

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
        self._state.park(self._waiting_for_operator(report), report)
        self._show_parked()
        await self._until_retry()

    def _waiting_for_operator(self, report: FailureReport) -> WaitingFor:
        sign = " --sign" if self._state.identity is IdentityLevel.signed else ""
        commands = tuple(f'slipway {command} {self._id} --by <you> --reason "…"{sign}' for command in ("retry", "abort"))
        return WaitingFor(what=OPERATOR, since=workflow.now(), commands=commands, failure=report)

    def _show_parked(self) -> None:
        self._view.show()
        self._view.index(state=State.parked, waiting_for=OPERATOR)

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
            self._view.index(state=State.waiting, waiting_for="approval")
        waiting = self._state.waiting_for
        while (asked := self._state.round) and asked.verdict is Verdict.pending:
            left = waiting.until - workflow.now() if waiting and waiting.until else question.policy.timeout
            if left <= timedelta(0):
                reason = f"nobody decided within {question.policy.timeout}: {asked.progress} approved"
                raise EndedError(Outcome.expired, reason)
            await self._wait(lambda: self._state.round is None or self._state.round.verdict is not Verdict.pending, left)
        return asked or question

    async def _wait(self, done: Callable[[], bool], at_most: timedelta) -> None:
        """Wait until something happens or the time is over, if need be in a new run.

        A wait is where a promotion continues as new: no activity and no child is under way.
        """
        waiting = self._state.waiting_for
        summary = on_timeline(waiting) if waiting else f"next: {self._state.current}"
        try:
            await workflow.wait_condition(lambda: done() or self._may_continue(), timeout=at_most, timeout_summary=summary)
        except TimeoutError:
            return
        if not done():
            self._continue_as_new()

    def _breathe(self) -> None:
        """Go on in a new run where one is due: between two waves nothing is under way either, and the history grows with each."""
        if self._may_continue() and workflow.patched("new-run-between-waves"):
            self._continue_as_new()

    def _continue_as_new(self) -> NoReturn:
        # The new run begins on the version that is current now. Without versions, the server takes no notice of it.
        workflow.continue_as_new(
            self._request.model_copy(update={"carried": pack(self._state.model_dump_json())}),
            initial_versioning_behavior=ContinueAsNewVersioningBehavior.AUTO_UPGRADE,
        )

    def _may_continue(self) -> bool:
        """Whether to go on in a new run now. What somebody sent, and is still being looked at, would be lost there."""
        # A worker of an earlier release would take a run that begins in the middle of its undoing for one to go on with.
        due = self._new_run.is_long() if self._state.ending else self._new_run.is_due()
        return due and workflow.all_handlers_finished()

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

    def _end_if_aborted(self) -> None:
        """The same where earlier releases went on: to the next step of the rollout, or to a park that no second abort ends."""
        if (self._state.abort or workflow.cancellation_reason() is not None) and workflow.patched("abort-is-not-lost"):
            raise asyncio.CancelledError


def explained(error: FailureError) -> FailureReport:
    """The report on a failed step. Where Slipway did not foresee the error, the step is at least named."""
    report = report_of(error)
    innermost: BaseException | None = error
    while innermost is not None and not isinstance(innermost, ActivityError):
        innermost = innermost.__cause__
    if innermost is None or report.tried != "running a step of the promotion":
        return report
    return report.model_copy(update={"tried": f"running {innermost.activity_type}"})
