"""The outside world of a promotion, in plain Python: activities under their real names that answer at once and keep count."""

from __future__ import annotations

import asyncio
import textwrap
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from uuid import uuid4

from pydantic import BaseModel
from temporalio import activity
from temporalio.client import Client
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.worker import Worker, WorkerDeploymentConfig, WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from activities.branch_news import BranchNews
from activities.branches import FollowBranch
from activities.compensation import Compensation
from activities.decisions import IdentifyPerson
from activities.earlier_runs import EarlierRunsInterceptor
from activities.endpoints.cleaning import CleanedUp, CleanUp
from activities.endpoints.messages import (
    Breach,
    ChangeScaling,
    EndpointPlan,
    EndpointVerdict,
    FiringAlarm,
    FollowEndpoint,
    PlanRollout,
    Preflight,
    RestoreEndpoint,
    RolloutEnd,
    Scaling,
    Smoke,
    SmokeAnswer,
    Unjudged,
    UpdateEndpoint,
    WatchAlarms,
    WatchedAlarms,
)
from activities.endpoints.plan import plan_rollout
from activities.event_commits import HeldImage, VerifyImage
from activities.evidence import GatheredEvidence, GatherEvidence
from activities.images.messages import CheckScan, CopiedImage, CopyImage, ResolvedImage, ResolveImage, ScanVerdict
from activities.limits import LimitsInterceptor
from activities.origin import Origin
from activities.packages import FindModelPackage, FoundPackage
from activities.pipelines.messages import Execution, ExecutionVerdict, FindExecution, FollowExecution
from activities.plans.messages import CheckAhead
from activities.records import FindFormerPackage, RecordServed
from activities.registry import ApprovalSet, CreateModelPackage, SetApproval, WithdrawApproval
from activities.taskdefs import AppSnapshot, ReadApp, RevertImage, WriteImage
from activities.tasks.messages import (
    ContainerExit,
    FindTask,
    FollowTask,
    FoundTask,
    RegisteredTaskDefinition,
    RegisterTaskDefinition,
    RunTask,
    StartedTask,
    StopTask,
    TaskVerdict,
)
from slipway.api import (
    AppRef,
    Champion,
    DecisionRecord,
    Evidence,
    IdentityLevel,
    ImageOrigin,
    LedgerState,
    PackageContainer,
    PromotionRequest,
    StepReport,
    TaskdefCommit,
    follower_queue,
    rollout_queue,
)
from slipway.app.gates import GateResult
from slipway.app.going_back import spec_of_rollback
from slipway.app.pipecd import EcsApp, EventHandler, Replacement
from slipway.app.spec import Approval, Rollout, Target, Wave
from slipway.app.spec_reader import parse_spec
from slipway.errors import NeedsPersonError, RefusedError, TransientError
from slipway.evidence_hash import hash_of, sha256_of
from slipway.findings import Finding, FindingList
from slipway.plan import PlanRequest, PromotionPlan
from slipway.progress import TaskProgress
from slipway.served import History, HistoryRequest
from slipway.temporal.failures import to_application_error
from slipway.temporal.interceptor import SlipwayInterceptor
from slipway.temporal.runner import guarded_worker
from workflows.history import HistoryWorkflow
from workflows.plan import PlanWorkflow
from workflows.promotion import PromotionWorkflow
from workflows.rollout import RolloutWorkflow
from workflows.watch import WatchWorkflow

