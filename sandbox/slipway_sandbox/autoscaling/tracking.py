"""Target tracking: variants get as many instances as their traffic needs.

As "Target tracking scaling policies" in Application Auto Scaling's user guide has it: out after three minutes above the target,
in after fifteen minutes below nine tenths of it, and never while there is no data.
"""

from __future__ import annotations

import logging
import math
import threading
import uuid
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from slipway_sandbox.autoscaling.targets import VARIANT, Policy, PolicyKey, ScalableTargets, Target
from slipway_sandbox.core.calls import Caller
from slipway_sandbox.core.world import World

log = logging.getLogger(__name__)

MINUTE = 60.0
OUT_AFTER, IN_AFTER = 3, 15
"""Minutes in a row."""
LOW_SHARE = 0.9
DEFAULT_COOLDOWN = 300
INVOCATIONS = "SageMakerVariantInvocationsPerInstance"
ACTIVITIES_KEPT = 1000


class Variants(Protocol):
    """SageMaker's variants, as Application Auto Scaling sees them."""

    def instances(self, caller: Caller, endpoint: str, variant: str) -> int | None:
        """How many instances a variant has, or None where there is no such variant."""
        ...

    def invocations(self, caller: Caller, endpoint: str, variant: str, seconds: float) -> float | None:
        """Invocations for each instance in the last so many simulated seconds; None where there were none."""
        ...

    def scale(self, caller: Caller, endpoint: str, variant: str, instances: int) -> bool:
        """Change a variant's instances, unless its endpoint is busy."""
        ...


@dataclass(frozen=True)
class Activity:
    """One change of a target."""

    id: str
    namespace: str
    resource: str
    dimension: str
    description: str
    cause: str
    started: datetime

    def shown(self) -> dict[str, Any]:
        """As DescribeScalingActivities shows it."""
        done = f"{self.description[0].lower()}{self.description[1:]}"
        return {
            "ActivityId": self.id,
            "ServiceNamespace": self.namespace,
            "ResourceId": self.resource,
            "ScalableDimension": self.dimension,
            "Description": self.description,
            "Cause": self.cause,
            "StartTime": self.started,
            "EndTime": self.started,
            "StatusCode": "Successful",
            "StatusMessage": f"Successfully {done} Change successfully fulfilled by sagemaker.",
        }


def variant_of(resource: str) -> tuple[str, str] | None:
    """Endpoint and variant of `endpoint/<name>/variant/<name>`."""
    parts = resource.split("/")
    return (parts[1], parts[3]) if len(parts) == 4 and (parts[0], parts[2]) == ("endpoint", "variant") else None  # noqa: PLR2004


def wanted_instances(minutes: Sequence[float | None], current: int, target: float) -> int:
    """How many instances a variant is to have.

    Args:
        minutes: Its metric, minute by minute, the newest last.
        current: How many it has.
        target: What the metric is to be.
    """
    above = list(minutes)[-OUT_AFTER:]
    if len(above) == OUT_AFTER and all(value is not None and value > target for value in above):
        return math.ceil(current * (above[-1] or 0.0) / target)
    below = list(minutes)[-IN_AFTER:]
    if len(below) == IN_AFTER and all(value is not None and value < LOW_SHARE * target for value in below):
        return max(1, math.ceil(current * max(value or 0.0 for value in below) / target))
    return current


class Tracker:
    """Looks at every target-tracking policy each simulated minute.

    Args:
        world: Its clock says how long a minute lasts.
        targets: The targets and policies.
        variants: What is scaled.
    """

    def __init__(self, world: World, targets: ScalableTargets, variants: Variants) -> None:
        self._world = world
        self._targets = targets
        self._variants = variants
        self._minutes: dict[PolicyKey, deque[float | None]] = defaultdict(lambda: deque(maxlen=IN_AFTER))
        self._scaled: dict[PolicyKey, float] = {}
        self._running = False
        self._lock = threading.Lock()
        self.activities: deque[tuple[str, str, Activity]] = deque(maxlen=ACTIVITIES_KEPT)
        """Account, region, and what happened; the newest last."""

    def start(self) -> None:
        """Look from now on, while there are policies."""
        with self._lock:
            if self._running:
                return
            self._running = True
        self._world.clock.call_later(MINUTE, self._minute)

    def _minute(self) -> None:
        threading.Thread(target=self._look, name="autoscaling", daemon=True).start()

    def _look(self) -> None:
        policies = self._targets.all_policies()
        for key, policy, target in policies:
            try:
                self._follow(key, policy, target)
            except Exception:
                log.exception("the policy %s could not be followed", policy.name)
        with self._lock:
            self._running = bool(policies)
            known = {key for key, _, _ in policies}
            for key in [key for key in self._minutes if key not in known]:
                del self._minutes[key]
        if policies:
            self._world.clock.call_later(MINUTE, self._minute)

    def _follow(self, key: PolicyKey, policy: Policy, target: Target) -> None:
        place = variant_of(target.resource)
        tracked = policy.configuration.get("PredefinedMetricSpecification", {}).get("PredefinedMetricType")
        if target.dimension != VARIANT or place is None or tracked != INVOCATIONS:
            return
        caller = Caller(key[0], key[1], key[0])
        minutes = self._minutes[key]
        minutes.append(self._variants.invocations(caller, *place, MINUTE))
        current = self._variants.instances(caller, *place)
        if not current:
            return
        wanted = wanted_instances(minutes, current, policy.configuration["TargetValue"])
        wanted = max(target.minimum, min(target.maximum, wanted))
        if wanted != current and self._may(key, policy, target, out=wanted > current):
            self._scale(key, policy, target, wanted)

    def _may(self, key: PolicyKey, policy: Policy, target: Target, *, out: bool) -> bool:
        if not out and policy.configuration.get("DisableScaleIn"):
            return False
        if target.suspended.get("DynamicScalingOutSuspended" if out else "DynamicScalingInSuspended"):
            return False
        cooldown = policy.configuration.get("ScaleOutCooldown" if out else "ScaleInCooldown", DEFAULT_COOLDOWN)
        since = self._scaled.get(key)
        return since is None or self._world.clock.seconds() - since >= cooldown

    def _scale(self, key: PolicyKey, policy: Policy, target: Target, wanted: int) -> None:
        caller = Caller(key[0], key[1], key[0])
        place = variant_of(target.resource)
        if place is None or not self._variants.scale(caller, *place, wanted):
            return
        self._scaled[key] = self._world.clock.seconds()
        activity = Activity(
            str(uuid.uuid4()),
            target.namespace,
            target.resource,
            target.dimension,
            f"Setting desired instance count to {wanted}.",
            f"the metric {INVOCATIONS} triggered policy {policy.name}",
            self._world.clock.now(),
        )
        self.activities.append((caller.account, caller.region, activity))
