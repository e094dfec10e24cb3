"""The outside of a promotion, written by hand: activities under their real names that answer at once and keep count."""

from __future__ import annotations

import asyncio
import textwrap
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from pydantic import BaseModel
from temporalio import activity
from temporalio.client import Client
from temporalio.worker import Worker, WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from slipway import messages as m
from slipway.errors import NeedsPersonError, RefusedError, TransientError, to_application_error
from slipway.gates import GateResult
from slipway.messages import LedgerState, RolloutEnd
from slipway.pipecd import EcsApp, EventHandler, Replacement
from slipway.progress import TaskProgress
from slipway.spec import Approval, ModelPromotion, Rollout, Target, Wave
from workflows.promotion import PromotionWorkflow
from workflows.rollout import RolloutWorkflow

SOURCE = "111111111111.dkr.ecr.us-east-1.amazonaws.com/screening-ci"
TARGET = "222222222222.dkr.ecr.us-east-1.amazonaws.com/screening"
EVIDENCE = "sha256:" + "e" * 64
COMMIT = "c" * 40
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SPEC = ModelPromotion.parse(
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


def request(**changes: object) -> m.PromotionRequest:
    digest = f"sha256:{uuid4().hex}{uuid4().hex}"
    asked = m.PromotionRequest(
        app=m.AppRef(repository="file:///repositories/app.git", folder="apps/screening"),
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

    def __init__(self, task_queue: str) -> None:
        self.task_queue = task_queue
        self.spec = SPEC
        self.calls: list[tuple[str, BaseModel]] = []
        self.failures: dict[str, list[Exception]] = defaultdict(list)
        """By activity: what its next calls raise."""
        self.held: dict[str, asyncio.Event] = {}
        """By activity: it goes on, heartbeating, until its event is set."""
        self.entered: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.accuracy = 0.95
        self.evidence = EVIDENCE
        self.verdicts: dict[str, RolloutEnd] = {}
        """By endpoint."""
        self.ended_by_platform: list[str] = []
        """What the platform ends the next tasks by."""
        self.smoke_error = ""
        self.makes_execution = True
        self.task_had_ended = False

    def set_approval(self, policy: Approval) -> None:
        spec = self.spec.spec.model_copy(update={"approval": policy})
        self.spec = self.spec.model_copy(update={"spec": spec})

    def set_waves(self, *waves: tuple[str, ...], soak: timedelta = timedelta(0)) -> None:
        made = tuple(Wave(soak=soak, targets=tuple(Target(endpoint=name) for name in wave)) for wave in waves)
        rollout: Rollout = self.spec.spec.rollout.model_copy(update={"waves": made})
        self.spec = self.spec.model_copy(update={"spec": self.spec.spec.model_copy(update={"rollout": rollout})})

    def fail(self, name: str, *errors: Exception) -> None:
        self.failures[name] += errors

    def hold(self, name: str) -> asyncio.Event:
        self.held[name] = asyncio.Event()
        return self.held[name]

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.calls]

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
    async def read_app(self, asked: m.ReadApp) -> m.AppSnapshot:
        await self._enter(asked)
        handler = EventHandler(
            event="image-update", replacements=(Replacement(file="taskdef.yaml", yaml_field="$.containerDefinitions[0].image"),)
        )
        ecs = EcsApp(cluster_arn="arn:aws:ecs:us-east-1:222222222222:cluster/ml", task_definition_file="taskdef.yaml")
        return m.AppSnapshot(commit="a" * 40, spec=self.spec, ecs=ecs, handler=handler)

    @activity.defn
    async def resolve_image(self, asked: m.ResolveImage) -> m.ResolvedImage:
        await self._enter(asked)
        return m.ResolvedImage(image=asked.image, media_type="application/json", size=1, pushed_at=NOW)

    @activity.defn
    async def check_scan(self, asked: m.CheckScan) -> m.ScanVerdict:
        await self._enter(asked)
        return m.ScanVerdict(status="COMPLETE", counts={})

    @activity.defn
    async def copy_image(self, asked: m.CopyImage) -> m.CopiedImage:
        await self._enter(asked)
        digest = asked.source.rpartition("@")[2]
        return m.CopiedImage(image=f"{asked.target_repository}@{digest}", copied_blobs=3, skipped_blobs=1, copied_bytes=99)

    @activity.defn
    async def write_image(self, asked: m.WriteImage) -> m.TaskdefCommit:
        await self._enter(asked)
        return m.TaskdefCommit(commit="b" * 40, changed=True, file="taskdef.yaml", before="before", after=asked.image)

    @activity.defn
    async def revert_image(self, asked: m.RevertImage) -> m.Compensation:
        return await self._compensate(asked)

    @activity.defn
    async def register_task_definition(self, asked: m.RegisterTaskDefinition) -> m.RegisteredTaskDefinition:
        await self._enter(asked)
        arn = "arn:aws:ecs:us-east-1:222222222222:task-definition/screening:7"
        return m.RegisteredTaskDefinition(arn=arn, containers=("pipeline",), reused=False)

    @activity.defn
    async def run_task(self, asked: m.RunTask) -> m.StartedTask:
        await self._enter(asked)
        arn = f"arn:aws:ecs:us-east-1:222222222222:task/ml/{asked.attempt}"
        return m.StartedTask(arn=arn, cluster="ml", started_at=NOW)

    @activity.defn
    async def follow_task(self, asked: m.FollowTask) -> m.TaskVerdict:
        await self._enter(asked)
        exits = (m.ContainerExit(name="pipeline", exit_code=0),)
        end = self.ended_by_platform.pop(0) if self.ended_by_platform else None
        return m.TaskVerdict(arn=asked.task.arn, containers=exits, seconds=1.5, log_tail=("started",), ended_by_platform=end)

    @activity.defn
    async def stop_task(self, asked: m.StopTask) -> m.Compensation:
        done = await self._compensate(asked)
        return m.Compensation(state=LedgerState.kept, note="it had ended before") if self.task_had_ended else done

    @activity.defn
    async def find_execution(self, asked: m.FindExecution) -> m.Execution:
        await self._enter(asked)
        if not self.makes_execution:
            raise needs_person("no execution has this display name")
        arn = f"arn:aws:sagemaker:us-east-1:222222222222:pipeline/screening-training/execution/{asked.promotion_id}"
        return m.Execution(arn=arn, region=asked.region, display_name=asked.promotion_id)

    @activity.defn
    async def follow_execution(self, asked: m.FollowExecution) -> m.ExecutionVerdict:
        await self._enter(asked)
        steps = (m.StepReport(name="Train", kind="Training", status="Succeeded", seconds=9),)
        return m.ExecutionVerdict(steps=steps)

    @activity.defn
    async def retry_execution(self, execution: m.Execution) -> m.Execution:
        await self._enter(execution)
        return execution

    @activity.defn
    async def stop_execution(self, execution: m.Execution) -> m.Compensation:
        return await self._compensate(execution)

    @activity.defn
    async def find_model_package(self, asked: m.FindModelPackage) -> m.ModelPackage:
        await self._enter(asked)
        arn = f"arn:aws:sagemaker:us-east-1:222222222222:model-package/{asked.group}/3"
        return m.ModelPackage(arn=arn, version=3, region="us-east-1")

    @activity.defn(name="set_approval")
    async def set_package_approval(self, asked: m.SetApproval) -> m.ApprovalSet:
        await self._enter(asked)
        return m.ApprovalSet(before="PendingManualApproval", after=asked.status)

    @activity.defn
    async def withdraw_approval(self, asked: m.WithdrawApproval) -> m.Compensation:
        return await self._compensate(asked)

    @activity.defn
    async def gather_evidence(self, asked: m.GatherEvidence) -> m.Evidence:
        await self._enter(asked)
        met = self.accuracy >= 0.9
        message = f"{self.accuracy} {'meets' if met else 'does not meet'} min 0.9"
        gate = GateResult(metric="accuracy", rule="min 0.9", value=self.accuracy, champion=None, passed=met, message=message)
        return m.Evidence(
            hash=self.evidence,
            package=asked.package,
            model_image=f"{TARGET}@sha256:{'d' * 64}",
            metrics={"accuracy": self.accuracy},
            champions=(m.Champion(target=asked.targets[0], package=None, metrics={}),),
            gates=(gate,),
            image=asked.image,
            taskdef=asked.taskdef,
            steps=asked.steps,
            rollback_plan="the former config is put back",
        )

    @activity.defn
    async def preflight(self, plan: m.EndpointPlan) -> m.Preflight:
        await self._enter(plan)
        return m.Preflight(exists=True, current_config="former", current_package=None)

    @activity.defn
    async def prepare_endpoint(self, plan: m.EndpointPlan) -> m.EndpointPlan:
        await self._enter(plan)
        return plan

    @activity.defn
    async def update_endpoint(self, asked: m.UpdateEndpoint) -> m.UpdateStarted:
        await self._enter(asked)
        return m.UpdateStarted(created=False)

    @activity.defn
    async def follow_endpoint(self, asked: m.FollowEndpoint) -> m.EndpointVerdict:
        await self._enter(asked)
        end = self.verdicts.get(asked.plan.target.endpoint, RolloutEnd.served)
        served = end is RolloutEnd.served
        return m.EndpointVerdict(
            end=end,
            config=asked.plan.config if served else "former",
            package=asked.plan.package.arn if served else None,
            reason="" if served else "the alarm screening-5xx went off",
        )

    @activity.defn
    async def smoke_endpoint(self, asked: m.Smoke) -> m.SmokeAnswer:
        await self._enter(asked)
        body = "" if self.smoke_error else '{"malignant": true}'
        return m.SmokeAnswer(
            ok=not self.smoke_error,
            body=body,
            content_type="application/json",
            variant="AllTraffic",
            milliseconds=12,
            error=self.smoke_error,
        )

    @activity.defn
    async def restore_endpoint(self, asked: m.RestoreEndpoint) -> m.Compensation:
        return await self._compensate(asked)

    async def _compensate(self, asked: BaseModel) -> m.Compensation:
        await self._enter(asked)
        return m.Compensation(state=LedgerState.undone, note="done")

    def activities(self) -> list[Callable[..., Any]]:
        methods = (getattr(self, name) for name in dir(type(self)) if not name.startswith("_") and name != "names")
        return [method for method in methods if hasattr(method, "__temporal_activity_definition")]


@asynccontextmanager
async def working(client: Client, world: World, runner: WorkflowRunner | None = None) -> AsyncGenerator[Worker]:
    """A worker of the real workflows and this world's activities.

    Args:
        client: Where it polls.
        world: Whose activities it runs.
        runner: How it runs workflows; in the sandbox where none is given.
    """
    worker = Worker(
        client,
        task_queue=world.task_queue,
        workflows=[PromotionWorkflow, RolloutWorkflow],
        activities=world.activities(),
        workflow_runner=runner or SandboxedWorkflowRunner(),
        max_heartbeat_throttle_interval=timedelta(seconds=0.1),
        default_heartbeat_throttle_interval=timedelta(seconds=0.1),
    )
    async with worker:
        yield worker