SOURCE = "111111111111.dkr.ecr.us-east-1.amazonaws.com/screening-ci"
TARGET = "222222222222.dkr.ecr.us-east-1.amazonaws.com/screening"
EVIDENCE = "sha256:" + "e" * 64
COMMIT = "c" * 40
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SPEC = parse_spec(
    textwrap.dedent(
        f"""\
        apiVersion: slipway.dev/v1
        kind: ModelPromotion
        metadata: {{name: screening}}
        spec:
          image: {{source: {SOURCE}, target: {TARGET}, scan: {{failOn: CRITICAL}}}}
          git: {{event: image-update}}
          pipeline: {{name: screening-training}}
          model: {{packageGroup: screening}}
          gates: [{{metric: accuracy, min: 0.9}}]
          approval: {{approvers: [ana, bo], quorum: 1}}
          rollout:
            variant: {{instanceType: ml.m5.large, instanceCount: 2}}
            smoke: {{payload: smoke/request.json}}
            waves: [{{targets: [{{endpoint: screening-prod}}]}}]
        """
    )
)


def needs_person(answered: str = "AccessDeniedException: not allowed") -> Exception:
    return to_application_error(NeedsPersonError("doing something", answered, "allow it, then retry"))


def refused(answered: str = "ImageNotFoundException: not there") -> Exception:
    return to_application_error(RefusedError("doing something", answered, "start with another image"))


def transient() -> Exception:
    return to_application_error(TransientError("doing something", "ThrottlingException: slow down", retry_after=timedelta(0)))


def approval(**changes: object) -> Approval:
    return Approval.model_validate({"approvers": ["ana", "bo"], **changes})


def request(**changes: object) -> PromotionRequest:
    digest = f"sha256:{uuid4().hex}{uuid4().hex}"
    asked = PromotionRequest(
        app=AppRef(repository="file:///repositories/app.git", folder="apps/screening"),
        image=f"{SOURCE}@{digest}",
        commit=COMMIT,
        requested_by="ci",
    )
    return asked.model_copy(update=changes)


