"""What crosses Temporal: one model in and one out for each workflow, activity, update, signal and query.

Every model is frozen and forbids unknown members. Times are UTC. Image URIs carry a digest wherever a field is called `image`.
"""

from __future__ import annotations

import hashlib
import json
import re
from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from slipway.errors import FailureReport
from slipway.gates import GateResult
from slipway.pipecd import EcsApp, EventHandler
from slipway.spec import Gate, ModelPromotion, Scan, Strategy, Target, Variant

TASK_QUEUE = "slipway"


class Message(BaseModel):
    """Base of all that crosses Temporal."""

    model_config = ConfigDict(frozen=True, extra="forbid")


# --- The promotion --------------------------------------------------------------------------------


class AppRef(Message):
    """Where an application's files are: a folder on the deployment branch of a repository."""

    repository: str
    branch: str = "main"
    folder: str = "."


class PromotionRequest(Message):
    """What a sender asks for. Who may approve is not the sender's to say: that is read from the deployment branch."""

    app: AppRef
    image: str = Field(description="The pipeline image in the source repository, by digest: <registry>/<repository>@sha256:<hex>")
    commit: str = Field(default="", description="The source commit that the image was built from.")
    requested_by: str = Field(default="unknown", description="Who asks, as the sender claims.")
    attempt: int = Field(default=1, ge=1, le=999, description="Counts deliberate new promotions of the same digest.")

    @property
    def digest(self) -> str:
        """The image's digest, `sha256:<hex>`."""
        return self.image.rpartition("@")[2]

    @property
    def promotion_id(self) -> str:
        """The workflow id: the same app and digest give the same, so that a CI job that runs twice starts one promotion.

        Fits everything that is named after it: SageMaker's display names (`[a-zA-Z0-9](-*[a-zA-Z0-9]){0,81}`), ECS's
        `startedBy` (128 characters) and client tokens.
        """
        last = self.app.folder.rstrip("/").rpartition("/")[2].strip(".") or self.app.repository.rstrip("/").rpartition("/")[2]
        slug = re.sub(r"[^a-z0-9]+", "-", last.removesuffix(".git").lower()).strip("-")[:32].strip("-") or "app"
        key = json.dumps([self.app.model_dump(), self.digest], sort_keys=True)
        suffix = f"-{self.attempt}" if self.attempt > 1 else ""
        return f"{slug}-{hashlib.sha256(key.encode()).hexdigest()[:12]}{suffix}"


class StageName(StrEnum):
    """The six stages, in their order."""

    image = "image"
    taskdef = "taskdef"
    task = "task"
    pipeline = "pipeline"
    approval = "approval"
    rollout = "rollout"


class StageState(StrEnum):
    """Where a stage is."""

    to_come = "to come"
    running = "running"
    waiting = "waiting"
    """For people: an approval."""
    parked = "parked"
    """For an operator's `retry` or `abort`."""
    done = "done"
    failed = "failed"


class Outcome(StrEnum):
    """How a promotion ended. `promoted` is the only good one; the others are verdicts, not technical errors."""

    promoted = "promoted"
    refused = "refused"
    """Bad input, or a gate that is not met."""
    rejected = "rejected"
    """A person said no."""
    expired = "expired"
    """Nobody decided in time."""
    aborted = "aborted"
    """An operator ended it."""
    rolled_back = "rolled-back"
    """The endpoint did not keep the new model."""


class StageReport(Message):
    """One stage as people see it."""

    name: StageName
    state: StageState = StageState.to_come
    started_at: datetime | None = None
    ended_at: datetime | None = None
    attempts: int = 0
    summary: str = ""
    """One line: what came of it."""


class LedgerState(StrEnum):
    """What became of an effect that was to be undone."""

    planned = "planned"
    undone = "undone"
    kept = "kept"
    needs_person = "needs a person"


class LedgerEntry(Message):
    """One effect on the outside, and what became of it."""

    stage: StageName
    inverse: str
    """What undoes it, as `revert commit`."""
    state: LedgerState = LedgerState.planned
    note: str = ""


class WaitingFor(Message):
    """What stands between a promotion and its next step."""

    what: str
    """As `approval (1 of 2)` or `retry or abort`."""
    since: datetime
    until: datetime | None = None
    who: tuple[str, ...] = ()
    """Who can unblock it; empty for any operator."""
    commands: tuple[str, ...] = ()
    """Each a whole `slipway` command line."""
    failure: FailureReport | None = None


class ServedEndpoint(Message):
    """What a target serves at the end."""

    endpoint: str
    region: str
    config: str
    package: str | None
    answer: str | None = Field(default=None, description="What the smoke request was answered, cut to 1,000 characters.")


