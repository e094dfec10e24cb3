"""The public contract: what the command line, CI and other people's code send to a promotion and read of it.

It stays compatible: members are added with a default, never renamed, and never removed while a client may send or read them.
Every model is frozen. Times are UTC. Image URIs carry a digest wherever a field is called `image`.
"""

from __future__ import annotations

import re
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from slipway.app.gates import GateResult
from slipway.app.spec import Target
from slipway.differences import FieldChange
from slipway.errors import FailureReport
from slipway.findings import Finding
from slipway.git.rules import app_file, normalise_url
from slipway.names import short_hash
from slipway.people import NAME_LIMIT, check_line, check_name

Line = Annotated[str, AfterValidator(check_line)]
PersonName = Annotated[str, Field(min_length=1, max_length=NAME_LIMIT), AfterValidator(check_name)]
ARN_LIMIT = 2_048
TASK_QUEUE = "slipway"
_ROLLOUTS = "-rollouts"


def rollout_queue(task_queue: str) -> str:
    """The task queue of rollouts, beside the one of promotions: their workflow is versioned otherwise (docs/architecture.md)."""
    return f"{task_queue}{_ROLLOUTS}"


def follower_queue(task_queue: str) -> str:
    """The task queue of the activities that wait for something on AWS, for promotions and rollouts alike."""
    return f"{task_queue.removesuffix(_ROLLOUTS)}-followers"


class Message(BaseModel):
    """Base of all that crosses Temporal.

    Unknown members are ignored: a newer worker, command or CI job may send members that this code does not know yet. Where people
    write by hand, as in a signal from the Temporal UI, the reader validates with `extra="forbid"`.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")


class AppRef(Message):
    """Where an application's files are: a folder on the deployment branch of a repository."""

    repository: Line = Field(max_length=1_000)
    branch: Line = Field(default="main", max_length=255)
    folder: Line = Field(default=".", max_length=1_000)


class Rollback(Message):
    """A way back to a model that was approved before, instead of a new model."""

    reason: Line = Field(min_length=1, max_length=1_000, description="Why, as approvers read it.")
    version: int | None = Field(default=None, ge=1, description="The model package's version; none for the last good one.")
    endpoint: Line = Field(default="", max_length=63, description="The one target that goes back; empty for all of the spec's.")


class PromotionRequest(Message):
    """What a sender asks for. Who may approve is not the sender's to say: that is read from the deployment branch."""

    app: AppRef
    image: Line = Field(
        max_length=1_000,
        description="The pipeline image in the source repository, by digest: <registry>/<repository>@sha256:<hex>",
    )
    commit: Line = Field(default="", max_length=128, description="The source commit that the image was built from.")
    requested_by: PersonName = Field(default="unknown", description="Who asks, as the sender claims.")
    commit_author: Line = Field(
        default="",
        max_length=NAME_LIMIT,
        description="Who wrote the source commit, as the sender claims. They may not approve it.",
    )
    attempt: int = Field(default=1, ge=1, le=999, description="Counts deliberate new promotions of the same digest.")
    rollback: Rollback | None = Field(default=None, description="Where it is a rollback: then it has no image.")

    @property
    def digest(self) -> str:
        """The image's digest, `sha256:<hex>`; empty for a rollback."""
        return self.image.rpartition("@")[2]

    @property
    def tag(self) -> str:
        """The tag that the image gets in the target repository."""
        return f"slipway-{self.digest.partition(':')[2][:12]}"

    @property
    def slug(self) -> str:
        """The application's short name, which ids begin with."""
        repository, folder = normalise_url(self.app.repository), app_file(self.app.folder)
        name = (folder or repository).rpartition("/")[2]
        return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:32].strip("-") or "app"

    @property
    def promotion_id(self) -> str:
        """The workflow id: the same app and digest give the same, so that a CI job that runs twice starts one promotion.

        Every spelling of the repository and the folder gives the same id. It fits everything that is named after it: SageMaker's
        display names (`[a-zA-Z0-9](-*[a-zA-Z0-9]){0,81}`), ECS's `startedBy` (128 characters) and client tokens.
        """
        app = (normalise_url(self.app.repository), self.app.branch, app_file(self.app.folder))
        suffix = f"-{self.attempt}" if self.attempt > 1 else ""
        if self.rollback is None:
            return f"{self.slug}-{short_hash('promotion', 1, *app, self.digest)}{suffix}"
        return f"{self.slug}-rollback-{short_hash('rollback', 1, *app, self.rollback.endpoint, self.rollback.version)}{suffix}"