class World:
    """What activities answer, and what they were asked.

    Args:
        task_queue: A worker's own.
    """

    makes_execution: bool = True
    piped_runs: bool = True
    """Whether piped has run a task when it is looked for."""
    pipecd_says: str = ""
    """What PipeCD's API says of the task."""
    task_had_ended: bool = False
    breaches: tuple[Breach, ...] = ()
    """The metrics that breach their rules while a wave soaks."""
    unjudged: tuple[Unjudged, ...] = ()
    """The rules that cannot be judged, neither during an update nor in a soak."""
    stopped: frozenset[str] = frozenset()
    """The endpoints whose update is still under way when its verdict comes."""
    cleaned: CleanedUp = CleanedUp()
    """What comes of removing former configs."""
    unfollowed: Collection[str] = ()
    """The endpoints that the worker may not look at."""
    smoke_error: str = ""
    looks_once: bool = True
    """Whether the worker that gathers the evidence looks ahead with it. One of an older release does not."""

    def __init__(self, task_queue: str) -> None:
        self.task_queue = task_queue
        self.spec = SPEC
        self.head = "a" * 40
        """The deployment branch's."""
        self.image_origin: ImageOrigin | None = None
        """Who signed the image, and what it was built from."""
        self.image_warnings: tuple[str, ...] = ()
        self.gate_problem = ""
        """Why the gate cannot be read."""
        self.calls: list[tuple[str, BaseModel]] = []
        self.failures: dict[str, list[Exception]] = defaultdict(list)
        """By activity: what its next calls raise."""
        self.held: dict[str, asyncio.Event] = {}
        """By activity: it goes on, heartbeating, until its event is set."""
        self.entered: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.accuracy = 0.95
        self.evidence = EVIDENCE
        """The hash that the evidence names; where it is empty, the evidence's own."""
        self.names_checksum_at: float | None = None
        """The accuracy of other evidence, whose checksum is named instead of the right one."""
        self.containers: tuple[PackageContainer, ...] = ()
        self.identity = IdentityLevel.claimed
        """How well the policy asks approvers to be known."""
        self.keys: dict[str, str] = {}
        """By name: the fingerprint of the key that signs. Everybody has one of their own where none is said."""
        self.verdicts: dict[str, RolloutEnd] = {}
        """By endpoint."""
        self.firing: list[str] = []
        """The alarms that go off while a wave soaks."""
        self.ended_by_platform: list[str] = []
        """What the platform ends the next tasks by."""
        self.endless: set[str] = set()
        """The endpoints whose updates go on without end."""
        self.unrestored: list[str] = []
        """Why the next endpoints cannot be put back."""
        self.restores_meet = asyncio.Barrier(1)
        """So many endpoints have to be restored at the same time."""
        self.served_since: str | None = None
        """The config that endpoints serve where others have updated them after preflight."""
        self.scaling: Scaling | None = None
        """The automatic scaling that updates need taken off."""
        self.findings: list[tuple[Finding, ...]] = []
        """What the next looks ahead find."""
        self.smoke_errors: list[str] = []
        """What the first requests are answered, before `smoke_error` counts."""
        self.history = History(app="screening", targets=())
        self.plan = PromotionPlan(
            promotion="", app=AppRef(repository=""), asked_image=f"{SOURCE}@sha256:1", commit=COMMIT, would_go=True
        )
        """What would happen to the next promotion."""
        self.news = asyncio.Queue[BranchNews]()
        """What is found on a branch, one look after the other."""

    def set_approval(self, policy: Approval) -> None:
        spec = self.spec.spec.model_copy(update={"approval": policy})
        self.spec = self.spec.model_copy(update={"spec": spec})

    def leave_task_to_piped(self) -> None:
        task = self.spec.spec.task.model_copy(update={"launcher": "pipecd"})
        self.spec = self.spec.model_copy(update={"spec": self.spec.spec.model_copy(update={"task": task})})

    def set_waves(
        self, *waves: tuple[str, ...], soak: timedelta = timedelta(0), at_once: int | None = None, **rollout_changes: object
    ) -> None:
        made = tuple(
            Wave(soak=soak, max_concurrency=at_once, targets=tuple(Target(endpoint=name) for name in wave)) for wave in waves
        )
        rollout: Rollout = self.spec.spec.rollout.model_copy(update={"waves": made, **rollout_changes})
        self.spec = self.spec.model_copy(update={"spec": self.spec.spec.model_copy(update={"rollout": rollout})})

    def push(self, head: str, **parts: object) -> None:
        """The deployment branch gets a commit with another spec."""
        self.head = head * 40
        self.spec = self.spec.model_copy(update={"spec": self.spec.spec.model_copy(update=parts)})

    def fail(self, name: str, *errors: Exception) -> None:
        self.failures[name] += errors

    def hold(self, name: str) -> asyncio.Event:
        self.held[name] = asyncio.Event()
        return self.held[name]

    @property
    def names(self) -> list[str]:
        """The steps. Who sent a command is looked up beside them, at any moment."""
        return [name for name, _ in self.calls if name != "identify_person"]

    def asked(self, name: str) -> list[Any]:
        return [asked for called, asked in self.calls if called == name]

    async def _enter(self, asked: BaseModel) -> None:
        name = activity.info().activity_type
        self.calls.append((name, asked))
        self.entered[name].set()
        if gate := self.held.get(name):
            while not gate.is_set():
                activity.heartbeat(TaskProgress(status="RUNNING"))
                await asyncio.sleep(0.02)
        if self.failures[name]:
            raise self.failures[name].pop(0)

    # --- The activities ---

    @activity.defn
    async def follow_branch(self, asked: FollowBranch) -> BranchNews:
        await self._enter(asked)
        return await self.news.get()

    @activity.defn
    async def read_app(self, asked: ReadApp) -> AppSnapshot:
        await self._enter(asked)
        handler = EventHandler(
            event="image-update", replacements=(Replacement(file="taskdef.yaml", yaml_field="$.containerDefinitions[0].image"),)
        )
        ecs = EcsApp(cluster_arn="arn:aws:ecs:us-east-1:222222222222:cluster/ml", task_definition_file="taskdef.yaml")
        spec = spec_of_rollback(self.spec, asked.rollback.endpoint) if asked.rollback else self.spec
        return AppSnapshot(commit=self.head, spec=spec, ecs=ecs, handler=handler, identity=self.identity)

    @activity.defn
    async def resolve_image(self, asked: ResolveImage) -> ResolvedImage:
        await self._enter(asked)
        return ResolvedImage(image=asked.image, found=self.image_origin, warnings=self.image_warnings)

    @activity.defn
    async def check_scan(self, asked: CheckScan) -> ScanVerdict:
        await self._enter(asked)
        return ScanVerdict(status="COMPLETE", counts={})

    @activity.defn
    async def copy_image(self, asked: CopyImage) -> CopiedImage:
        await self._enter(asked)
        digest = asked.source.rpartition("@")[2]
        return CopiedImage(image=f"{asked.target_repository}@{digest}", copied_blobs=3, skipped_blobs=1, copied_bytes=99)

    @activity.defn
    async def verify_image(self, asked: VerifyImage) -> HeldImage:
        await self._enter(asked)
        held = f"{SOURCE}:v1"
        brought = TaskdefCommit(commit="b" * 40, changed=False, file="taskdef.yaml", before="before", after=held)
        return HeldImage(taskdef=brought, author="piped")

    @activity.defn
    async def write_image(self, asked: WriteImage) -> TaskdefCommit:
        await self._enter(asked)
        return TaskdefCommit(commit="b" * 40, changed=True, file="taskdef.yaml", before="before", after=asked.image)

    @activity.defn
    async def revert_image(self, asked: RevertImage) -> Compensation:
        return await self._compensate(asked)

    @activity.defn
    async def register_task_definition(self, asked: RegisterTaskDefinition) -> RegisteredTaskDefinition:
        await self._enter(asked)
        arn = "arn:aws:ecs:us-east-1:222222222222:task-definition/screening:7"
        return RegisteredTaskDefinition(arn=arn, containers=("pipeline",), reused=False)

    @activity.defn
    async def run_task(self, asked: RunTask) -> StartedTask:
        await self._enter(asked)
        arn = f"arn:aws:ecs:us-east-1:222222222222:task/ml/{asked.attempt}"
        return StartedTask(arn=arn, cluster="ml", started_at=NOW)

    @activity.defn
    async def find_task(self, asked: FindTask) -> FoundTask | None:
        await self._enter(asked)
        if not self.piped_runs:
            return None
        arn = asked.named or f"arn:aws:ecs:us-east-1:222222222222:task/ml/piped-{len(self.asked('find_task'))}"
        return FoundTask(task=StartedTask(arn=arn, cluster="ml", started_at=NOW), commit=asked.commit, pipecd=self.pipecd_says)

    @activity.defn
    async def follow_task(self, asked: FollowTask) -> TaskVerdict:
        await self._enter(asked)
        exits = (ContainerExit(name="pipeline", exit_code=0),)
        end = self.ended_by_platform.pop(0) if self.ended_by_platform else None
        return TaskVerdict(arn=asked.task.arn, containers=exits, ended_by_platform=end)

    @activity.defn
    async def stop_task(self, asked: StopTask) -> Compensation:
        done = await self._compensate(asked)
        return Compensation(state=LedgerState.kept, note="it had ended before") if self.task_had_ended else done

    @activity.defn
    async def find_execution(self, asked: FindExecution) -> Execution | None:
        await self._enter(asked)
        if not self.makes_execution:
            if asked.for_undo:
                return None
            raise needs_person("no execution has this display name")
        arn = f"arn:aws:sagemaker:us-east-1:222222222222:pipeline/screening-training/execution/{asked.promotion_id}"
        witness = "an operator's word" if asked.named else "its display name"
        return Execution(arn=asked.named or arn, region=asked.region, display_name=asked.promotion_id, witness=witness)

    @activity.defn
    async def follow_execution(self, asked: FollowExecution) -> ExecutionVerdict:
        await self._enter(asked)
        steps = (StepReport(name="Train", kind="Training", status="Succeeded", seconds=9),)
        return ExecutionVerdict(steps=steps)

    @activity.defn
    async def retry_execution(self, execution: Execution) -> Execution:
        await self._enter(execution)
        return execution

    @activity.defn
    async def stop_execution(self, execution: Execution) -> Compensation:
        return await self._compensate(execution)

    @activity.defn
    async def find_model_package(self, asked: FindModelPackage) -> FoundPackage:
        await self._enter(asked)
        arn = f"arn:aws:sagemaker:us-east-1:222222222222:model-package/{asked.group}/3"
        return FoundPackage(arn=asked.named or arn, version=3, region="us-east-1", witness="the step that registered it")

    @activity.defn
    async def create_model_package(self, asked: CreateModelPackage) -> FoundPackage:
        await self._enter(asked)
        arn = f"arn:aws:sagemaker:us-east-1:222222222222:model-package/{asked.group}/4"
        return FoundPackage(arn=arn, version=4, region="us-east-1", witness="Slipway's own making")

    @activity.defn(name="set_approval")
    async def set_package_approval(self, asked: SetApproval) -> ApprovalSet:
        await self._enter(asked)
        return ApprovalSet(before="PendingManualApproval", after=asked.status)

    @activity.defn
    async def withdraw_approval(self, asked: WithdrawApproval) -> Compensation:
        return await self._compensate(asked)

    @activity.defn
    async def gather_evidence(self, asked: GatherEvidence) -> GatheredEvidence:
        await self._enter(asked)
        ahead = self._ahead() if asked.ahead and self.looks_once else None
        return GatheredEvidence.model_validate({**dict(self._named_evidence(asked)), "ahead": ahead})

    def _named_evidence(self, asked: GatherEvidence) -> Evidence:
        evidence = self.evidence_of(asked)
        if self.names_checksum_at is None:
            return evidence
        told, self.accuracy = self.accuracy, self.names_checksum_at
        named = self.evidence_of(asked).sha256
        self.accuracy = told
        return evidence.model_copy(update={"sha256": named})

    def evidence_of(self, asked: GatherEvidence) -> Evidence:
        """What is found, without a call being counted."""
        met = self.accuracy >= 0.9
        message = f"{self.accuracy} {'meets' if met else 'does not meet'} min 0.9"
        gate = GateResult(metric="accuracy", rule="min 0.9", value=self.accuracy, champion=None, passed=met, message=message)
        if self.gate_problem:
            unread = {"value": None, "passed": False, "message": "cannot be read", "problem": self.gate_problem}
            gate = gate.model_copy(update=unread)
        evidence = Evidence(
            hash=self.evidence,
            package=asked.package,
            model_image=f"{TARGET}@sha256:{'d' * 64}",
            metrics={"accuracy": self.accuracy},
            champions=tuple(Champion(target=target, package=None, metrics={}) for target in asked.targets),
            gates=(gate,),
            image=asked.image,
            taskdef=asked.taskdef,
            steps=asked.steps,
            rollback_plan="the former config is put back",
            containers=self.containers,
            purpose=asked.purpose,
        )
        found = evidence.model_dump(mode="json")
        return evidence.model_copy(update={"hash": self.evidence or hash_of(found), "sha256": sha256_of(found)})

    @activity.defn
    async def identify_person(self, asked: IdentifyPerson) -> DecisionRecord:
        await self._enter(asked)
        command = asked.command
        now = datetime.now(UTC)
        record = DecisionRecord(kind=command.kind, by=command.by, at=now, evidence=command.evidence, reason=command.reason)
        if command.signed is None:
            return record
        signed = {"document": command.signed.document, "signature": command.signed.signature}
        return record.model_copy(
            update={"level": IdentityLevel.signed, "fingerprint": self.keys.get(command.by, f"SHA256:{command.by}"), **signed}
        )

    @activity.defn
    async def check_ahead(self, asked: CheckAhead) -> FindingList:
        await self._enter(asked)
        return self._ahead()

    def _ahead(self) -> FindingList:
        return FindingList(findings=self.findings.pop(0) if self.findings else ())

    @activity.defn
    async def plan_promotion(self, asked: PlanRequest) -> PromotionPlan:
        await self._enter(asked)
        return self.plan.model_copy(update={"promotion": asked.request.promotion_id, "app": asked.app, "ref": asked.ref})

    @activity.defn
    async def preflight(self, asked: PlanRollout) -> Preflight:
        await self._enter(asked)
        return Preflight(plan=plan_rollout(asked), current_config="former", scaling=self.scaling)

    @activity.defn
    async def watch_alarms(self, asked: WatchAlarms) -> WatchedAlarms:
        await self._enter(asked)
        while not (self.firing or self.breaches) and datetime.now(UTC) < asked.until:
            activity.heartbeat()
            await asyncio.sleep(0.02)
        firing = tuple(FiringAlarm(name=name, place=asked.places[0]) for name in self.firing)
        return WatchedAlarms(firing=firing, breaches=self.breaches, unjudged=self.unjudged)

    @activity.defn
    async def take_off_scaling(self, asked: ChangeScaling) -> None:
        await self._enter(asked)

    @activity.defn
    async def take_off_scaling_again(self, asked: ChangeScaling) -> None:
        await self._enter(asked)

    @activity.defn
    async def put_back_scaling(self, asked: ChangeScaling) -> Compensation:
        return await self._compensate(asked)

    @activity.defn
    async def look_again(self, asked: UpdateEndpoint) -> Preflight:
        await self._enter(asked)
        served = self.served_since or asked.previous_config
        return Preflight(plan=plan_rollout(asked.plan, self.served_since), current_config=served, scaling=self.scaling)

    @activity.defn
    async def prepare_endpoint(self, plan: EndpointPlan) -> EndpointPlan:
        await self._enter(plan)
        return plan

    @activity.defn
    async def update_endpoint(self, asked: UpdateEndpoint) -> None:
        await self._enter(asked)

    @activity.defn
    async def follow_endpoint(self, asked: FollowEndpoint) -> EndpointVerdict:
        await self._enter(asked)
        if asked.plan.target.endpoint in self.unfollowed:
            raise needs_person()
        if asked.plan.target.endpoint in self.endless:
            await asyncio.Event().wait()
        end = self.verdicts.get(asked.plan.target.endpoint, RolloutEnd.served)
        served = end is RolloutEnd.served
        return EndpointVerdict(
            end=end,
            config=asked.plan.config if served else "former",
            package=asked.plan.package.arn if served else None,
            reason="" if served else "the alarm screening-5xx went off",
            stopped=asked.plan.target.endpoint in self.stopped,
            unjudged=self.unjudged if served else (),
        )

    @activity.defn
    async def smoke_endpoint(self, asked: Smoke) -> SmokeAnswer:
        await self._enter(asked)
        error = self.smoke_errors.pop(0) if self.smoke_errors else self.smoke_error
        body = "" if error else '{"malignant": true}'
        return SmokeAnswer(
            ok=not error,
            body=body,
            error=error,
        )

    @activity.defn
    async def mark_endpoint(self, plan: EndpointPlan) -> None:
        await self._enter(plan)

    @activity.defn
    async def clean_up(self, asked: CleanUp) -> CleanedUp:
        await self._enter(asked)
        return self.cleaned

    @activity.defn
    async def record_served(self, asked: RecordServed) -> None:
        await self._enter(asked)

    @activity.defn
    async def require_no_rollout(self, origin: Origin) -> None:
        await self._enter(origin)

    @activity.defn
    async def find_former_package(self, asked: FindFormerPackage) -> FoundPackage:
        await self._enter(asked)
        version = asked.version or 2
        arn = f"arn:aws:sagemaker:us-east-1:222222222222:model-package/{asked.group}/{version}"
        return FoundPackage(arn=arn, version=version, region="us-east-1", witness="served before")

    @activity.defn
    async def read_history(self, asked: HistoryRequest) -> History:
        await self._enter(asked)
        return self.history

    @activity.defn
    async def restore_endpoint(self, asked: RestoreEndpoint) -> Compensation:
        await self.restores_meet.wait()
        done = await self._compensate(asked)
        return Compensation(state=LedgerState.needs_person, note=self.unrestored.pop(0)) if self.unrestored else done

    async def _compensate(self, asked: BaseModel) -> Compensation:
        await self._enter(asked)
        return Compensation(state=LedgerState.undone, note="done")

    def activities(self) -> list[Callable[..., Any]]:
        methods = (getattr(self, name) for name in dir(type(self)) if not name.startswith("_") and name != "names")
        return [method for method in methods if hasattr(method, "__temporal_activity_definition")]


