"""One image digest, and the model that it trains, on its way to the endpoints."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.exceptions import FailureError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.compensation import Compensation
    from activities.evidence import EvidenceActivities, GatherEvidence
    from activities.images.activities import ImageActivities
    from activities.images.messages import CheckScan, CopyImage, ResolveImage
    from activities.pipelines.activities import PipelineActivities
    from activities.pipelines.messages import Execution, FindExecution, FollowExecution
    from activities.registry import FindModelPackage, RegistryActivities, SetApproval, WithdrawApproval
    from activities.taskdefs import AppSnapshot, ReadApp, RevertImage, TaskdefActivities, WriteImage
    from activities.tasks.activities import TaskActivities
    from activities.tasks.messages import RegisterTaskDefinition, StartedTask
    from slipway.api import (
        Evidence,
        LedgerState,
        Message,
        ModelPackage,
        Outcome,
        PromotionRequest,
        PromotionStatus,
        StageName,
        StepReport,
        TaskdefCommit,
    )
    from slipway.errors import RefusedError, to_application_error
    from slipway.oci.reference import ImageReference
    from slipway.text import counted
    from workflows import policies
    from workflows.approval import Round, Verdict
    from workflows.compensations import keep
    from workflows.handlers import EndedError, OperatedWorkflow
    from workflows.launches import Launches
    from workflows.policies import step
    from workflows.waves import Waves

A = TypeVar("A")
R = TypeVar("R")
T = TypeVar("T")
LISTED_SOON = timedelta(seconds=20)
"""How long an execution may not be listed yet whose task was stopped just now."""
LISTED_LONG_SINCE = timedelta(seconds=2)
"""The same for a task that had ended before: a second look is enough."""


class Source(Message):
    """What stage 1 brought: the application as it is on the branch, and the image where the task pulls it from."""

    app: AppSnapshot
    image: str

    @property
    def region(self) -> str:
        """The region of the task, the pipeline and, where they name none, the targets: that of the target repository."""
        return ImageReference.parse(self.app.spec.spec.image.target).region


class Training(Message):
    """What stage 4 brought."""

    steps: tuple[StepReport, ...]
    package: ModelPackage


@workflow.defn
class PromotionWorkflow(OperatedWorkflow):
    """The six stages. The workflow ends normally whatever becomes of the promotion; `outcome` says what did."""

    @workflow.init
    def __init__(self, request: PromotionRequest) -> None:
        super().__init__(request)
        self._launches = Launches(self._board, self._finish_first, self._check_abort)
        self._execution: Execution | None = None
        self._waves: Waves | None = None

    @workflow.run
    async def run(self, request: PromotionRequest) -> PromotionStatus:
        """See the promotion through, and undo what it did where it does not end well."""
        del request  # the constructor has it
        self._work = asyncio.create_task(self._promote())
        try:
            await self._work
        except EndedError as ended:
            await self._undo(ended.outcome, ended.reason)
        except (asyncio.CancelledError, FailureError) as error:
            if not is_cancelled_exception(error):
                raise
            await self._undo(Outcome.aborted, self._why_aborted())
        else:
            self._over = "the promotion is over: promoted"
            self._ledger.keep_all("the promotion succeeded")
            self._board.end(Outcome.promoted, self._ledger.entries)
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self.status()

    async def _promote(self) -> None:
        source = await self._stage(StageName.image, self._bring_image)
        taskdef = await self._stage(StageName.taskdef, partial(self._write_taskdef, source))
        task = await self._stage(StageName.task, partial(self._run_task, source, taskdef))
        training = await self._stage(StageName.pipeline, partial(self._train, source, task))
        await self._stage(StageName.approval, partial(self._approve, source, taskdef, training))
        await self._stage(StageName.rollout, partial(self._roll_out, source, training))

    # --- 1 image ---

    async def _bring_image(self) -> Source:
        read = ReadApp(app=self._request.app, image=self._request.image)
        app = await self._step(TaskdefActivities.read_app, read, policies.GIT, "read the application's files")
        spec = app.spec.spec
        targets = tuple(target.endpoint for wave in spec.rollout.waves for target in wave.targets)
        self._board.is_about(app.spec.metadata.name, targets)
        self._board.set(spec_commit=app.commit)
        for warning in app.warnings:
            self._board.notice(warning)
        refuse_launcher(app)
        found = await self._step(
            ImageActivities.resolve_image, ResolveImage(image=self._request.image), policies.LOOK, "is the image there?"
        )
        if spec.image.scan:
            await self._step(
                ImageActivities.check_scan,
                CheckScan(image=found.image, policy=spec.image.scan),
                policies.follow(spec.image.scan.timeout),
                f"findings at or above {spec.image.scan.fail_on}?",
            )
        if found.image.rpartition("@")[0] == spec.image.target:
            self._board.say("is where the task pulls from")
            return Source(app=app, image=found.image)
        return Source(app=app, image=await self._copy_image(found.image, spec.image.target))

    async def _copy_image(self, image: str, target: str) -> str:
        self._ledger.plan(StageName.image, "keep the copy", keep)
        tag = f"slipway-{self._request.digest.partition(':')[2][:12]}"
        copied = await self._step(
            ImageActivities.copy_image,
            CopyImage(source=image, target_repository=target, tag=tag),
            policies.COPY,
            f"copy to {target}",
        )
        blobs = copied.copied_blobs + copied.skipped_blobs
        self._board.say(f"in {target}, {copied.copied_blobs} of {blobs} blobs copied")
        return copied.image

    # --- 2 taskdef ---

    async def _write_taskdef(self, source: Source) -> TaskdefCommit:
        self._ledger.plan(StageName.taskdef, "revert the commit", self._revert_commit)
        write = WriteImage(
            app=self._request.app,
            promotion_id=self._board.status.id,
            handler=source.app.handler,
            event=source.app.spec.spec.git.event,
            image=source.image,
            requested_by=self._request.requested_by,
            source_commit=self._request.commit,
        )
        commit = await self._step(
            TaskdefActivities.write_image, write, policies.GIT, f"write the image on {self._request.app.branch}"
        )
        what = "commit" if commit.changed else "held the image already at"
        self._board.say(f"{commit.file}: {what} {commit.commit[:12]}")
        return commit

    async def _revert_commit(self, reason: str) -> Compensation:
        revert = RevertImage(app=self._request.app, promotion_id=self._board.status.id, reason=reason)
        return await step(TaskdefActivities.revert_image, revert, policies.UNDO, "revert the commit")

    # --- 3 task ---

    async def _run_task(self, source: Source, taskdef: TaskdefCommit) -> StartedTask:
        # Never two at once: the one before may only have been lost from sight.
        await self._launches.stop("the stage is tried again")
        definition = await self._step(
            TaskActivities.register_task_definition,
            RegisterTaskDefinition(
                app=self._request.app,
                commit=taskdef.commit,
                file=taskdef.file,
                region=source.region,
                image=source.image,
            ),
            policies.GIT,
            f"register {taskdef.file} at {taskdef.commit[:12]}",
        )
        self._board.set(task_definition=definition.arn)
        # The execution comes first: undone last in first out, the task can start no other one once it is stopped.
        self._ledger.plan(StageName.pipeline, "stop the execution", partial(self._stop_execution, source))
        self._ledger.plan(StageName.task, "stop the task", self._launches.stop)
        return await self._launches.run(definition, source.app.ecs, source.app.spec.spec.task.timeout)

    # --- 4 pipeline ---

    async def _train(self, source: Source, task: StartedTask) -> Training:
        spec = source.app.spec.spec
        if self._execution:
            summary = "let the execution go on from the step that failed"
            await self._step(PipelineActivities.retry_execution, self._execution, policies.CHANGE, summary)
        else:
            find = self._find(source, task)
            self._execution = await self._step(
                PipelineActivities.find_execution, find, policies.LOOK, f"find {find.promotion_id}"
            )
        self._board.set(execution=self._execution.arn)
        verdict = await self._step(
            PipelineActivities.follow_execution,
            FollowExecution(execution=self._execution, timeout=spec.pipeline.timeout),
            policies.follow(spec.pipeline.timeout),
            f"follow {spec.pipeline.name}",
        )
        package = await self._step(
            RegistryActivities.find_model_package,
            FindModelPackage(execution=self._execution, group=spec.model.package_group),
            policies.LOOK,
            f"find the model in {spec.model.package_group}",
        )
        self._board.set(package=package.arn)
        self._board.say(f"{counted(len(verdict.steps), 'step')}, {spec.model.package_group} version {package.version}")
        return Training(steps=verdict.steps, package=package)

    def _find(self, source: Source, task: StartedTask) -> FindExecution:
        return FindExecution(
            pipeline=source.app.spec.spec.pipeline.name,
            promotion_id=self._board.status.id,
            region=source.region,
            started_after=task.started_at,
        )

    async def _stop_execution(self, source: Source, reason: str) -> Compensation:
        del reason  # SageMaker keeps none
        if self._execution is None and self._launches.task:
            self._execution = await self._look_for_execution(self._find(source, self._launches.task))
            if self._execution is None:
                return Compensation(state=LedgerState.kept, note="no execution of the task was found")
        if self._execution is None:
            return Compensation(state=LedgerState.kept, note="no execution was started")
        return await step(PipelineActivities.stop_execution, self._execution, policies.UNDO, "stop the execution if it runs")

    async def _look_for_execution(self, find: FindExecution) -> Execution | None:
        """The execution that a task started which was not seen to its end; most have started none."""
        # The task was stopped before this (see the ledger), so it is known by now whether it had ended before.
        find = find.model_copy(update={"within": LISTED_LONG_SINCE if self._launches.ended_before else LISTED_SOON})
        try:
            return await step(PipelineActivities.find_execution, find, policies.UNDO, "did the task start one?")
        except FailureError:
            return None

    # --- 5 approval ---

    async def _approve(self, source: Source, taskdef: TaskdefCommit, training: Training) -> None:
        evidence = await self._gather(source, taskdef, training)
        missed = [f"{gate.metric}: {gate.message}" for gate in evidence.gates if not gate.passed]
        withdraw = partial(self._withdraw, training.package)
        if missed:
            self._ledger.plan(StageName.approval, "reject the package", withdraw)
            raise EndedError(Outcome.refused, f"a gate is not met: {'; '.join(missed)}")
        decided = await self._decide(source, evidence, training.package)
        self._ledger.plan(StageName.approval, "reject the package", withdraw)
        approval = SetApproval(package=training.package, status="Approved", description=decided)
        await self._step(RegistryActivities.set_approval, approval, policies.CHANGE, "approve the package")
        self._board.say(decided)

    async def _gather(self, source: Source, taskdef: TaskdefCommit, training: Training) -> Evidence:
        spec = source.app.spec.spec
        gather = GatherEvidence(
            promotion_id=self._board.status.id,
            app=self._request.app,
            package=training.package,
            gates=spec.gates,
            targets=tuple(target for wave in spec.rollout.waves for target in wave.targets),
            image=source.image,
            taskdef=taskdef,
            steps=training.steps,
        )
        self._evidence = await self._step(EvidenceActivities.gather_evidence, gather, policies.LOOK, "gather the evidence")
        self._board.set(evidence=self._evidence.hash)
        return self._evidence

    async def _decide(self, source: Source, evidence: Evidence, package: ModelPackage) -> str:
        policy = source.app.spec.spec.approval
        if policy.mode == "auto":
            return f"approved by the gates alone, on the evidence {evidence.hash}"
        question = self._round
        if question is None or question.evidence != evidence.hash:
            question = Round(policy=policy, requested_by=self._request.requested_by, evidence=evidence.hash)
        if question.verdict is Verdict.pending:
            question = await self._ask(question)
        if rejection := question.rejection:
            self._ledger.plan(StageName.approval, "reject the package", partial(self._withdraw, package))
            because = f": {rejection.reason}" if rejection.reason else ""
            raise EndedError(Outcome.rejected, f"rejected by {rejection.by} (claimed){because}")
        names = ", ".join(decision.by for decision in question.approvals)
        return f"approved by {names} (claimed), on the evidence {evidence.hash}"

    @staticmethod
    async def _withdraw(package: ModelPackage, reason: str) -> Compensation:
        return await step(
            RegistryActivities.withdraw_approval,
            WithdrawApproval(package=package, reason=reason),
            policies.UNDO,
            "reject the package",
        )

    # --- 6 rollout ---

    async def _roll_out(self, source: Source, training: Training) -> None:
        if self._waves is None:
            self._waves = Waves(self._request.app, source.app, training.package, source.region, self._board, self._ledger)
        await self._waves.run()

    # --- The end ---

    async def _undo(self, outcome: Outcome, reason: str) -> None:
        self._over = f"the promotion is ending ({outcome}: {reason}), and what it did is being undone; it goes on by itself"
        self._board.undo(reason)
        if self._ledger.entries:
            self._board.undoing()
        undoing = asyncio.create_task(self._ledger.undo_all(f"{outcome}: {reason}", self._show_ledger))
        while not undoing.done():
            try:
                await asyncio.shield(undoing)
            except asyncio.CancelledError:
                self._board.notice("a cancellation was not followed: what the promotion did is being undone")
        undoing.result()
        self._over = f"the promotion is over: {outcome}"
        self._board.end(outcome, self._ledger.entries)

    def _show_ledger(self) -> None:
        self._board.set(ledger=self._ledger.entries)

    def _why_aborted(self) -> str:
        if self._abort is None:
            return "it was cancelled in Temporal"
        because = f": {self._abort.reason}" if self._abort.reason else ""
        return f"aborted by {self._abort.by} (claimed){because}"

    async def _step(
        self, activity: Callable[[A, R], Coroutine[Any, Any, T]], request: R, policy: policies.Policy, summary: str
    ) -> T:
        """The result of an activity, unless the promotion was aborted meanwhile."""
        result = await step(activity, request, policy, summary)
        self._check_abort()
        return result


def refuse_launcher(app: AppSnapshot) -> None:
    """Only Slipway itself launches tasks so far.

    Raises:
        ApplicationError: The spec leaves that to piped.
    """
    if app.spec.spec.task.launcher == "pipecd":
        raise to_application_error(
            RefusedError(
                "reading promotion.yaml",
                "spec.task.launcher is pipecd, whose tasks Slipway cannot find",
                "set spec.task.launcher to slipway",
            )
        )