class PromotionStatus(Message):
    """The answer to the query `status`, and the body of the result."""

    id: str
    app: AppRef
    image: str
    commit: str
    requested_by: str
    stages: tuple[StageReport, ...]
    waiting_for: WaitingFor | None = None
    outcome: Outcome | None = None
    reason: str = ""
    spec_commit: str | None = None
    """The commit of the deployment branch that the spec was read at."""
    task_definition: str | None = None
    task: str | None = None
    execution: str | None = None
    package: str | None = None
    evidence: str | None = None
    """The evidence's hash."""
    endpoints: tuple[ServedEndpoint, ...] = ()
    ledger: tuple[LedgerEntry, ...] = ()
    notices: tuple[str, ...] = ()
    """Decisions and refused signals, oldest first."""


# --- Updates and signals --------------------------------------------------------------------------


class Decision(Message):
    """`approve` or `reject`."""

    by: str = Field(min_length=1, max_length=128)
    evidence: str = Field(description="The hash of the evidence that was looked at.")
    reason: str = Field(default="", max_length=1_000)


class OperatorCommand(Message):
    """`retry` or `abort`."""

    by: str = Field(min_length=1, max_length=128)
    reason: str = Field(default="", max_length=1_000)


class Receipt(Message):
    """The answer to an update that was taken."""

    text: str
    """One line: what came of it."""


# --- Activities: taskdefs -------------------------------------------------------------------------


class ReadApp(Message):
    """Input of `read_app`."""

    app: AppRef
    image: str


class AppSnapshot(Message):
    """The application's files, read at one commit of the deployment branch, checked against each other."""

    commit: str
    spec: ModelPromotion
    ecs: EcsApp
    handler: EventHandler
    """What the event watcher of `spec.git.event` does: which file and field, and the commit message."""
    warnings: tuple[str, ...] = ()


class WriteImage(Message):
    """Input of `write_image`."""

    app: AppRef
    promotion_id: str
    handler: EventHandler
    event: str
    image: str
    requested_by: str
    source_commit: str


class TaskdefCommit(Message):
    """The commit that carries the image. `changed` is false where the file held it before; `commit` is the branch's head then."""

    commit: str
    changed: bool
    file: str
    before: str
    after: str


class RevertImage(Message):
    """Input of `revert_image`."""

    app: AppRef
    promotion_id: str
    reason: str


class Compensation(Message):
    """Result of every activity that undoes something."""

    state: LedgerState
    note: str


# --- Activities: images ---------------------------------------------------------------------------


class ResolveImage(Message):
    """Input of `resolve_image`: an image in ECR, by digest."""

    image: str


class ResolvedImage(Message):
    """An image that is there."""

    image: str
    media_type: str
    size: int = Field(description="Bytes, compressed, as ECR counts them.")
    pushed_at: datetime


class CheckScan(Message):
    """Input of `check_scan`."""

    image: str
    policy: Scan


class ScanVerdict(Message):
    """A scan that let the image pass."""

    status: str
    counts: dict[str, int]
    """Findings by severity."""


class CopyImage(Message):
    """Input of `copy_image`."""

    source: str
    target_repository: str = Field(description="<account>.dkr.ecr.<region>.amazonaws.com/<repository>")
    tag: str


class CopiedImage(Message):
    """The image in the target repository, by digest."""

    image: str
    copied_blobs: int
    skipped_blobs: int
    copied_bytes: int


# --- Activities: tasks ----------------------------------------------------------------------------


class RegisterTaskDefinition(Message):
    """Input of `register_task_definition`: the file at one commit."""

    app: AppRef
    commit: str
    file: str
    region: str
    image: str
    """The image that the file must hold: the digest that was promoted."""


class RegisteredTaskDefinition(Message):
    """One revision."""

    arn: str
    containers: tuple[str, ...]
    reused: bool


class RunTask(Message):
    """Input of `run_task`."""

    promotion_id: str
    attempt: int
    """The number of this launch, counted through the promotion: each has a client token of its own."""
    task_definition: RegisteredTaskDefinition
    ecs: EcsApp


class StartedTask(Message):
    """A task that ECS accepted."""

    arn: str
    cluster: str
    started_at: datetime


class FollowTask(Message):
    """Input of `follow_task`."""

    task: StartedTask
    timeout: timedelta


class ContainerExit(Message):
    """How one container ended."""

    name: str
    exit_code: int | None
    reason: str = ""


class TaskVerdict(Message):
    """A task that stopped by no fault of its program: every essential container with exit code 0, or ended by the platform."""

    arn: str
    containers: tuple[ContainerExit, ...]
    seconds: float
    log_tail: tuple[str, ...]
    ended_by_platform: str | None = None
    """What ECS said, where the platform ended the task before its program did: another run is worth a try."""


class StopTask(Message):
    """Input of `stop_task`."""

    task: StartedTask
    reason: str


# --- Activities: pipelines and registry -----------------------------------------------------------


