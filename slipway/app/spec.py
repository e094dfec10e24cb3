"""`promotion.yaml`: what one application allows Slipway to do, as frozen models.

Keys are camelCase in the file and snake_case here. The reader refuses unknown keys and checks bounds and rules; a spec that a
promotion recorded loads without them (slipway/app/rules.py).
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    GetJsonSchemaHandler,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)
from pydantic_core import CoreSchema

from slipway.app.durations import Duration, between
from slipway.app.endpoint_settings import EndpointSettings, Environment
from slipway.app.metric_paths import check_metric_path
from slipway.app.rules import Bounds, file_of_the_app, rule, when_reading
from slipway.app.signers import SignedBy
from slipway.app.spec_model import Number, SpecModel
from slipway.app.strategy import Strategy
from slipway.oci.reference import REPOSITORY_URI, ImageReference, check_repository
from slipway.people import check_name, fold_name

SPEC_FILE = "promotion.yaml"
TARGETS_SIZE = 300_000
"""Bytes of all targets as JSON. Temporal takes 2 MB a message, and the evidence names each target with what it serves."""

KEPT_CONFIGS = 10
"""Former endpoint configs of a target that stay, where the spec does not say."""
MOST_KEPT = 1_000
_NAME_63 = r"^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}$"


SageMakerName = Annotated[str, Bounds(pattern=_NAME_63)]
Repository = Annotated[str, Bounds(pattern=f"^{REPOSITORY_URI}$"), when_reading(check_repository)]
RoleArn = Annotated[str, Bounds(pattern=r"^arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]{1,512}$")]
Region = Annotated[str, Bounds(pattern=r"^[a-z]{2,4}(-[a-z]+)+-[0-9]$")]
ModelGroup = Annotated[
    str,
    Bounds(
        pattern=r"^(arn:aws[a-z-]*:sagemaker:[a-z0-9-]+:[0-9]{12}:model-package-group/)?[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}$",
    ),
]
InstanceType = Annotated[str, Bounds(pattern=r"^ml\.[a-z0-9-]+\.[a-z0-9-]+$")]
MimeType = Annotated[str, Bounds(min_length=1, max_length=255, pattern=r"^[ -~]+$")]
AppFile = Annotated[str, file_of_the_app("smoke/request.json")]
Person = Annotated[str, Bounds(min_length=1, max_length=128, pattern=r"^\S(.*\S)?$"), when_reading(check_name)]


class Metadata(SpecModel):
    """Who the spec is about."""

    name: Annotated[str, Bounds(pattern=r"^[a-z0-9](-?[a-z0-9]){0,39}$")]
    """The application's name: lower-case letters, digits and single hyphens, up to 40."""


class Scan(SpecModel):
    """What ECR's scan of the image must not find."""

    fail_on: Literal["CRITICAL", "HIGH", "MEDIUM", "LOW"] = "CRITICAL"
    """The least severity that refuses the image."""
    timeout: Annotated[Duration, between("10s", "24h")] = timedelta(minutes=10)
    """How long to wait for the scan's findings."""


class Image(SpecModel):
    """Where the pipeline image comes from and where it goes."""

    source: Repository
    """The repository that CI pushes to, as `<account>.dkr.ecr.<region>.amazonaws.com/<repository>` or `ghcr.io/<owner>/<name>`,
    without a tag. Docker Hub's own images are `docker.io/library/<name>`."""
    target: Repository
    """The repository that the task pulls from. The same as `source`: nothing is copied. One outside ECR needs the cluster's ARN
    in PipeCD's file, which then says the region."""
    referrers: Literal["copy", "ignore"] = "copy"
    """What becomes of the image's signatures, SBOMs and attestations: cosign's tags and OCI's referrers. `copy`: they go where
    the image goes."""
    scan: Scan | None = None
    """Absent: the image is not held back by a scan. Only for a source in ECR."""
    signed_by: SignedBy = ()
    """One of these must have signed the image with cosign. Absent: it need not be signed, unless the worker's policy asks for
    it."""