class PromotionInput(PromotionRequest):
    """The workflow's input: the request and, where the promotion goes on in a new run, the state that it had."""

    carried: dict[str, Any] | None = None


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

    pending = "pending"
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


class IdentityLevel(StrEnum):
    """How well it is known who decided, the weakest first."""

    claimed = "claimed"
    """The sender says so."""
    temporal = "temporal"
    """Temporal's server says who sent it."""
    signed = "signed"
    """The person's own key signed it."""


def suffices(level: IdentityLevel, floor: IdentityLevel) -> bool:
    """Whether a level is at least the one that is needed."""
    order = list(IdentityLevel)
    return order.index(level) >= order.index(floor)


class StageReport(Message):
    """One stage as people see it."""

    name: StageName
    state: StageState = StageState.pending
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
    outcome: Outcome | None = None
    reason: str = ""
    app: AppRef
    image: str
    commit: str
    requested_by: str
    stages: tuple[StageReport, ...]
    waiting_for: WaitingFor | None = None
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
    """Warnings, refused signals and the like, oldest first."""
    evidence_summary: EvidenceSummary | None = None
    """What was found, as soon as there is evidence."""
    decisions: tuple[DecisionRecord, ...] = ()
    """The decisions that were taken, oldest first."""
    identity: IdentityLevel = IdentityLevel.claimed
    """How well the people who approve have to be known."""
    rollback: Rollback | None = None
    """Where it is a rollback."""


class Decision(Message):
    """`approve` or `reject`."""

    by: PersonName
    evidence: str = Field(max_length=128, description="The hash of the evidence that was looked at.")
    reason: str = Field(default="", max_length=1_000)


class OperatorCommand(Message):
    """`retry` or `abort`."""

    by: PersonName
    reason: str = Field(default="", max_length=1_000)
    execution: Line = Field(default="", max_length=ARN_LIMIT, description="For `retry`: the execution that the task started.")
    package: Line = Field(default="", max_length=ARN_LIMIT, description="For `retry`: the package that the execution made.")
    task: Line = Field(default="", max_length=ARN_LIMIT, description="For `retry`: the task of piped's that is to be followed.")


DOCUMENT_LIMIT = 16_000
"""Characters of a decision's document."""
SIGNATURE_LIMIT = 8_000
"""Characters of a signature: one by a certificate holds the certificate."""


class SignedCommand(Message):
    """A decision that its person signed: `approve`, `reject`, `retry` or `abort`. What it says is in the document alone."""

    document: str = Field(max_length=DOCUMENT_LIMIT, description="The canonical JSON that was signed.")
    signature: str = Field(max_length=SIGNATURE_LIMIT, description="The signature that `ssh-keygen -Y sign` made, in its armour.")


class DecisionRecord(Message):
    """A decision that a promotion took, and how it is known whose it is."""

    kind: str
    """`approve`, `reject`, `retry` or `abort`."""
    by: str
    at: datetime
    level: IdentityLevel = IdentityLevel.claimed
    evidence: str = ""
    """The hash of the evidence that was decided on; empty where there was none."""
    reason: str = ""
    document: str = ""
    """What was signed, letter for letter; empty where nothing was."""
    signature: str = ""
    fingerprint: str = ""
    """That of the key that signed, as `SHA256:…`."""
    principal: str = ""
    """Whom Temporal's server named as the sender."""


class Receipt(Message):
    """The answer to an update that was taken."""

    text: str
    """One line: what came of it."""