class FindExecution(Message):
    """Input of `find_execution`."""

    pipeline: str
    promotion_id: str
    region: str
    started_after: datetime
    within: timedelta = timedelta(minutes=1)
    """How long the execution may not be listed yet."""


class Execution(Message):
    """A pipeline execution."""

    arn: str
    region: str
    display_name: str


class FollowExecution(Message):
    """Input of `follow_execution`."""

    execution: Execution
    timeout: timedelta


class StepReport(Message):
    """One step of an execution."""

    name: str
    kind: str
    status: str
    seconds: float | None = None
    arn: str | None = None
    cached_from: str | None = None
    outcome: str = ""
    """What a condition came to: `True` or `False`."""
    failure: str = ""


class ExecutionVerdict(Message):
    """An execution that succeeded."""

    steps: tuple[StepReport, ...]


class FindModelPackage(Message):
    """Input of `find_model_package`."""

    execution: Execution
    group: str


class ModelPackage(Message):
    """A package of the registry, found by lineage."""

    arn: str
    version: int
    region: str


class SetApproval(Message):
    """Input of `set_approval`."""

    package: ModelPackage
    status: str
    description: str


class ApprovalSet(Message):
    """The package's approval, before and after."""

    before: str
    after: str


class WithdrawApproval(Message):
    """Input of `withdraw_approval`: the package becomes `Rejected` with the reason."""

    package: ModelPackage
    reason: str


# --- Activities: evidence -------------------------------------------------------------------------


class GatherEvidence(Message):
    """Input of `gather_evidence`."""

    promotion_id: str
    app: AppRef
    package: ModelPackage
    gates: tuple[Gate, ...]
    targets: tuple[Target, ...]
    image: str
    taskdef: TaskdefCommit
    steps: tuple[StepReport, ...]


class Champion(Message):
    """What a target serves now."""

    target: Target
    package: str | None
    metrics: dict[str, float]


class Evidence(Message):
    """What an approver looks at. `hash` is over all the other members, and a decision names it."""

    hash: str
    package: ModelPackage
    model_image: str
    """The container that would serve, by digest."""
    metrics: dict[str, float]
    champions: tuple[Champion, ...]
    gates: tuple[GateResult, ...]
    image: str
    taskdef: TaskdefCommit
    steps: tuple[StepReport, ...]
    rollback_plan: str


# --- Rollout --------------------------------------------------------------------------------------


class RolloutRequest(Message):
    """Input of RolloutWorkflow: one package to one target."""

    promotion_id: str
    app: AppRef
    spec_commit: str
    package: ModelPackage
    target: Target
    variant: Variant
    strategy: Strategy
    smoke_payload: str | None = None
    """Path of the smoke request's body in the app's folder."""
    smoke_content_type: str = "application/json"
    region: str
    previous_config: str | None = None
    """What preflight found: a second try must not take the first one's config for the former. None creates the endpoint."""


class RolloutEnd(StrEnum):
    """How a rollout ended."""

    served = "served"
    rolled_back = "rolled-back"


class RolloutResult(Message):
    """Result of RolloutWorkflow."""

    end: RolloutEnd
    served: ServedEndpoint
    reason: str = ""


class EndpointPlan(Message):
    """Names and settings of one rollout; derived from package and target, so that a retry makes the same."""

    promotion_id: str
    package: ModelPackage
    target: Target
    region: str
    variant: Variant
    strategy: Strategy
    model: str
    config: str


class Preflight(Message):
    """What was found at the target before anything is changed."""

    exists: bool
    current_config: str | None
    current_package: str | None
    warnings: tuple[str, ...] = ()
    """As: a one-instance variant cannot take a canary of 25 %: the update is all at once."""


class UpdateEndpoint(Message):
    """Input of `update_endpoint`."""

    plan: EndpointPlan
    previous_config: str | None = Field(description="What preflight found; None creates the endpoint.")


class UpdateStarted(Message):
    """An endpoint that is being created or updated, or serves the plan's config already."""

    created: bool


class FollowEndpoint(Message):
    """Input of `follow_endpoint`."""

    plan: EndpointPlan
    timeout: timedelta


class EndpointVerdict(Message):
    """What is served when the endpoint came to rest, by the config it names."""

    end: RolloutEnd
    config: str
    package: str | None
    reason: str = ""


class Smoke(Message):
    """Input of `smoke_endpoint`."""

    plan: EndpointPlan
    app: AppRef
    commit: str
    payload: str
    content_type: str


class SmokeAnswer(Message):
    """The answer of the model that is served. A model that fails to answer is a verdict, not an error: `ok` is false then."""

    ok: bool
    body: str
    content_type: str
    variant: str
    milliseconds: float
    error: str = ""
    """What the model or the endpoint said instead of an answer."""


class RestoreEndpoint(Message):
    """Input of `restore_endpoint`: back to the former config; an endpoint that this promotion created is deleted."""

    plan: EndpointPlan
    previous_config: str | None
    reason: str