class Event(SpecModel):
    """The event of PipeCD. Its name alone stands for it where one event watcher has that name: `event: image-update`."""

    name: Annotated[str, Bounds(min_length=1, max_length=255)]
    """The name in the event watcher's `matcher`."""
    labels: dict[str, str] | None = None
    """The labels there, all of them. Absent: whichever they are."""

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, data: Any) -> Any:
        """A text alone is the name."""
        return {"name": data} if isinstance(data, str) else data

    @model_serializer(mode="wrap")
    def _to_name(self, serialize: SerializerFunctionWrapHandler) -> Any:
        # As releases before labels read it.
        return self.name if self.labels is None else serialize(self)

    def __str__(self) -> str:
        labels = ", ".join(f"{key}: {value}" for key, value in sorted((self.labels or {}).items()))
        return f"{self.name} ({labels})" if labels else self.name


class _OrName:
    """For editors: an event may be its name alone."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [{"type": "string", "minLength": 1, "maxLength": 255}, handler(schema)]}


class Git(SpecModel):
    """How the image gets into `taskdef.yaml`."""

    config_filename: Annotated[str, Bounds(max_length=255, pattern=r"^[^/]+\.pipecd\.yaml$")] = "app.pipecd.yaml"
    """PipeCD's file in the application's folder."""
    event: Annotated[Event, _OrName()]
    """The event watcher in PipeCD's file whose handler says which file and field, and the commit message."""
    writer: Annotated[Literal["slipway", "pipecd"], Field(exclude_if=lambda writer: writer == "slipway")] = "slipway"
    """Who writes the image into the task definition's file: Slipway, once `slipway start` asks for it; or piped's event watcher,
    whose commit starts the promotion. With `pipecd` the event's value is an image of `image.source`; Slipway pushes nothing."""


class Task(SpecModel):
    """The standalone ECS task that starts the pipeline. Cluster and network come from `app.pipecd.yaml`."""

    launcher: Literal["slipway", "pipecd"] = "slipway"
    """Who runs the task: Slipway, by exact revision; or piped, whose task Slipway finds and follows."""
    timeout: Annotated[Duration, between("10s", "7d")] = timedelta(minutes=30)
    """How long the task may take until it has stopped. With the launcher `pipecd` also how long piped may take to run it."""


class Pipeline(SpecModel):
    """The SageMaker pipeline that the task starts."""

    name: Annotated[str, Bounds(pattern=r"^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,255}$")]
    """The pipeline's name."""
    timeout: Annotated[Duration, between("10s", "30d")] = timedelta(hours=24)
    """How long one execution may take."""


class Container(SpecModel):
    """The container and the contract of a package that Slipway makes."""

    image: Annotated[str, Bounds(min_length=1, max_length=255, pattern=r"^\S+$")]
    """The image that serves the model, by digest or by an immutable tag."""
    content_types: Annotated[tuple[MimeType, ...], Bounds(min_length=1, max_length=20)]
    """What a request may be, as `text/csv`."""
    response_types: Annotated[tuple[MimeType, ...], Bounds(min_length=1, max_length=20)]
    """What an answer may be, as `application/json`."""
    instance_types: tuple[InstanceType, ...] = ()
    """What it may run on. Absent: the `instanceType` of `rollout.variant`."""
    environment: Environment | None = None
    """The container's environment variables. They are shown to everybody who sees the package."""


class Report(SpecModel):
    """The evaluation report of a package that Slipway makes: the gates read their metrics there."""

    step: Annotated[str, Bounds(min_length=1, max_length=256)]
    """The processing step that wrote it."""
    output: Annotated[str, Bounds(min_length=1, max_length=64)]
    """The step's output, by the name that the pipeline's definition gives it."""
    file: Annotated[str, Bounds(min_length=1, max_length=256, pattern=r"^[^/].*$")]
    """The file in that output, as `evaluation.json`."""