class Evidence(Message):
    """What an approver looks at. `hash` is over all the other members but `sha256`, and a decision names it."""

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
    containers: tuple[PackageContainer, ...] = ()
    """Every container that would serve. Empty where an older release gathered the evidence."""
    reports: tuple[ReportFile, ...] = ()
    """The package's report files as they were read."""
    smoke: str | None = None
    """The git blob of the smoke request's body."""
    smoke_schema: str | None = None
    """The git blob of the JSON Schema that its answer is held against."""
    spec_change: SpecChange | None = None
    """Who last changed `promotion.yaml`, up to the commit that counts. None where an older release gathered the evidence."""
    rollout_plan: tuple[str, ...] = ()
    """How each target is rolled out, in the order of `champions`."""
    sha256: str = ""
    """The whole checksum, of which `hash` is the beginning."""
    image_origin: ImageOrigin | None = None
    """Who signed the pipeline image, and what it was built from. None where an older release gathered the evidence."""
    purpose: str = Field(default="", exclude_if=lambda purpose: not purpose)
    """What a rollback is for; empty for a promotion."""
    findings: tuple[Finding, ...] | None = None
    """Where the rollout does something else than the spec says. None where an older release gathered the evidence."""


class ImageSigner(Message):
    """Who signed an image, as the worker verified it: the holder of a key, or an identity that Sigstore proves."""

    key: str = ""
    """The key's fingerprint, as `SHA256:…`: the SHA-256 of the public key's DER in base64."""
    subject: str = ""
    issuer: str = ""
    """Who knows the subject."""

    @property
    def line(self) -> str:
        """The signer in one line."""
        return f"key {self.key}" if self.key else f"{self.subject} (by {self.issuer})"


class BuildProvenance(Message):
    """What a build says of itself: SLSA's provenance of the image."""

    builder: str = ""
    repository: str = ""
    """The source's, as the build names it."""
    commit: str = ""
    signer: ImageSigner | None = None
    """The signer of `signedBy` whose signature is on it. None: nobody who is asked for has signed it, and it may say anything."""
    contradiction: str = ""
    """What it says otherwise than who started the promotion."""

    @property
    def line(self) -> str:
        """The provenance in one line."""
        source = f"{self.repository or 'an unnamed repository'} at {self.commit[:12] or 'an unnamed commit'}"
        builder = f" by {self.builder}" if self.builder else ""
        known = f"signed by {self.signer.line}" if self.signer else "unsigned"
        contradiction = f"; WARNING: {self.contradiction}" if self.contradiction else ""
        return f"{source}{builder} ({known}){contradiction}"


class ImageOrigin(Message):
    """Where a pipeline image comes from, by what is attached to it in its registry."""

    signers: tuple[ImageSigner, ...] = ()
    """Those of the spec's and the policy's `signedBy` who signed it. Empty: nobody is asked for."""
    provenance: tuple[BuildProvenance, ...] = ()

    @property
    def lines(self) -> tuple[str, ...]:
        """All of it, in lines."""
        return (
            *(f"signed by {signer.line}" for signer in self.signers),
            *(f"built from {provenance.line}" for provenance in self.provenance),
        )


class SpecChange(Message):
    """The commit that last changed the spec. Its author is who the commit says: git does not prove it."""

    commit: str
    author: str
    """Name and address, as `Ana <ana@example.com>`."""
    at: datetime
    """When it was committed."""

    @property
    def line(self) -> str:
        """The change in one line."""
        return f"{self.author} (claimed) at {self.at:%Y-%m-%d %H:%M:%S} UTC in {self.commit[:12]}"


class PackageContainer(Message):
    """One container of a model package."""

    image: str
    """By digest where the digest can be found."""
    artifacts: tuple[Artifact, ...] = ()
    environment: dict[str, str] = {}
    """The names of the variables, each with the SHA-256 of its value: a value may be a secret."""


class Artifact(Message):
    """A file in S3 that a container gets, or all files below a prefix."""

    uri: str
    etag: str
    """For a prefix: the SHA-256 of the list of its files with their ETags and times."""
    size: int
    modified: datetime
    """When it was written; for a prefix, its newest file."""
    version: str | None = None
    """Its version, where the bucket keeps versions."""

    @property
    def facts(self) -> str:
        """What tells it from another one in its place."""
        version = f", version {self.version}" if self.version else ""
        return f"ETag {self.etag}{version}, {self.size:,} bytes, of {self.modified:%Y-%m-%d %H:%M:%S} UTC"


class ReportFile(Message):
    """One report of a model package."""

    uri: str
    sha256: str
    """Empty where it could not be read."""
    unread: str = ""
    """Why it could not be read. No gate needs it then."""


