"""Inputs and outputs of the endpoint activities."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import Field, JsonValue

from activities.origin import Origin
from slipway.api import AppRef, Message, ModelPackage, PackageContainer, ServedEndpoint, SignedCommand
from slipway.app.endpoint_settings import EndpointSettings
from slipway.app.spec import ExpectedValue, SmokeRequest, Target, Variant
from slipway.app.strategy import Strategy
from slipway.app.watched_metrics import WatchedMetric
from slipway.decisions.command import Delivery


class Approved(Message):
    """What people approved for one target."""

    containers: tuple[PackageContainer, ...]
    """The package's. Empty where an older release gathered the evidence."""
    champion: str | None
    """The package that the target served."""
    decisions: tuple[SignedCommand, ...] = ()
    """The signed approvals."""
    deliveries: tuple[Delivery, ...] = ()
    """The approvals whose senders Temporal's server knows."""


class PlanRollout(Message):
    """Input of `preflight`: one package to one target."""

    promotion_id: str
    package: ModelPackage
    target: Target
    region: str
    variant: Variant
    strategy: Strategy
    settings: EndpointSettings = EndpointSettings()
    """Nothing where an older release recorded the input."""
    origin: Origin | None = None
    """Absent where an older release recorded the input."""
    approved: Approved | None = None
    """What the effect is compared with. Absent where an older release recorded the input, and before the rollout begins."""
    adopted: str | None = None
    """The endpoint config, left there by no promotion, that the approvers saw and accepted; none where there was none."""


class EndpointPlan(PlanRollout):
    """A rollout with the names of what it creates. Preflight makes it; what follows, the way back too, uses what it recorded."""

    model: str
    config: str
    former: str | None = None
    """The endpoint config that was served, from which everything else is carried over. None for a new endpoint, and where an
    older release recorded the plan."""


class Scaling(Message):
    """How Application Auto Scaling looks after a variant: the arguments of the calls that set it up again."""

    target: dict[str, JsonValue]
    """Of RegisterScalableTarget."""
    policies: tuple[dict[str, JsonValue], ...] = ()
    """Of PutScalingPolicy."""
    actions: tuple[dict[str, JsonValue], ...] = ()
    """Of PutScheduledAction."""


class ChangeScaling(Message):
    """Input of the activities that take off a variant's automatic scaling and put it back."""

    plan: EndpointPlan
    scaling: Scaling


class Preflight(Message):
    """What was found at the target before anything is changed."""

    plan: EndpointPlan
    current_config: str | None
    """None: there is no endpoint yet."""
    warnings: tuple[str, ...] = ()
    """For example: the endpoint has one instance, too few for a canary: the update is all at once."""
    scaling: Scaling | None = None
    """The automatic scaling that the update needs taken off. Mostly none."""
    modified: datetime | None = None
    """When the endpoint was changed last, by SageMaker's clock. None where there is none, and where nothing was planned anew."""


class UpdateEndpoint(Message):
    """Input of `update_endpoint`."""

    plan: EndpointPlan
    previous_config: str | None = Field(description="What preflight found; None creates the endpoint.")
    previous_modified: datetime | None = None
    """When the endpoint had been changed last by then. Absent where an older release recorded the input."""


class FollowEndpoint(Message):
    """Input of `follow_endpoint`."""

    plan: EndpointPlan
    timeout: timedelta


class AlarmPlace(Message):
    """An account and region with alarms."""

    region: str
    role_arn: str | None
    """The role to look as; none for the worker's own."""


class WatchedModel(Message):
    """A new model at an endpoint, whose metrics are watched."""

    place: AlarmPlace
    endpoint: str
    variant: str | None
    """None: the only one."""
    config: str
    former: str | None
    """The config that was served before; None where there was none."""
    since: datetime
    """Since when its requests count."""


class Breach(Message):
    """A rule on a metric that a new model does not meet."""

    model: int = 0
    """The model's place among those that were watched."""
    said: str


class Unjudged(Message):
    """A rule on a metric that could not be judged."""

    model: int = 0
    """The model's place among those that were watched."""
    rule: int
    """The rule's place in the spec."""
    said: str


class EndpointVerdict(Message):
    """What the endpoint serves after the deployment, by the config that it names."""

    end: RolloutEnd
    config: str
    package: str | None
    reason: str = ""
    stopped: bool = False
    """Whether the update is still under way, and is to be stopped: a metric breaches its rule."""
    unjudged: tuple[Unjudged, ...] = ()
    """Rules on metrics that could not be judged."""


class Smoke(Message):
    """Input of `smoke_endpoint`."""

    plan: EndpointPlan
    app: AppRef
    commit: str
    payload: str
    content_type: str
    status: int = 200
    """The HTTP status that is wanted."""
    values: tuple[ExpectedValue, ...] = ()
    """What the answer must have."""
    answer_schema: str | None = None
    """Path of the answer's JSON Schema in the app's folder."""


class SmokeAnswer(Message):
    """The answer of the model that is served. A model that fails is a result, not an error: then `ok` is false."""

    ok: bool
    body: str
    error: str = ""
    """What the model or the endpoint said instead of an answer."""


class RestoreEndpoint(Message):
    """Input of `restore_endpoint`: restore the former config; an endpoint that this promotion created is deleted."""

    plan: EndpointPlan
    previous_config: str | None
    reason: str
    scaling: Scaling | None = None
    """The automatic scaling that the rollout takes off."""


class WatchAlarms(Message):
    """Input of `watch_alarms`."""

    places: tuple[AlarmPlace, ...]
    alarms: tuple[str, ...]
    """The alarms of each place."""
    until: datetime
    """When nobody needs to look any more."""
    origin: Origin | None = None
    models: tuple[WatchedModel, ...] = ()
    """The models whose metrics are watched, too."""
    metrics: tuple[WatchedMetric, ...] = ()
    """The rules on them."""


class FiringAlarm(Message):
    """An alarm that went off."""

    name: str
    place: AlarmPlace


class WatchedAlarms(Message):
    """Result of `watch_alarms`."""

    firing: tuple[FiringAlarm, ...] = ()
    """None where the time was over before one went off."""
    breaches: tuple[Breach, ...] = ()
    """Metrics that breached their rules, of each model as many as fit. None where the time was over before one did."""
    unjudged: tuple[Unjudged, ...] = ()
    """Rules on metrics that could not be judged, as many as fit."""


class RolloutEnd(StrEnum):
    """How a rollout ended."""

    served = "served"
    rolled_back = "rolled-back"


class RolloutRequest(Message):
    """Input of RolloutWorkflow."""

    plan: EndpointPlan
    previous_config: str | None
    """What preflight found: a second try must not take the first one's config for the former. None creates the endpoint."""
    app: AppRef
    spec_commit: str
    smoke_payload: str | None = None
    """Path of the smoke request's body in the app's folder."""
    smoke_content_type: str = "application/json"
    scaling: Scaling | None = None
    """Taken off before the update, and put back after it. None where nothing has to be, and where an older release recorded the
    input."""
    smoke: SmokeRequest | None = None
    """The whole smoke request. Absent where an older release recorded the input."""
    previous_modified: datetime | None = None
    """When the endpoint had been changed last, as preflight found it. Absent where an older release recorded the input."""


class RolloutResult(Message):
    """Result of RolloutWorkflow."""

    end: RolloutEnd
    served: ServedEndpoint
    reason: str = ""
    marked: bool = False
    """Whether the endpoint's tag says what it serves. The rollouts of older releases left that to their promotion."""
    unjudged: tuple[Unjudged, ...] = ()
    """Rules on metrics that could not be judged."""
