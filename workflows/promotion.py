"""One image digest, and the model that it trains, on its way to the endpoints."""

from __future__ import annotations

import asyncio
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError, FailureError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.access.activities import AccessActivities
    from activities.access.messages import CheckAccess
    from activities.event_commits import EventCommitActivities
    from activities.evidence import EvidenceActivities, GatheredEvidence, GatherEvidence
    from activities.images.activities import ImageActivities
    from activities.images.messages import CheckScan, CopiedImage, CopyImage, ResolvedImage, ResolveImage
    from activities.packages import FindModelPackage, FoundPackage
    from activities.pipelines.activities import PipelineActivities
    from activities.pipelines.messages import Execution, FindExecution, FollowExecution
    from activities.plans.activities import PlanActivities
    from activities.plans.messages import CheckAhead
    from activities.registry import CreateModelPackage, RegistryActivities, SetApproval
    from activities.taskdefs import ReadApp, RevertImage, TaskdefActivities, WriteImage
    from activities.tasks.activities import TaskActivities
    from activities.tasks.messages import RegisterTaskDefinition, TaskVerdict
    from slipway.api import Evidence, LedgerState, ModelPackage, Outcome, PromotionStatus, StageName, StageState
    from slipway.app.spec import group_name
    from slipway.findings import FindingList
    from slipway.gathering import both
    from slipway.temporal.failures import report_of
    from slipway.temporal.search_attributes import State
    from slipway.text import pluralize
    from workflows.state.approval import Round, Verdict
    from workflows.state.compensations import KeepImage, Planned, RejectPackage, RevertCommit, StopExecution, StopStartedTask
    from workflows.state.promotion import known

from workflows.activity_options import ABORT_GRACE, CHANGE, COPY, GIT, LOOK, READ, STOP, follow, shown
from workflows.ahead import crosses_accounts, told, what_holds_up
from workflows.event_commit import commit_to_register, held_in_place, keep_commit, verification
from workflows.going_back import RollbackStages
from workflows.payloads import read_start
from workflows.pinned import cannot_read_anew, changed_parts, done_already, unreadable_gates
from workflows.stages import EndedError
from workflows.task_runner import PipedTaskFollower, TaskRunner
from workflows.undo import stop_task
from workflows.waves import Waves