class Model(SpecModel):
    """Where the pipeline registers what it trained, or what Slipway makes a package of."""

    package_group: ModelGroup
    """The model package group's name; or its ARN, where it is in another account."""
    step: Annotated[str, Bounds(min_length=1, max_length=256)] | None = None
    """The step that registers the model, where one execution registers several into the group."""
    from_step: Annotated[str, Bounds(min_length=1, max_length=256)] | None = None
    """The training step whose model Slipway registers by itself, for a pipeline that registers nothing. Needs `container`.

    A step is named by its name or display name. A `@step` function of SageMaker's SDK is named by the function, too."""
    container: Container | None = None
    """What serves the model of `fromStep`."""
    report: Report | None = None
    """Where the metrics of the model of `fromStep` are. Absent: there are none, and gates cannot be read."""

    @rule
    def _is_found_or_made(self) -> None:
        """`fromStep` and `container` go together; `report` needs them, and `step` goes without them."""
        if bool(self.from_step) != bool(self.container):
            raise ValueError("has one of fromStep and container; give both, or none")
        if self.report and not self.from_step:
            raise ValueError("has a report without fromStep: a package that the pipeline registers brings its own")
        if self.step and self.from_step:
            raise ValueError("has both step and fromStep; keep step where the pipeline registers the model by itself")


class Gate(SpecModel):
    """A rule on one metric. Every rule that is given must hold.

    A number that does not meet it refuses the promotion. Where there is no number (the metric is missing, is NaN, a boolean or
    another text), the promotion parks, and `retry` reads the gates again.

    The path to a metric has keys with dots between them: `binary_classification_metrics.auc.value`. A key may itself have dots.
    `classes[0].f1` takes the first item of a list, and `classes[?name=='cat'].f1 | [0]` the one whose name is `cat`. A path that
    has `[`, `"` or `|` is JMESPath, without its projections and functions; a key that has one of them is put in double quotes.
    """

    metric: Annotated[str, Bounds(min_length=1, max_length=256), when_reading(check_metric_path)]
    """The path to a number in the evaluation report, as `binary_classification_metrics.auc.value`."""
    min: Number | None = None
    """The least value that passes."""
    max: Number | None = None
    """The greatest value that passes."""
    max_regression: Annotated[Number, Bounds(ge=0)] | None = None
    """How much worse than the champion's the metric may be, in its own unit. Passes where there is no champion."""
    min_improvement: Annotated[Number, Bounds(ge=0)] | None = None
    """How much better than the champion's the metric must be, in its own unit. Passes where there is no champion."""
    direction: Literal["higher", "lower"] = "higher"
    """Whether a higher or a lower value is better; matters to `maxRegression` and `minImprovement`."""
    unmeasured_champion: Literal["park", "pass"] = "park"
    """What `maxRegression` and `minImprovement` do where the champion's number cannot be read: its report is gone, or lacks the
    metric. `park`: the promotion waits for an operator. `pass`: the rule passes, and the evidence says why."""

    @rule
    def _has_a_rule(self) -> None:
        """At least one of `min`, `max`, `maxRegression`, `minImprovement`; `min` not above `max`."""
        rules = (self.min, self.max, self.max_regression, self.min_improvement)
        if all(rule is None for rule in rules):
            raise ValueError("needs at least one of min, max, maxRegression, minImprovement")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("has a min above its max: nothing could pass")


class Approval(SpecModel):
    """Who decides whether a model that meets the gates is rolled out."""

    mode: Literal["manual", "auto"] = "manual"
    """`auto`: the gates alone decide."""
    approvers: tuple[Person, ...] = ()
    """Names of those who may decide."""
    quorum: Annotated[int, Bounds(ge=1, le=20)] = 1
    """How many different approvers must say yes."""
    self_approval: bool = False
    """Whether the one who asked for the promotion may approve it."""
    timeout: Annotated[Duration, between("10s", "90d")] = timedelta(hours=72)
    """After this long without a decision the promotion expires."""

    @rule
    def _can_be_decided(self) -> None:
        """Manual approval names at least `quorum` different approvers."""
        if len(set(map(fold_name, self.approvers))) != len(self.approvers):
            raise ValueError("names an approver twice")
        if self.mode == "manual" and len(self.approvers) < self.quorum:
            raise ValueError(f"asks for {self.quorum} of {len(self.approvers)} approvers: nobody could ever approve")


