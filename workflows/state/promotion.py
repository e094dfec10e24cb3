"""All that a promotion knows: one serializable object, which a new run of the workflow goes on from.

Its methods are the transitions that people see. They are pure: the time is passed in.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from datetime import datetime
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field

from activities.endpoints.messages import RolloutRequest, Unjudged
from activities.pipelines.messages import Execution
from activities.taskdefs import AppSnapshot
from activities.tasks.messages import StartedTask
from slipway.api import (
    DecisionRecord,
    Evidence,
    EvidenceSummary,
    IdentityLevel,
    ImageOrigin,
    LedgerEntry,
    LedgerState,
    Message,
    ModelPackage,
    Outcome,
    PromotionRequest,
    PromotionStatus,
    ServedEndpoint,
    SignedCommand,
    StageName,
    StageReport,
    StageState,
    StepReport,
    TaskdefCommit,
    WaitingFor,
)
from slipway.app.regions import region_of_app, region_of_cluster
from slipway.decisions.command import Command, Delivery
from slipway.decisions.document import DecisionDocument
from slipway.errors import FailureReport, cap
from slipway.text import one_line
from workflows.state.approval import Round
from workflows.state.compensations import Planned, RestoreTarget
from workflows.state.operated import Operated

T = TypeVar("T")
DECISIONS = 40
"""How many records of decisions are kept; the oldest go."""
DECISIONS_SIZE = 96_000
"""Bytes of all records, with their documents and signatures."""
NONCES = 1_000
"""How many used documents are remembered. Each expires by itself, and counts for this promotion alone."""
NOTICES = 50
"""How many notices are kept; the oldest go."""
NOTICES_SIZE = 64_000
"""Bytes of all notices: they are in the status, in the result, and in the state that a new run gets."""
ANSWERS_SIZE = 100_000
"""Characters of all answers to smoke requests. Those of many targets are cut."""
NOTES_SIZE = 300_000
"""Characters of all that became of the compensations. With those of many targets, each note is cut."""
NOTICE_LIMIT = 1_500
"""Characters of a notice: a whole reason fits."""


class TargetRollout(Message):
    """One target: its rollout as it was planned before anything there was changed, and what it serves since."""

    request: RolloutRequest
    served: ServedEndpoint | None = None
    marked: bool = False
    """Whether its endpoint's tag says so."""
    unjudged: tuple[Unjudged, ...] = ()
    """Rules on metrics that could not be judged so far."""