class PreparedOnce(SandboxedWorkflowRunner):
    """Temporal's sandbox. It tries a workflow's imports for the first worker of a process, not again for each one."""

    _prepared: ClassVar[set[type]] = set()

    def prepare_workflow(self, defn: Any) -> None:
        if defn.cls not in self._prepared:
            super().prepare_workflow(defn)
            self._prepared.add(defn.cls)


@asynccontextmanager
async def working(
    client: Client, world: World, runner: WorkflowRunner | None = None, version: WorkerDeploymentVersion | None = None
) -> AsyncGenerator[None]:
    """Workers of the real workflows and this world's activities, on the three task queues.

    Args:
        client: Where they poll.
        world: Whose activities they run.
        runner: How they run workflows; in the sandbox where none is given.
        version: The deployment version that they are; none where workers are not versioned.
    """
    followers = worker_of(client, world, follower_queue(world.task_queue), version=version)
    async with working_without_followers(client, world, runner, version), followers:
        yield


@asynccontextmanager
async def working_without_followers(
    client: Client, world: World, runner: WorkflowRunner | None = None, version: WorkerDeploymentVersion | None = None
) -> AsyncGenerator[None]:
    """The same, but nobody takes up what only waits."""
    workflows = (PromotionWorkflow, PlanWorkflow, HistoryWorkflow, WatchWorkflow)
    promotions = worker_of(client, world, world.task_queue, workflows, VersioningBehavior.AUTO_UPGRADE, runner, version)
    queue = rollout_queue(world.task_queue)
    async with promotions, worker_of(client, world, queue, (RolloutWorkflow,), VersioningBehavior.PINNED, runner, version):
        yield


def worker_of(
    client: Client,
    world: World,
    queue: str,
    workflows: Sequence[type] = (),
    behavior: VersioningBehavior = VersioningBehavior.UNSPECIFIED,
    runner: WorkflowRunner | None = None,
    version: WorkerDeploymentVersion | None = None,
    limits: LimitsInterceptor | None = None,
    slots: int | None = None,
) -> Worker:
    """A worker of one task queue, with the interceptors that it has in production, but for that of the policy.

    Its limits are there only where they are given.
    """
    throttle = timedelta(seconds=0.1)
    versioned = (
        WorkerDeploymentConfig(version, use_worker_versioning=True, default_versioning_behavior=behavior) if version else None
    )
    return guarded_worker(
        Worker,
        runner or PreparedOnce(),
        client=client,
        task_queue=queue,
        workflows=workflows,
        activities=world.activities(),
        interceptors=[SlipwayInterceptor(), EarlierRunsInterceptor(), *([limits] if limits else [])],
        max_concurrent_activities=slots,
        max_heartbeat_throttle_interval=throttle,
        default_heartbeat_throttle_interval=throttle,
        deployment_config=versioned,
    )
