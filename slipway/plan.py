"""The plan of a promotion that nobody has started: what it would do, stage by stage, and what would keep it from that.

Public: `slipway plan --json` prints a `PromotionPlan`. Members are added with a default, never renamed or removed.
"""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from slipway.api import AppRef, IdentityLevel, Line, Message, PromotionRequest, TaskdefCommit
from slipway.app.gates import GateBar
from slipway.differences import FieldChange
from slipway.errors import FailureReport
from slipway.findings import Finding, Level


class PlanRequest(Message):
    """Input of PlanWorkflow: a promotion as it would be asked for."""

    request: PromotionRequest
    ref: Line = Field(default="", max_length=255, description="What the files are read from; empty for the deployment branch.")

    @property
    def app(self) -> AppRef:
        """Whose plan it is."""
        return self.request.app


class ImageAction(StrEnum):
    """What becomes of the image."""

    copy_it = "copy"
    there = "already there"
    """It is in the target repository, under the tag of this promotion."""
    nothing = "none"
    """It comes from the target repository itself."""


class ImagePlan(Message):
    """Stage 1."""

    source: str
    target: str
    action: ImageAction | None = None
    """None where it is not known: a finding says why."""
    tag: str = ""
    """The tag that the copy gets."""
    scan: str = ""
    """What ECR's scan says so far; empty where the spec asks for none."""
    origin: tuple[str, ...] = ()
    """Who signed it, and what it was built from."""


class TaskdefPlan(Message):
    """Stage 2: the file that gets the image."""

    writer: str
    """`slipway`, or `pipecd` where piped's event watcher writes it."""
    files: tuple[TaskdefCommit, ...] = ()
    """Each file before and after. `commit` is the one that was read."""
    message: str = ""
    """The first line of the commit's message."""


class RevisionAction(StrEnum):
    """What becomes of the task definition."""

    register = "register"
    reuse = "reuse"
    """A revision of the same content is there."""
    by_piped = "piped"
    """piped registers it, and runs the task."""


class TaskPlan(Message):
    """Stage 3: the task definition as it is registered, and where it runs."""

    family: str
    cluster: str
    region: str
    action: RevisionAction | None = None
    """None where it is not known: a finding says why."""
    revision: str = ""
    """The ARN of the revision that is reused."""
    live: str = ""
    """The ARN of the newest revision now."""
    changes: tuple[FieldChange, ...] = ()
    """The newest revision now, compared with what is registered."""


class PipelinePlan(Message):
    """Stage 4."""

    pipeline: str
    package_group: str
    made_from: str = ""
    """The step that Slipway makes the package of; empty where the pipeline registers it."""


class ApprovalPlan(Message):
    """Stage 5: what the gates will ask of the new model, and who decides."""

    mode: str
    quorum: int = 1
    approvers: tuple[str, ...] = ()
    identity: IdentityLevel = IdentityLevel.claimed
    """How well those who approve have to be known: the policy's."""
    gates: tuple[GateBar, ...] = ()


class TargetAction(StrEnum):
    """What becomes of an endpoint."""

    create = "create"
    update = "update"


class TargetPlan(Message):
    """Stage 6, at one target."""

    endpoint: str
    region: str
    account: str = ""
    """The account of the role that the target names; empty for the worker's own."""
    wave: int
    action: TargetAction | None = None
    """None where it is not known: a finding says why."""
    champion: str | None = None
    """The package that it serves."""
    rollout: str = ""
    """How traffic moves."""
    changes: tuple[FieldChange, ...] = ()
    """The live config and model, compared with what the rollout makes; all that a new endpoint gets."""
    drift: str = ""
    """How it was changed by hand since the last promotion."""
    rescales: bool = False
    """Whether its automatic scaling is taken off for the update, and put back."""


class PromotionPlan(Message):
    """What a promotion would do. Stages that cannot be looked at, because an earlier one would be refused, are absent."""

    promotion: str
    """The id that the promotion would have."""
    app: AppRef
    asked_image: str
    """The image that was asked for, by digest."""
    ref: str = ""
    """What the files were read from; empty for the deployment branch."""
    commit: str = ""
    """The commit that was read."""
    image: ImagePlan | None = None
    taskdef: TaskdefPlan | None = None
    task: TaskPlan | None = None
    pipeline: PipelinePlan | None = None
    approval: ApprovalPlan | None = None
    rollout: tuple[TargetPlan, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def refusals(self) -> tuple[Finding, ...]:
        """What the promotion would not go on with."""
        return tuple(found for found in self.findings if found.level is Level.refuse)

    would_go: bool
    """Whether nothing was found that would stop it before people are asked."""


class PlanAnswer(Message):
    """The answer of PlanWorkflow."""

    plan: PromotionPlan | None = None
    failure: FailureReport | None = None
    """Why there is none."""