class PromotionState(BaseModel):
    """The state of one promotion.

    Unknown members are ignored and each member has a default, so that a worker of another release can go on from it.
    """

    model_config = ConfigDict(extra="ignore")

    stages: dict[StageName, StageReport] = Field(default_factory=lambda: {name: StageReport(name=name) for name in StageName})
    current: StageName = StageName.image
    waiting_for: WaitingFor | None = None
    ending: Outcome | None = None
    """Set while effects are being undone."""
    outcome: Outcome | None = None
    reason: str = ""
    notices: tuple[str, ...] = ()
    compensations: tuple[Planned, ...] = ()
    decisions: tuple[DecisionRecord, ...] = ()
    """What people decided, oldest first."""
    nonces: tuple[str, ...] = ()
    """Those of the documents that were used."""

    # What the stages brought.
    app: AppSnapshot | None = None
    """The application as it is on the deployment branch."""
    image: str | None = None
    """The image where the task pulls it from, by digest."""
    image_origin: ImageOrigin | None = None
    """Who signed it, and what it was built from, as the first stage found it."""
    taskdef: TaskdefCommit | None = None
    task_definition: str | None = None
    tasks_started: int = 0
    task: StartedTask | None = None
    """The most recently started task."""
    task_had_ended: bool = False
    """Whether the task had ended by itself when it was to be stopped."""
    execution: Execution | None = None
    named_execution: str = ""
    """The ARN that an operator named, until it is looked at."""
    named_package: str = ""
    """The same of a package."""
    named_task: str = ""
    """The same of a task that piped ran."""
    steps: tuple[StepReport, ...] = ()
    """The execution's steps."""
    package: ModelPackage | None = None
    evidence: Evidence | None = None
    round: Round | None = None
    """The question to the approvers."""
    void: bool = False
    """Whether what was approved has changed: people are asked again before the rollout goes on."""
    rollouts: tuple[TargetRollout, ...] = ()
    """The targets that were planned, in their order."""
    wave_complete_at: datetime | None = None

    # What operators said and the workflow has not acted on yet.
    retry: Operated | None = None
    abort: Operated | None = None
    left: Operated | None = None
    """Who said that what could not be undone is left to people."""

    @property
    def parked_undoing(self) -> bool:
        """Whether an operator is waited for, since an effect could not be undone."""
        return self.ending is not None and self.waiting_for is not None

    @property
    def stage(self) -> StageReport:
        """The stage that the promotion is at."""
        return self.stages[self.current]

    @property
    def identity(self) -> IdentityLevel:
        """How well those who approve have to be known, as far as the policy was read."""
        return self.app.identity if self.app else IdentityLevel.claimed

    @property
    def region(self) -> str:
        """The region of the task, the pipeline and the targets that name none."""
        app = known(self.app)
        return region_of_app(app.spec, app.ecs)

    @property
    def by_piped(self) -> bool:
        """Whether piped runs the task."""
        return bool(self.app) and known(self.app).spec.spec.task.launcher == "pipecd"

    @property
    def cluster_region(self) -> str:
        """The region of the cluster that piped runs the task on."""
        return region_of_cluster(known(self.app).ecs) or self.region

    @property
    def ledger(self) -> tuple[LedgerEntry, ...]:
        """The compensations as people see them, in the order of the effects."""
        return tuple(planned.entry for planned in self.compensations)

    @property
    def signed_approvals(self) -> tuple[SignedCommand, ...]:
        """The signed approvals of the last question. The activities that put the model into production check them again."""
        return tuple(said.signed for said in self.round.approvals if said.signed) if self.round else ()

    @property
    def delivered_approvals(self) -> tuple[Delivery, ...]:
        """The approvals of the last question whose senders Temporal's server knows."""
        return tuple(said.delivery for said in self.round.approvals if said.delivery) if self.round else ()

    @property
    def served(self) -> tuple[ServedEndpoint, ...]:
        """What the targets serve that were rolled out."""
        return tuple(rollout.served for rollout in self.rollouts if rollout.served)

    def status(self, promotion_id: str, request: PromotionRequest) -> PromotionStatus:
        """The status as the command line, CI and other people's code see it."""
        return PromotionStatus(
            id=promotion_id,
            app=request.app,
            image=request.image,
            commit=request.commit,
            requested_by=request.requested_by,
            stages=tuple(self.stages.values()),
            waiting_for=self.waiting_for,
            outcome=self.outcome,
            reason=self.reason,
            spec_commit=self.app.commit if self.app else None,
            task_definition=self.task_definition,
            task=self.task.arn if self.task else None,
            execution=self.execution.arn if self.execution else None,
            package=self.package.arn if self.package else None,
            evidence=self.evidence.hash if self.evidence else None,
            # Those that were rolled out and are being put back are no result.
            endpoints=() if self.ending else self.served,
            ledger=self.ledger,
            notices=self.notices,
            evidence_summary=EvidenceSummary.of(self.evidence) if self.evidence else None,
            decisions=self.decisions,
            identity=self.identity,
            rollback=request.rollback,
        )

    # --- Transitions ---

    def begin(self, name: StageName, now: datetime) -> None:
        """A stage begins, or begins again."""
        self.current = name
        started = self.stage.started_at or now
        attempts = self.stage.attempts + 1
        self._change(state=StageState.running, started_at=started, ended_at=None, attempts=attempts, summary="")

    def summarize(self, summary: str) -> None:
        """Set what came of the current stage so far, in one line."""
        self._change(summary=summary)

    def wait_for_people(self, waiting: WaitingFor) -> None:
        """The current stage waits for a decision."""
        self.waiting_for = waiting
        self._change(state=StageState.waiting)

    def park(self, waiting: WaitingFor, failure: FailureReport) -> None:
        """The current stage waits for an operator."""
        self.waiting_for, self.retry = waiting, None
        self._change(state=StageState.parked, summary=_first_line(failure.answered))

    def park_undoing(self, waiting: WaitingFor) -> None:
        """An effect could not be undone: an operator is waited for."""
        self.waiting_for, self.retry = waiting, None

    def name(self, command: Command) -> None:
        """An operator says which task, execution or package is the promotion's."""
        self.named_execution, self.named_package, self.named_task = command.execution, command.package, command.task

    def resume(self) -> None:
        """The current stage, or what undoes the effects, waits no more."""
        self.waiting_for = None
        if self.ending is None:
            self._change(state=StageState.running)

    def finish_stage(self, now: datetime) -> None:
        """The current stage is done."""
        self._change(state=StageState.done, ended_at=now)

    def fail(self, outcome: Outcome, reason: str, now: datetime) -> None:
        """The promotion failed at the current stage. Its effects are undone next."""
        self.ending, self.reason, self.waiting_for = outcome, reason, None
        self._change(state=StageState.failed, ended_at=now, summary=_first_line(reason))

    def end(self, outcome: Outcome) -> None:
        """The promotion is over."""
        self.outcome = outcome

    def notice(self, text: str, now: datetime) -> None:
        """Keep something that people should be able to read later."""
        notices = (*self.notices, f"{now:%Y-%m-%dT%H:%M:%SZ} {_kept(text)}")[-NOTICES:]
        while sum(len(notice.encode()) for notice in notices) > NOTICES_SIZE:
            notices = notices[1:]
        self.notices = notices

    def has_noticed(self, text: str) -> bool:
        """Whether this was noticed before."""
        return any(notice.partition(" ")[2] == _kept(text) for notice in self.notices)

    def record(self, decision: DecisionRecord, document: DecisionDocument | None = None) -> None:
        """Keep a decision, and that its document was used."""
        decisions = (*self.decisions, decision)[-DECISIONS:]
        while sum(len(kept.model_dump_json()) for kept in decisions) > DECISIONS_SIZE:
            decisions = decisions[1:]
        self.decisions = decisions
        if document:
            self.nonces = (*self.nonces, document.nonce)[-NONCES:]

    def replace(self, decision: DecisionRecord, better: DecisionRecord) -> None:
        """Keep what was found out about a decision in the place of what was known of it at first."""
        self.decisions = tuple(better if kept == decision else kept for kept in self.decisions)

    def plan(self, planned: Planned) -> None:
        """Record how an effect is undone. Call it before the effect; a second try of a stage changes nothing here.

        One that was undone meanwhile is planned again: its effect is about to be made again.
        """
        others = tuple(known for known in self.compensations if not known.is_for(planned))
        before = next((known for known in self.compensations if known.is_for(planned)), None)
        if before is None or before.state is not LedgerState.planned:
            self.compensations = (*others, planned)

    def settle(self, planned: Planned, state: LedgerState, note: str) -> None:
        """Record what became of a compensation."""
        settled = planned.settled(state, cap(note, NOTES_SIZE // len(self.compensations)))
        self.compensations = tuple(settled if known.is_for(settled) else known for known in self.compensations)

    def plan_again(self, at: int, request: RolloutRequest, restore: Planned) -> None:
        """Replace the plan of a target that nothing was done at, and its way back."""
        before = self.restore_of(at)
        self.rollouts = (*self.rollouts[:at], TargetRollout(request=request), *self.rollouts[at + 1 :])
        others = tuple(known for known in self.compensations if known is before or not known.is_for(restore))
        replaced = tuple(restore if known is before else known for known in others)
        self.compensations = replaced if before else (*replaced, restore)

    def find_again(self, at: int, modified: datetime | None) -> None:
        """Record when a target, which is as it was planned, had been changed last before it is tried again."""
        if modified is None:
            return
        rollout = self.rollouts[at]
        found = rollout.request.model_copy(update={"previous_modified": modified})
        self.rollouts = (*self.rollouts[:at], rollout.model_copy(update={"request": found}), *self.rollouts[at + 1 :])

    def restore_of(self, at: int) -> Planned | None:
        """The way back of a target, by its place among the rollouts: the latest one, where the target was put back before.

        Earlier releases planned none where an endpoint of another account had the same name and region.
        """
        plan = self.rollouts[at].request.plan
        ways = (
            known
            for known in reversed(self.compensations)
            if isinstance(known.undo, RestoreTarget)
            and (known.undo.request.plan.target, known.undo.request.plan.config) == (plan.target, plan.config)
        )
        return next(ways, None)

    def take_back(self, at: int, done: Planned) -> None:
        """Record that a target was put back: it is rolled out anew, if at all."""
        before = self.restore_of(at)
        self.compensations = tuple(done if known is before else known for known in self.compensations)
        self.rollouts = (*self.rollouts[:at], *self.rollouts[at + 1 :])

    def serve(self, served: dict[int, ServedEndpoint], marked: Container[int] = ()) -> None:
        """Record what targets serve, by their position among the rollouts.

        Args:
            served: What they serve.
            marked: Those whose endpoint's tag says so.
        """
        limit = ANSWERS_SIZE // max(len(known(self.app).spec.spec.rollout.targets), 1)
        self.rollouts = tuple(
            rollout.model_copy(update={"served": with_short_answer(served[at], limit), "marked": at in marked})
            if at in served
            else rollout
            for at, rollout in enumerate(self.rollouts)
        )

    def leave_unjudged(self, unjudged: dict[int, tuple[Unjudged, ...]]) -> None:
        """Record which rules could not be judged during the update, by the targets' position among the rollouts."""
        self.rollouts = tuple(
            rollout.model_copy(update={"unjudged": unjudged[at]}) if unjudged.get(at) else rollout
            for at, rollout in enumerate(self.rollouts)
        )

    def judge(self, unjudged: Sequence[Unjudged]) -> None:
        """Record which rules a soak did not judge either, by the position of those that serve."""
        still = {(each.model, each.rule): each for each in unjudged}
        serving = [at for at, rollout in enumerate(self.rollouts) if rollout.served]
        places = {at: model for model, at in enumerate(serving)}

        def left(at: int, rollout: TargetRollout) -> TargetRollout:
            found = (still.get((places[at], each.rule)) for each in rollout.unjudged)
            return rollout.model_copy(update={"unjudged": tuple(each for each in found if each)})

        self.rollouts = tuple(
            left(at, rollout) if rollout.unjudged and at in places else rollout for at, rollout in enumerate(self.rollouts)
        )

    @property
    def unjudged(self) -> tuple[str, ...]:
        """What could not be judged at the targets that serve, as `prod: ModelLatency p99: too few requests (12 of 100)`."""
        return tuple(
            f"{rollout.request.plan.target.endpoint}: {each.said}"
            for rollout in self.rollouts
            if rollout.served
            for each in rollout.unjudged
        )

    def _change(self, **changes: object) -> None:
        self.stages = {**self.stages, self.current: self.stage.model_copy(update=changes)}


def known(value: T | None) -> T:
    """What an earlier stage brought.

    Raises:
        RuntimeError: That stage is not done: the stages are out of order.
    """
    if value is None:
        raise RuntimeError("a stage needs what no stage before it brought")
    return value


def with_short_answer(served: ServedEndpoint, limit: int) -> ServedEndpoint:
    """What a target serves, with as much of its answer."""
    return served.model_copy(update={"answer": cap(served.answer, limit)}) if served.answer else served


def _kept(text: str) -> str:
    return cap(one_line(text), NOTICE_LIMIT)


def _first_line(text: str) -> str:
    return text.partition("\n")[0]