@workflow.defn
class PromotionWorkflow(RollbackStages):
    """The six stages, of a promotion or of a rollback. It completes whatever becomes of it; `outcome` says what did."""

    @workflow.init
    def __init__(self, *payloads: Any) -> None:
        request, self._refusal = read_start(payloads)
        super().__init__(request)

    @workflow.run
    async def run(self, *payloads: Any) -> PromotionStatus:
        """See the promotion through, and undo its effects where it does not end well."""
        del payloads  # the constructor has them
        self._view.show()
        if ending := self._state.ending:
            await self._go_back(ending)
        else:
            await self._see_through()
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self.status()

    async def _see_through(self) -> None:
        self._work = asyncio.create_task(self._promote())
        try:
            await self._work
        except EndedError as ended:
            self._reject_if_undecided()
            await self._undo(ended.outcome, ended.reason)
        except (asyncio.CancelledError, FailureError) as error:
            if not is_cancelled_exception(error):
                raise
            self._reject_if_undecided()
            await self._undo(Outcome.aborted, self._why_aborted())
        else:
            self._keep_effects()
            self._end(Outcome.promoted)

    async def _promote(self) -> None:
        if self._refusal:
            raise EndedError(Outcome.refused, self._refusal)
        if self._request.rollback:
            await self._stage(StageName.image, self._read_to_go_back)
            await self._stage(StageName.taskdef, self._need_nothing)
            await self._stage(StageName.task, self._need_nothing)
            await self._stage(StageName.pipeline, self._find_former_package)
        else:
            await self._stage(StageName.image, self._copy_image)
            await self._stage(StageName.taskdef, self._write_taskdef)
            await self._stage(StageName.task, self._run_task)
            await self._stage(StageName.pipeline, self._train)
        await self._stage(StageName.approval, self._approve)
        await self._stage(StageName.rollout, self._roll_out)

    # --- 1 image ---

    async def _copy_image(self) -> None:
        state, image = self._state, self._request.image
        read = ReadApp(app=self._request.app, image=image)
        state.app = app = await self._step(TaskdefActivities.read_app, read, GIT, "read the application's files")
        for warning in app.warnings:
            self._notice(warning)
        if not workflow.patched("check-ahead"):
            self._heed(await self._check_access(None))
        spec = app.spec.spec.image
        found, ahead = await self._resolve(image)
        state.image_origin = found.found
        for warning in found.warnings:
            self._notice(warning)
        self._heed(ahead)
        if spec.scan:
            check = CheckScan(image=found.image, policy=spec.scan, origin=self._origin)
            summary = f"findings at or above {spec.scan.fail_on}?"
            await self._step(ImageActivities.check_scan, check, follow(spec.scan.timeout), summary)
        if found.image.rpartition("@")[0] == spec.target:
            state.image = found.image
            self._summarize(f"already in the target repository{said_of_signers(found)}")
            return
        state.plan(Planned(stage=StageName.image, inverse="keep the copy", undo=KeepImage()))
        copy = CopyImage(
            source=found.image,
            target_repository=spec.target,
            tag=self._request.tag,
            referrers=spec.referrers,
            origin=self._origin,
        )
        copied = await self._step(ImageActivities.copy_image, copy, COPY, f"copy to {spec.target}")
        state.image = copied.image
        blobs = copied.copied_blobs + copied.skipped_blobs
        copied_now = f"{copied.copied_blobs} of {pluralize(blobs, 'blob')} copied" if blobs else "already there"
        self._summarize(f"in {spec.target}, {copied_now}{said_of_referrers(copied)}{said_of_signers(found)}")

    async def _resolve(self, image: str) -> tuple[ResolvedImage, FindingList]:
        """The image, and what would stop the promotion later. Both are read at the same time, before anything is changed."""
        resolve = ResolveImage(image=image, origin=self._origin)
        resolving = self._step(ImageActivities.resolve_image, resolve, READ, "is the image there, and signed?")
        if workflow.patched("one-look"):
            return await both(resolving, self._look_ahead(None))
        return await resolving, await self._look_ahead(None)

    # --- 2 taskdef ---

    async def _write_taskdef(self) -> None:
        request, app = self._request, known(self._state.app)
        if app.spec.spec.git.writer == "pipecd":
            verify = verification(self._state, self._origin)
            held = await self._step(EventCommitActivities.verify_image, verify, GIT, "find the commit that brought the image")
            self._summarize(keep_commit(self._state, held))
            return
        run = workflow.info().first_execution_run_id if workflow.patched("run-in-commit") else ""
        revert = RevertImage(app=request.app, promotion_id=self._id, reason="", run=run)
        self._state.plan(Planned(stage=StageName.taskdef, inverse="revert the commit", undo=RevertCommit(request=revert)))
        write = WriteImage(
            app=request.app,
            promotion_id=self._id,
            handler=app.handler,
            event=app.spec.spec.git.event.name,
            image=known(self._state.image),
            requested_by=request.requested_by,
            source_commit=request.commit,
            origin=self._origin,
            run=run,
        )
        commit = await self._step(TaskdefActivities.write_image, write, GIT, f"write the image on {request.app.branch}")
        self._state.taskdef = commit
        what = "commit" if commit.changed else "already had this image at"
        self._summarize(f"{commit.file}: {what} {commit.commit[:12]}")

    # --- 3 task ---

    async def _run_task(self) -> None:
        if self._state.by_piped:
            await self._follow_piped()
        else:
            await self._launch_task()

    async def _follow_piped(self) -> None:
        state = self._state
        self._plan_stops()
        found, verdict = await PipedTaskFollower(state, self._origin, self._check_abort).run(
            known(state.app).spec.spec.task.timeout
        )
        told = f"; {found.pipecd}" if found.pipecd else ""
        self._summarize(f"{exits_line(verdict)}; piped ran it for {found.commit[:12]}{told}")

    async def _launch_task(self) -> None:
        state, app = self._state, known(self._state.app)
        # Never two at once: the one before may only have been lost from sight.
        await stop_task(state, "the stage is retried", self._origin, STOP)
        register = RegisterTaskDefinition(
            app=self._request.app,
            commit=commit_to_register(state),
            file=app.ecs.task_definition_file,
            region=state.region,
            image=known(state.image),
            containers=app.containers,
            attachment=app.attachment,
            held=held_in_place(state),
            origin=self._origin,
        )
        summary = f"register {register.file} at {register.commit[:12]}"
        definition = await self._step(TaskActivities.register_task_definition, register, GIT, summary)
        state.task_definition = definition.arn
        self._plan_stops()
        runner = TaskRunner(state, self._origin, self._notice, self._finish_first, self._check_abort)
        verdict = await runner.run(definition, app.ecs, app.spec.spec.task.timeout)
        self._summarize(exits_line(verdict))

    def _plan_stops(self) -> None:
        # The execution comes first: undone last in first out, the task can start no other one once it is stopped.
        stop = StopExecution(pipeline=known(self._state.app).spec.spec.pipeline.name, region=self._state.region)
        self._state.plan(Planned(stage=StageName.pipeline, inverse="stop the execution", undo=stop))
        self._state.plan(Planned(stage=StageName.task, inverse="stop the task", undo=StopStartedTask()))

    # --- 4 pipeline ---

    async def _train(self) -> None:
        state, spec = self._state, known(self._state.app).spec.spec
        named, state.named_execution = state.named_execution, ""
        if state.execution and not named:
            summary = "let the execution go on from the step that failed"
            execution = state.execution.model_copy(update={"origin": self._origin})
            await self._step(PipelineActivities.retry_execution, execution, CHANGE, summary)
        else:
            find = FindExecution(
                pipeline=spec.pipeline.name,
                promotion_id=self._id,
                region=state.region,
                started_after=known(state.task).started_at,
                origin=self._origin,
                task=state.task,
                named=named,
            )
            state.execution = known(await self._step(PipelineActivities.find_execution, find, READ, f"find {self._id}"))
            self._summarize(execution_line(state.execution))
        execution = state.execution.model_copy(update={"origin": self._origin})
        watch = FollowExecution(execution=execution, timeout=spec.pipeline.timeout)
        summary = f"follow {spec.pipeline.name}"
        verdict = await self._step(PipelineActivities.follow_execution, watch, follow(spec.pipeline.timeout), summary)
        state.steps = verdict.steps
        found = await (self._make_package(execution) if spec.model.from_step else self._find_package(execution))
        steps, group = pluralize(len(verdict.steps), "step"), group_name(spec.model.package_group)
        known_by = f", known by {found.witness}" if found.witness else ""
        self._summarize(f"{steps}, {group} version {found.version}{known_by}; {execution_line(execution)}")

    async def _find_package(self, execution: Execution) -> FoundPackage:
        state, model = self._state, known(self._state.app).spec.spec.model
        named, state.named_package = state.named_package, ""
        group = model.package_group
        find = FindModelPackage(execution=execution, group=group, step=model.step or "", named=named, promotion_id=self._id)
        found = await self._step(RegistryActivities.find_model_package, find, READ, f"find the model in {group}")
        state.package = found.package
        return found

    async def _make_package(self, execution: Execution) -> FoundPackage:
        """Make the package of what a training step made. Its ARN is known before an abort goes on: it is rejected then."""
        spec = known(self._state.app).spec.spec
        container = known(spec.model.container)
        create = CreateModelPackage(
            execution=execution,
            group=spec.model.package_group,
            step=known(spec.model.from_step),
            container=container,
            instance_types=spec.package_instance_types,
            report=spec.model.report,
            origin=self._origin,
        )
        made: list[FoundPackage] = []

        async def make() -> None:
            summary = f"make a package of {create.step} in {create.group}"
            found = await workflow.execute_activity_method(
                RegistryActivities.create_model_package, create, **shown(CHANGE, summary)
            )
            made.append(found)
            self._state.package = found.package

        await self._finish_first(make(), ABORT_GRACE)
        self._check_abort()
        return made[0]

    # --- 5 approval ---

    async def _approve(self) -> None:
        state, package, ahead = self._state, known(self._state.package), None
        if state.stage.state is not StageState.waiting:
            if state.stage.attempts > 1 and not self._request.rollback and workflow.patched("read-gates-anew"):
                await self._read_gates_anew()
            gathered = await self._gather_evidence(package)
            state.evidence, ahead = gathered.evidence, gathered.ahead
            self._view.show()
        evidence = known(state.evidence)
        missed = [f"{gate.metric}: {gate.message}" for gate in evidence.gates if gate.missed]
        if missed:
            self._plan_rejection(package)
            raise EndedError(Outcome.refused, f"a gate is not met: {'; '.join(missed)}")
        if unreadable := unreadable_gates(evidence, known(state.app).commit, self._request.app.branch):
            raise unreadable
        if state.stage.state is not StageState.waiting:
            self._heed(await self._look_ahead(package) if ahead is None else ahead)
        decided = await self._ask_approvers(evidence, package)
        if self._request.rollback:
            # Its package is approved in the registry, and stays so.
            self._summarize(decided)
            return
        self._plan_rejection(package)
        approval = SetApproval(
            package=package,
            status="Approved",
            description=decided,
            origin=self._origin,
            decisions=state.signed_approvals,
            deliveries=state.delivered_approvals,
        )
        try:
            await self._step(RegistryActivities.set_approval, approval, CHANGE, "approve the package")
        except FailureError as error:
            if report_of(error).voids_approval:
                state.round = None
            raise
        self._summarize(decided)

    async def _look_ahead(self, package: ModelPackage | None) -> FindingList:
        """What would stop the promotion later. Before people are asked, this is for evidence that does not say it."""
        if workflow.patched("check-ahead"):
            ahead = CheckAhead(origin=self._origin, package=package)
            return await self._step(PlanActivities.check_ahead, ahead, LOOK, "what would stop it later?")
        return await self._check_access(package) if package else FindingList()

    async def _check_access(self, package: ModelPackage | None) -> FindingList:
        """The same as an older release began it: other accounts alone."""
        if crosses_accounts(known(self._state.app)) and workflow.patched("check-access"):
            check = CheckAccess(origin=self._origin, package=package)
            return await self._step(AccessActivities.check_access, check, READ, "do the accounts let each other in?")
        return FindingList()

    def _heed(self, found: FindingList) -> None:
        """Park on what would stop the promotion later: before anything is changed, and again before people are asked."""
        for finding in found.warnings:
            self._notice_once(told(finding))
        if held_up := what_holds_up(found):
            raise held_up

    async def _read_gates_anew(self) -> None:
        """Pin the head of the deployment branch, so that what was corrected there counts.

        That is sound only where what has been done already reads the same there. Otherwise the former commit stays pinned.
        """
        pinned = known(self._state.app)
        read = ReadApp(app=self._request.app, image=self._request.image)
        try:
            found = await self._step(TaskdefActivities.read_app, read, GIT, "read the gates anew")
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            raise cannot_read_anew(error) from error
        changed = changed_parts(pinned, found)
        if not changed:
            return
        before, after = pinned.commit[:12], found.commit[:12]
        if done := done_already(changed, self._state.current):
            self._notice(f"the commit {before} stays pinned: {', '.join(done)} changed up to {after}, and was used already")
            return
        self._state.app = found
        self._notice(f"the commit {after} is pinned instead of {before}: {', '.join(changed)} changed")

    async def _gather_evidence(self, package: ModelPackage) -> GatheredEvidence:
        spec = known(self._state.app).spec.spec
        gather = GatherEvidence(
            promotion_id=self._id,
            app=self._request.app,
            package=package,
            gates=spec.gates,
            targets=spec.rollout.targets,
            image=known(self._state.image),
            taskdef=known(self._state.taskdef),
            steps=self._state.steps,
            origin=self._origin,
            smoke=spec.rollout.smoke.payload if spec.rollout.smoke else None,
            smoke_schema=spec.rollout.smoke.answer_schema if spec.rollout.smoke else None,
            rollout=spec.rollout,
            image_origin=self._state.image_origin,
            purpose=self._purpose,
            differences=True,
            ahead=workflow.patched("one-look"),
        )
        return await self._step(EvidenceActivities.gather_evidence, gather, LOOK, "gather the evidence")

    async def _ask_approvers(self, evidence: Evidence, package: ModelPackage) -> str:
        policy = known(self._state.app).spec.spec.approval
        if policy.mode == "auto":
            return f"approved by the gates alone, on the evidence {evidence.hash}"
        question = self._state.round
        if question is None or question.evidence != evidence.hash:
            question = Round(
                policy=policy,
                requested_by=self._request.requested_by,
                commit_author=self._request.commit_author,
                evidence=evidence.hash,
            )
        if question.verdict is Verdict.pending:
            question = await self._ask(question)
        if rejection := question.rejection:
            self._plan_rejection(package)
            because = f": {rejection.reason}" if rejection.reason else ""
            raise EndedError(Outcome.rejected, f"rejected by {rejection.who}{because}")
        names = ", ".join(said.who for said in question.approvals)
        return f"approved by {names}, on the evidence {evidence.hash}"

    def _plan_rejection(self, package: ModelPackage) -> None:
        if self._request.rollback:
            return  # the package was approved before, and that is not this rollback's to undo
        self._state.plan(Planned(stage=StageName.approval, inverse="reject the package", undo=RejectPackage(package=package)))

    # --- 6 rollout ---

    async def _roll_out(self) -> None:
        if self._state.void:
            await self._approve()
            self._state.void = False
            self._view.index(state=State.running)
        if self._request.rollback:
            await self._require_no_rollout()
        waves = Waves(self._origin, self._state, self._summarize, self._notice, self._wait, self._breathe, self._end_if_aborted)
        try:
            await waves.run()
            if workflow.patched("record-served"):
                await self._record_served(waves.unmarked)
            keep = known(self._state.app).spec.spec.rollout.keep
            if keep != "all" and workflow.patched("clean-up"):
                await waves.clean_up(keep)
        except FailureError as error:
            if report_of(error).voids_approval:
                self._state.void, self._state.round = True, None
            raise

    # --- The end ---

    def _reject_if_undecided(self) -> None:
        """No package is left pending: that would ask people about a model that this promotion gave up."""
        package = self._state.package
        planned = any(planned.stage is StageName.approval for planned in self._state.compensations)
        if package and not planned and not self._request.rollback and workflow.patched("reject-undecided-package"):
            self._plan_rejection(package)

    def _keep_effects(self) -> None:
        for planned in (each for each in self._state.compensations if each.state is LedgerState.planned):
            self._state.settle(planned, LedgerState.kept, "the promotion succeeded")

    def _why_aborted(self) -> str:
        if self._state.abort is None:
            return "it was cancelled in Temporal"
        because = f": {self._state.abort.reason}" if self._state.abort.reason else ""
        return f"aborted by {self._state.abort.who}{because}"


def exits_line(verdict: TaskVerdict) -> str:
    """How a task's containers ended."""
    return f"exit codes: {', '.join(f'{container.name} {container.exit_code}' for container in verdict.containers)}"


def execution_line(execution: Execution) -> str:
    """The execution, and what proves that it is the promotion's."""
    return f"execution {execution.arn.rpartition('/')[2]}, known by {execution.witness or 'its display name'}"


def said_of_referrers(copied: CopiedImage) -> str:
    """What the stage's line says of signatures, SBOMs and attestations; nothing where there are none."""
    came = f", with {pluralize(copied.referrers, 'referrer')}" if copied.referrers else ""
    others = copied.other_referrers
    stay = f", {pluralize(others, 'tag')} of referrers {'name' if others > 1 else 'names'} others there" if others else ""
    return came + stay


def said_of_signers(image: ResolvedImage) -> str:
    """What the stage's line says of who signed the image; nothing where nobody was asked for."""
    signers = image.found.signers if image.found else ()
    more = f" and {len(signers) - 1} more" if len(signers) > 1 else ""
    return f", signed by {signers[0].line}{more}" if signers else ""
