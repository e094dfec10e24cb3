"""What people send to a running promotion.

Each command is an update, whose validator refuses what makes no sense before it is in the history, and a signal of the same name
for the Temporal UI. A signal cannot be refused: a notice says then what would have been right.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ApplicationError, FailureError

with workflow.unsafe.imports_passed_through():
    from activities.decisions import DecisionActivities, IdentifyPerson
    from activities.origin import Origin
    from slipway.api import (
        DecisionRecord,
        Evidence,
        IdentityLevel,
        PromotionInput,
        PromotionStatus,
        Receipt,
        StageState,
        WaitingFor,
    )
    from slipway.decisions.command import Command, Delivery, Kind
    from slipway.decisions.document import targets_of
    from slipway.decisions.subject import DecisionSubject
    from slipway.errors import FailureReport, cap
    from slipway.temporal.failures import report_of
    from workflows.state.approval import Round, Said, Verdict
    from workflows.state.operated import Operated
    from workflows.state.promotion import PromotionState, known

from workflows.activity_options import IDENTIFY, shown
from workflows.carried import unpack
from workflows.commands import objection_to_names, objection_to_names_undoing, read_command
from workflows.new_run import NewRun
from workflows.payloads import REFUSAL_LIMIT, refusal
from workflows.view import StatusView
from workflows.way_back import said_of_way_back

Take = Callable[[Command, Delivery | None], Awaitable[str]]
AT_ONCE = 5
"""Commands that are looked at at one time: each takes an activity, and anybody may send many."""


class OperatorHandlers:
    """A workflow of stages that people can look at, decide on, retry and abort.

    The handlers below are the only other writers of the state. What a command changes, it changes between two awaits, after
    it was held against the state as it is then. So none needs a lock.
    """

    def __init__(self, request: PromotionInput) -> None:
        self._request = request
        self._id = workflow.info().workflow_id
        self._state = PromotionState.model_validate(unpack(request.carried or {}))
        self._view = StatusView(self._id, request, self._state)
        self._new_run = NewRun()
        self._looked_at = 0
        """How many commands are being looked at: an activity finds out whose they are."""
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
    async def approve(self, *payloads: Any) -> Receipt:
        """One approver says yes."""
        return Receipt(text=await self._decide(read_command("approve", payloads)))

    @approve.validator
    def _may_approve(self, *payloads: Any) -> None:
        refuse(self._objection_to(read_command("approve", payloads)))

    @workflow.update
    async def reject(self, *payloads: Any) -> Receipt:
        """One approver says no, and that decides."""
        return Receipt(text=await self._decide(read_command("reject", payloads)))

    @reject.validator
    def _may_reject(self, *payloads: Any) -> None:
        refuse(self._objection_to(read_command("reject", payloads)))

    @workflow.update
    async def retry(self, *payloads: Any) -> Receipt:
        """An operator fixed the cause for which a stage is parked."""
        return Receipt(text=await self._operate(read_command("retry", payloads)))

    @retry.validator
    def _may_retry(self, *payloads: Any) -> None:
        refuse(self._objection_to(read_command("retry", payloads)))

    @workflow.update
    async def abort(self, *payloads: Any) -> Receipt:
        """An operator ends the promotion; its effects are undone."""
        return Receipt(text=await self._operate(read_command("abort", payloads)))

    @abort.validator
    def _may_abort(self, *payloads: Any) -> None:
        refuse(self._objection_to(read_command("abort", payloads)))

    # --- Signals of the same names: what does not fit must end in a notice, not in the log ---

    @workflow.signal(name="approve")
    async def _approve_signal(self, *payloads: Any) -> None:
        await self._on_signal("approve", payloads, self._decide)

    @workflow.signal(name="reject")
    async def _reject_signal(self, *payloads: Any) -> None:
        await self._on_signal("reject", payloads, self._decide)

    @workflow.signal(name="retry")
    async def _retry_signal(self, *payloads: Any) -> None:
        await self._on_signal("retry", payloads, self._operate)

    @workflow.signal(name="abort")
    async def _abort_signal(self, *payloads: Any) -> None:
        await self._on_signal("abort", payloads, self._operate)

    async def _on_signal(self, kind: Kind, payloads: tuple[Any, ...], take: Take) -> None:
        try:
            # A person types it: a misspelled member must not be lost.
            command = read_command(kind, payloads, extra="forbid")
            refuse(self._objection_to(command))
            await take(command, delivered(kind, payloads[0]))
        except ApplicationError as error:
            self._notice(cap(f"the signal {kind} was refused: {error.message}", REFUSAL_LIMIT))

    # --- Who it is: an activity finds out, for keys, policy and the branch's head are outside ---

    async def _decide(self, command: Command, delivery: Delivery | None = None) -> str:
        """Take a decision, once it is known whose it is."""
        record = await self._identify(command, delivery)
        refuse(self._objection_to(command))  # others may have decided in the meantime
        if command.kind == "reject":
            self._state.record(record, command.document)
            return self._take_rejection(command, record)
        refuse(known(self._state.round).objection_to_key(record))
        self._state.record(record, command.document)
        return self._take_approval(command, record, delivery)

    async def _operate(self, command: Command, delivery: Delivery | None = None) -> str:
        """Take an operator's command. One without a signature is taken first: nothing outside may hold up an abort."""
        if command.signed:
            record = await self._identify(command, delivery)
            refuse(self._objection_to(command))
            self._state.record(record, command.document)
            return self._take(command, record.level)
        claimed = claimed_record(command, workflow.now())
        self._state.record(claimed)
        taken = self._take(command, claimed.level)
        with contextlib.suppress(ApplicationError):
            self._state.replace(claimed, await self._identify(command, delivery))
            self._view.show()
        return taken

    def _take(self, command: Command, level: IdentityLevel) -> str:
        return self._take_retry(command, level) if command.kind == "retry" else self._take_abort(command, level)

    async def _identify(self, command: Command, delivery: Delivery | None) -> DecisionRecord:
        """What is known of the person behind a command.

        Raises:
            ApplicationError: It is not theirs, or they may not decide; or that could not be found out.
        """
        subject = self._subject()
        if subject is None or not workflow.patched("identify-person"):
            return claimed_record(command, workflow.now())
        if self._looks_at_enough():
            raise refusal("others are being looked at now: send it again in a moment")
        check = IdentifyPerson(command=command, origin=self._origin, subject=subject, delivery=delivery)
        self._looked_at += 1
        try:
            return await workflow.execute_activity_method(
                DecisionActivities.identify_person, check, **shown(IDENTIFY, f"{command.kind} by {command.by}: who is it?")
            )
        except FailureError as error:
            raise refusal(told(report_of(error))) from None
        finally:
            self._looked_at -= 1

    def _looks_at_enough(self) -> bool:
        """Whether this one has to wait for others. Where a new run is due, one at a time: it begins between two of them."""
        return self._looked_at >= (1 if self._new_run.is_due() else AT_ONCE)

    def _subject(self) -> DecisionSubject | None:
        """What a decision is about now; none before the application is read."""
        state = self._state
        if state.app is None:
            return None
        info = workflow.info()
        return DecisionSubject.of(
            self._request.app,
            namespace=info.namespace,
            promotion=self._id,
            run=info.first_execution_run_id,
            spec_commit=state.app.commit,
            package=state.package.arn if state.package else "",
            targets=targets_of(state.app.spec.spec.rollout.targets, state.region),
            evidence=state.evidence.sha256 if state.evidence else "",
        )

    @property
    def _origin(self) -> Origin:
        """What the worker checks each effect by."""
        return Origin(request=self._request, commit=known(self._state.app).commit)

    # --- What makes no sense now, and what would ---

    def _objection_to(self, command: Command) -> str | None:
        match command.kind:
            case "approve" | "reject":
                objection = self._objection_to_decision(command)
            case "retry":
                objection = self._objection_to_retry() or self._objection_to_names(command)
            case "abort":
                objection = self._objection_to_abort(command)
        return objection or self._objection_to_document(command)

    def _objection_to_decision(self, command: Command) -> str | None:
        if objection := self._not_asked():
            return objection
        asked = known(self._state.round)
        objection = asked.objection_to_approval(command) if command.kind == "approve" else asked.objection_to_rejection(command)
        if objection or command.signed or self._state.identity is not IdentityLevel.signed:
            return objection
        again = f"slipway {command.kind} {self._id} --by {command.by} --sign"
        return f"decisions of this app have to be signed, and this one is not: {again}"

    def _objection_to_document(self, command: Command) -> str | None:
        if command.document is None:
            return None
        subject = self._subject()
        if subject is None:
            return f"the application is not read yet, and no document can name it: slipway {command.kind} {self._id} --no-sign"
        if command.document.nonce in self._state.nonces:
            return "this document was used already: make and sign another"
        return subject.objection_to(command.document, workflow.now())

    def _not_asked(self) -> str | None:
        if over := self._over():
            return over
        if self._state.round is None or self._state.stage.state is not StageState.waiting:
            return (
                f"no decision is wanted now: {self._whereabouts()}; decide when it waits for approval, on the evidence shown then"
            )
        return None

    def _objection_to_retry(self) -> str | None:
        if self._state.parked_undoing:
            return None
        if over := self._over():
            return over
        if self._state.retry:
            return f"{self._state.retry.by} already said retry"
        if self._state.stage.state is not StageState.parked:
            return f"no stage is parked: {self._whereabouts()}"
        return None

    def _objection_to_names(self, command: Command) -> str | None:
        state = self._state
        if state.ending:
            return objection_to_names_undoing(command, state.execution.arn if state.execution else "")
        return objection_to_names(command, state.current, by_piped=state.by_piped)

    def _objection_to_abort(self, command: Command) -> str | None:
        if self._state.parked_undoing:
            return self._objection_to_leaving(command)
        if over := self._over():
            return over
        if self._state.abort:
            return f"{self._state.abort.by} already said abort"
        return None

    def _objection_to_leaving(self, command: Command) -> str | None:
        """Whoever leaves an effect in place may leave a bad model in service."""
        if not command.reason.strip():
            return "it leaves what could not be undone to people: give a reason"
        if command.signed or self._state.identity is not IdentityLevel.signed:
            return None
        again = f'slipway abort {self._id} --by {command.by} --reason "…" --sign'
        return f"it leaves what could not be undone to people, which has to be signed here: {again}"

    def _over(self) -> str | None:
        if self._state.outcome:
            return f"this promotion has already finished ({self._state.outcome})"
        if self._state.ending:
            return f"this promotion is ending ({self._state.ending}: {self._state.reason}); its effects are being undone"
        return None

    def _whereabouts(self) -> str:
        return f"the promotion is at {self._state.current} ({self._state.stage.state})"

    # --- What a command does ---

    def _take_approval(self, command: Command, record: DecisionRecord, delivery: Delivery | None) -> str:
        said = Said.of(command, record, delivery)
        self._state.round = asked = known(self._state.round).approved(said)
        if asked.verdict is Verdict.pending:
            self._show_round(asked)
        else:
            # At once, so that nobody is told to decide what is decided.
            self._resume()
        return f"approved by {said.who}, {asked.progress}"

    def _take_rejection(self, command: Command, record: DecisionRecord) -> str:
        said = Said.of(command, record)
        self._state.round = known(self._state.round).rejected(said)
        self._resume()
        return f"rejected by {said.who}"

    def _take_retry(self, command: Command, level: IdentityLevel) -> str:
        self._state.retry = retry = Operated(by=command.by, reason=command.reason, level=level)
        self._state.name(command)
        if named := command.execution or command.package or command.task:
            self._notice(f"{retry.who} named {named}")
        self._resume()
        if self._state.ending:
            return f"undoing what is left, asked by {retry.who}"
        return f"retrying the {self._state.current} stage, asked by {retry.who}"

    def _take_abort(self, command: Command, level: IdentityLevel) -> str:
        abort = Operated(by=command.by, reason=command.reason, level=level)
        if self._state.ending:
            self._state.left = abort
            self._resume()
            return f"ending, asked by {abort.who}; what could not be undone is left to people"
        self._state.abort = abort
        self._view.show()
        if self._work:
            self._work.cancel()
        way_back = said_of_way_back(self._state.rollouts)
        said = f"aborting, asked by {abort.who}; the effects of this promotion are being undone"
        return f"{said}: {way_back}" if way_back else said

    def _resume(self) -> None:
        self._state.resume()
        self._view.show()

    def _notice(self, text: str) -> None:
        self._state.notice(text, workflow.now())
        self._view.show()

    def _notice_once(self, text: str) -> None:
        if not self._state.has_noticed(text):
            self._notice(text)

    def _summarize(self, summary: str) -> None:
        self._state.summarize(summary)
        self._view.show()

    def _show_round(self, question: Round) -> None:
        # A command is an update, of whose sender Temporal's server says nothing.
        sign = "" if self._state.identity is IdentityLevel.claimed else " --sign"
        commands = tuple(
            f"slipway {command} {self._id} --by <you> --evidence {question.evidence}{sign}" for command in ("approve", "reject")
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


def claimed_record(command: Command, now: datetime) -> DecisionRecord:
    """A record of a command of which nothing but its own words is known."""
    return DecisionRecord(kind=command.kind, by=command.by, at=now, evidence=command.evidence, reason=command.reason)


def delivered(signal: str, payload: dict[str, Any]) -> Delivery:
    """Where the signal that is handled now is found in the history."""
    info = workflow.info()
    return Delivery(signal=signal, payload=payload, run=info.run_id, upto=info.get_current_history_length())


def told(report: FailureReport) -> str:
    """Why somebody may not decide, in one line."""
    return f"{report.answered}; {report.remedy}"