SUMMARY_CONTAINERS = 15
SUMMARY_ENTRIES = 50
"""Gates and champions that a summary has of each: a promotion may have thousands, and its status stays small."""
ORIGIN_LINES = 6
ORIGIN_LIMIT = 1_000
"""Lines on the image's origin that a summary has, and characters of each."""
FINDINGS_SHOWN = 5
FINDING_LIMIT = 400
"""Findings that a summary has, and characters of each."""
UNMEASURED_LIMIT = 300
"""Characters of a summary's reason why a champion is not measured, or a gate cannot be read."""


class EvidenceSummary(Message):
    """The evidence in short. The query `evidence` answers with all of it."""

    gates: tuple[GateResult, ...]
    """Those that are not met first."""
    champions: tuple[ChampionSummary, ...]
    left_out: int = 0
    """How many gates and champions more there are."""
    containers: tuple[str, ...] = ()
    """The images of the first containers that would serve."""
    spec_change: str = ""
    """Who last changed the spec, when, in which commit."""
    image_origin: tuple[str, ...] = ()
    """Who signed the pipeline image, and what it was built from."""
    findings: tuple[str, ...] = ()
    """Where the rollout does something else than the spec says, a line each."""

    @classmethod
    def of(cls, evidence: Evidence) -> EvidenceSummary:
        """The summary of a whole."""
        first = sorted(evidence.gates, key=lambda gate: gate.passed)[:SUMMARY_ENTRIES]
        gates = [gate.model_copy(update={"problem": gate.problem[:UNMEASURED_LIMIT]}) for gate in first]
        plans = (*evidence.rollout_plan, *[""] * len(evidence.champions))
        shown = zip(evidence.champions[:SUMMARY_ENTRIES], plans, strict=False)
        champions = [ChampionSummary.of(champion, plan) for champion, plan in shown]
        origin = evidence.image_origin or ImageOrigin()
        left_out = len(evidence.gates) + len(evidence.champions) - len(gates) - len(champions)
        return cls(
            gates=tuple(gates),
            champions=tuple(champions),
            left_out=left_out,
            containers=tuple(container.image for container in evidence.containers[:SUMMARY_CONTAINERS]),
            spec_change=evidence.spec_change.line if evidence.spec_change else "",
            image_origin=tuple(line[:ORIGIN_LIMIT] for line in origin.lines[:ORIGIN_LINES]),
            findings=tuple(finding.line[:FINDING_LIMIT] for finding in (evidence.findings or ())[:FINDINGS_SHOWN]),
        )


class ChampionSummary(Message):
    """What a target served when the evidence was gathered, without its metrics, and how it is rolled out."""

    endpoint: str
    region: str | None = None
    """None for the region of the task."""
    package: str | None = None
    unmeasured: str = ""
    """Why nothing is known of its metrics."""
    rollout: str = ""
    drift: str = ""
    """How it differs from what the last promotion left there; empty where it does not."""

    @classmethod
    def of(cls, champion: Champion, rollout: str = "") -> ChampionSummary:
        """The summary of a whole."""
        target = champion.target
        return cls(
            endpoint=target.endpoint,
            region=target.region,
            package=champion.package,
            unmeasured=champion.unmeasured[:UNMEASURED_LIMIT],
            rollout=rollout[:UNMEASURED_LIMIT],
            drift=champion.drift[:UNMEASURED_LIMIT],
        )


class Champion(Message):
    """What a target serves now."""

    target: Target
    package: str | None
    metrics: dict[str, float]
    unmeasured: str = ""
    """Why nothing is known of its metrics."""
    drift: str = Field(default="", exclude_if=lambda drift: not drift)
    """How it differs from what the last promotion left there; empty where it does not."""
    drifted_to: str = Field(default="", exclude_if=lambda config: not config)
    """The endpoint config that it serves instead."""
    changes: tuple[FieldChange, ...] = Field(default=(), exclude_if=lambda changes: not changes)
    """What the rollout changes of the endpoint, or what a new one gets. Empty where an older release gathered the evidence."""


class ModelPackage(Message):
    """A package of the registry, found by lineage."""

    arn: str
    version: int
    region: str


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
    display_name: str = ""
    """Where it has another one than its name."""


class TaskdefCommit(Message):
    """The commit that carries the image. `changed` is false where the file held it before; `commit` is the branch's head then."""

    commit: str
    changed: bool
    file: str
    before: str
    after: str