class Variant(SpecModel):
    """The production variant that gets the model. Everything that is not written here stays as a live endpoint has it."""

    name: Annotated[SageMakerName | None, Field(exclude_if=lambda name: name is None)] = None
    """The variant to replace. Absent: the endpoint's only one; `AllTraffic` at a new endpoint."""
    instance_type: InstanceType | None = None
    """As `ml.m5.large`. A new endpoint needs it. Absent: the type that a live endpoint has. A serverless endpoint stays
    serverless, whatever is written."""
    instance_count: Annotated[int, Bounds(ge=1, le=1_000)] = 1
    """How many instances a new endpoint starts with. An update keeps the live count."""
    execution_role_arn: RoleArn | None = None
    """The role that SageMaker assumes to read the model's image and data. A target may name its own. Absent: the role that a
    live endpoint's model has."""


class ExpectedValue(SpecModel):
    """A value that the answer, which is JSON then, must have."""

    path: Annotated[str, Bounds(min_length=1, max_length=256), when_reading(check_metric_path)]
    """Where it is: keys with dots between them, or JMESPath as in a gate, as `predictions[0].score` or `[0][0]`."""
    number: Number | None = None
    """The number that is wanted there. Not together with `text`."""
    tolerance: Annotated[Number, Bounds(ge=0)] = 0
    """How far the number may be from the one that is wanted."""
    text: Annotated[str, Bounds(max_length=1_000)] | None = None
    """The text that is wanted there."""

    @rule
    def _wants_one(self) -> None:
        """One of `number` and `text`."""
        if (self.number is None) == (self.text is None):
            raise ValueError("has neither or both of number and text; give one")


class SmokeRequest(SpecModel):
    """One request that a new model must answer before it is kept. Asynchronous endpoints cannot be asked."""

    payload: AppFile
    """The file with the request's body, in the application's folder."""
    content_type: MimeType = "application/json"
    """The request's content type."""
    tries: Annotated[int, Bounds(ge=1, le=20)] = 1
    """How often it is sent at most: the first right answer decides."""
    pause: Annotated[Duration, between("0s", "10m")] = timedelta(seconds=30)
    """How long to wait between two tries."""
    status: Annotated[int, Bounds(ge=100, le=599)] = 200
    """The HTTP status that the model must answer with."""
    values: Annotated[tuple[ExpectedValue, ...], Bounds(max_length=50)] = ()
    """What the answer must have."""
    # `schema` itself is a name of pydantic's.
    answer_schema: Annotated[AppFile | None, Field(alias="schema", exclude_if=lambda file: file is None)] = None
    """The file with the JSON Schema of the answer, which is JSON then, in the application's folder: draft 2020-12, or 7 where its
    `$schema` says so, up to 64,000 bytes. It refers to parts of itself only, its expressions are RE2's, `format` is not checked,
    and `unevaluatedProperties` and `unevaluatedItems` are not taken."""


class Target(SpecModel):
    """One endpoint in one account and region."""

    endpoint: SageMakerName
    """The endpoint's name."""
    region: Region | None = None
    """Absent: the region of the cluster's ARN in PipeCD's file; where that names the cluster alone, the region of
    `image.target`."""
    role_arn: RoleArn | None = None
    """The role that the worker assumes for the target. Absent: the worker's own."""
    execution_role_arn: RoleArn | None = None
    """The role that SageMaker assumes there. Absent: the variant's."""


class Wave(SpecModel):
    """Targets that are rolled out together."""

    soak: Annotated[Duration, between("0s", "30d")] = timedelta(0)
    """How long the wave before must have served first. The alarms of `strategy` are watched meanwhile."""
    max_concurrency: Annotated[int, Bounds(ge=1, le=50)] | None = None
    """How many of its targets may be rolled out at the same time. Absent: all of them."""
    targets: Annotated[tuple[Target, ...], Bounds(min_length=1, max_length=50)]
    """The endpoints of the wave."""


def _check_kept(keep: int | str) -> int | str:
    if isinstance(keep, int) and not 1 <= keep <= MOST_KEPT:
        raise ValueError(f"must be a whole number from 1 to {MOST_KEPT:,}, or all")
    return keep


