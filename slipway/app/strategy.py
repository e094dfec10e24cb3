"""How traffic moves to a new model, as `promotion.yaml` says it.

The bounds are those of SageMaker's `UpdateEndpoint`: `BlueGreenUpdatePolicy` and `RollingUpdatePolicy` in its API reference, and
"Deployment guardrails" with its "Exclusions" in the developer guide.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field

from slipway.app.durations import Duration, between
from slipway.app.rules import Bounds, rule
from slipway.app.spec_model import SpecModel
from slipway.app.watched_metrics import WatchedMetric
from slipway.text import pluralize

Kind = Literal["canary", "linear", "rolling"]
KINDS: tuple[Kind, ...] = ("canary", "linear", "rolling")
PERCENT = 100
SMALLEST_BATCH, LARGEST_BATCH = 5, 50
"""The bounds of a rolling update's batch, in percent of the fleet."""
LEAST_BATCHES = 2
"""How many batches of half of the fleet there are."""


class Canary(SpecModel):
    """Traffic in two steps: a part first, the rest after a wait."""

    percent: Annotated[int, Bounds(ge=1, le=50)]
    """The part of the new fleet's capacity that takes traffic first."""
    wait: Annotated[Duration, between("0s", "1h")] = timedelta(minutes=10)
    """How long the part is watched before the rest follows."""


class Linear(SpecModel):
    """Traffic in equal steps."""

    percent: Annotated[int, Bounds(ge=10, le=50)]
    """The size of one step."""
    wait: Annotated[Duration, between("0s", "1h")] = timedelta(minutes=10)
    """How long each step is watched."""


class Rolling(SpecModel):
    """The fleet is replaced batch by batch, for a fleet that cannot be doubled: new instances take the place of old ones.

    Each batch is 5 to 50 % of the fleet. There is none for serverless endpoints and for several production variants.
    """

    percent: Annotated[int, Bounds(ge=SMALLEST_BATCH, le=LARGEST_BATCH)] | None = None
    """The size of one batch, in percent of the fleet. Or `instances`."""
    instances: Annotated[int, Bounds(ge=1, le=500)] | None = None
    """The size of one batch, in instances. Or `percent`, which also fits a fleet that grows and shrinks."""
    wait: Annotated[Duration, between("0s", "1h")] = timedelta(minutes=10)
    """How long each batch is watched, the last one too."""
    rollback_percent: Annotated[int, Bounds(ge=SMALLEST_BATCH, le=PERCENT)] | None = None
    """The size of a batch when SageMaker rolls back. Neither this nor `rollbackInstances`: all at once."""
    rollback_instances: Annotated[int, Bounds(ge=1, le=1_000)] | None = None
    """The same in instances."""

    @rule
    def _says_each_size_once(self) -> None:
        """One of `percent` and `instances`; at most one of `rollbackPercent` and `rollbackInstances`."""
        if (self.percent is None) == (self.instances is None):
            raise ValueError("needs one of percent and instances")
        if self.rollback_percent is not None and self.rollback_instances is not None:
            raise ValueError("has both rollbackPercent and rollbackInstances; keep one")

    def batches(self, fleet: int) -> int:
        """How many batches replace a fleet.

        Args:
            fleet: Its instances.
        """
        return -(-fleet // self.instances) if self.instances else -(-PERCENT // (self.percent or PERCENT))

    def problem(self, fleet: int) -> str:
        """Why SageMaker would refuse these batches; empty if it takes them.

        Args:
            fleet: Instances of the variant.
        """
        bounds = ((self.instances, LARGEST_BATCH, "a batch"), (self.rollback_instances, PERCENT, "a batch of a rollback"))
        for instances, largest, what in bounds:
            if instances and not SMALLEST_BATCH * fleet <= PERCENT * instances <= largest * fleet:
                sized = pluralize(instances, "instance")
                return f"{what} is {sized} of {fleet}, and SageMaker takes {SMALLEST_BATCH} to {largest} % of the fleet"
        return ""


class Strategy(SpecModel):
    """How traffic moves to the new model. Without `canary`, `linear` and `rolling` all of it moves at once."""

    canary: Canary | None = None
    """Two steps. Not together with `linear` or `rolling`."""
    linear: Linear | None = None
    """Equal steps. Not together with `canary` or `rolling`."""
    rolling: Annotated[Rolling | None, Field(exclude_if=lambda rolling: rolling is None)] = None
    """Batches of instances, without a second fleet. Not together with `canary`, `linear` or `bake`."""
    bake: Annotated[Duration, between("0s", "1h")] = timedelta(0)
    """How long the old fleet is kept after all traffic has moved."""
    alarms: Annotated[tuple[Annotated[str, Bounds(min_length=1, max_length=255)], ...], Bounds(max_length=10)] = ()
    """CloudWatch alarms that roll the update back when one goes off. Without any, nothing is rolled back by AWS."""
    metrics: Annotated[tuple[WatchedMetric, ...], Bounds(max_length=10), Field(exclude_if=lambda metrics: not metrics)] = ()
    """Metrics of the new model that Slipway watches during the update and the soaks. One that breaches puts the target back: an
    update is stopped by one of `alarms`, and where there are none, it has to end first."""
    timeout: Annotated[Duration, between("10m", "8h")] = timedelta(hours=8)
    """How long the whole update may take (`MaximumExecutionTimeoutInSeconds`)."""

    @rule
    def _fits_sagemaker(self) -> None:
        """One of `canary`, `linear` and `rolling`, and no bake with `rolling`; all waits together are shorter than `timeout`."""
        kinds = [kind for kind in KINDS if getattr(self, kind)]
        if len(kinds) > 1:
            raise ValueError(f"has both {kinds[0]} and {kinds[1]}; keep one")
        if self.rolling and self.bake:
            raise ValueError("has rolling and bake: a rolling update keeps no old fleet, and watches each batch for its wait")
        if self.waits >= self.timeout:
            raise ValueError("has waits and bake that together take as long as its timeout")

    @property
    def kind(self) -> Kind | None:
        """How it is more careful than all at once."""
        return next((kind for kind in KINDS if getattr(self, kind)), None)

    @property
    def waits(self) -> timedelta:
        """The least time that an update takes: every wait and the bake."""
        if self.canary:
            return self.canary.wait + self.bake
        if self.linear:
            steps = -(-100 // self.linear.percent)
            return self.linear.wait * (steps - 1) + self.bake
        if self.rolling:
            return self.rolling.wait * self.rolling.batches(LEAST_BATCHES * (self.rolling.instances or 1))
        return self.bake