class Rollout(SpecModel):
    """How an approved model gets to its endpoints."""

    strategy: Strategy = Strategy()
    """How traffic moves."""
    variant: Variant = Variant()
    """What the endpoint runs on."""
    settings: EndpointSettings = EndpointSettings()
    """What else the endpoints have."""
    smoke: SmokeRequest | None = None
    """Absent: no request is made."""
    waves: Annotated[tuple[Wave, ...], Bounds(min_length=1, max_length=20)]
    """Rolled out one after the other; a wave that fails stops those behind it."""
    keep: Annotated[int | Literal["all"], when_reading(_check_kept), Field(exclude_if=lambda keep: keep == KEPT_CONFIGS)] = (
        KEPT_CONFIGS
    )
    """How many endpoint configs of earlier promotions stay for each target, 1 to 1,000, beside what it serves. Once the promotion
    has ended well, older ones are removed, with their models: only what Slipway made for the target, and nothing that an endpoint
    of the account uses. `all`: nothing is removed."""
    on_failure: Literal["stop", "rollbackWave", "rollbackAll"] = "rollbackAll"
    """What follows where a target does not keep the model, or an alarm goes off during a soak. What has not begun does not begin,
    what is being updated is stopped, and both that and the target itself go back in any case. `stop`: the promotion parks.
    `rollbackWave`: the target's wave goes back, the last target first, and the promotion parks. `rollbackAll`: everything goes
    back, and the promotion ends. Of a promotion that parks, `retry` rolls out again what does not serve the model, and `abort`
    puts everything back."""

    @rule
    def _each_target_once(self) -> None:
        """No endpoint is in two waves."""
        seen: set[tuple[str, str | None, str | None]] = set()
        for target in self.targets:
            key = (target.endpoint.lower(), target.region, target.role_arn)
            if key in seen:
                raise ValueError(f"has the endpoint {target.endpoint} twice")
            seen.add(key)

    @rule
    def _targets_fit_temporal(self) -> None:
        """The targets of all waves together have at most 300,000 bytes as JSON: a promotion carries them through Temporal."""
        size = sum(len(target.model_dump_json(exclude_none=True)) for target in self.targets)
        if size > TARGETS_SIZE:
            raise ValueError(
                f"has targets of {size:,} bytes, and at most {TARGETS_SIZE:,} fit into Temporal's messages: "
                "shorten names and roles, or spread the targets over several apps"
            )

    @property
    def targets(self) -> tuple[Target, ...]:
        """The targets of all waves, in their order."""
        return tuple(target for wave in self.waves for target in wave.targets)


class Spec(SpecModel):
    """The six stages."""

    image: Image
    """Stage 1."""
    git: Git
    """Stage 2."""
    task: Task = Task()
    """Stage 3."""
    pipeline: Pipeline
    """Stage 4."""
    model: Model
    """Stage 4."""
    gates: Annotated[tuple[Gate, ...], Bounds(max_length=50)] = ()
    """Stage 5: what the metrics must meet before anybody is asked."""
    approval: Approval
    """Stage 5."""
    rollout: Rollout
    """Stage 6."""

    @property
    def package_instance_types(self) -> tuple[str, ...]:
        """The instance types that a package made by Slipway names: the container's own, else what the endpoint runs on."""
        own, served_on = self.model.container, self.rollout.variant.instance_type
        return (own.instance_types if own else ()) or ((served_on,) if served_on else ())

    @rule
    def _package_says_what_it_runs_on(self) -> None:
        """`model.container` has `instanceTypes`, or `rollout.variant` has `instanceType`."""
        if self.model.container and not self.package_instance_types:
            raise ValueError("has a model.container without instanceTypes, and no rollout.variant.instanceType; give one of them")

    @rule
    def _group_is_where_the_pipeline_is(self) -> None:
        """A `packageGroup` that is given by its ARN is in the region of `image.target`, where that is in ECR."""
        group, ecr = self.model.package_group, ImageReference.parse(self.image.target).ecr
        if ecr and group.startswith("arn:") and group.split(":")[3] != ecr.region:
            raise ValueError(f"has the package group {group} outside {ecr.region}, the region of image.target")


def group_name(group: str) -> str:
    """The name of a model package group that is given by its name or ARN."""
    return group.rpartition("/")[2]


class ModelPromotion(SpecModel):
    """The whole file."""

    api_version: Literal["slipway.dev/v1"]
    """The version of this format."""
    kind: Literal["ModelPromotion"]
    """What the file is."""
    metadata: Metadata
    """Who the spec is about."""
    spec: Spec
    """The six stages."""
