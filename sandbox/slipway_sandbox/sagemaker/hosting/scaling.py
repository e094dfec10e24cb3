"""SageMaker's variants, as Application Auto Scaling sees them."""

from __future__ import annotations

import time

from slipway_sandbox.core.calls import Caller
from slipway_sandbox.core.clock import Clock
from slipway_sandbox.sagemaker.hosting.endpoints import EndpointRoom
from slipway_sandbox.sagemaker.hosting.metrics import Metrics


class HostedVariants:
    """Looks at variants and resizes them.

    Args:
        clock: Says how long a simulated minute lasts.
        room: The endpoints.
        metrics: What their invocations came to.
    """

    def __init__(self, clock: Clock, room: EndpointRoom, metrics: Metrics) -> None:
        self._clock = clock
        self._room = room
        self._metrics = metrics

    def instances(self, caller: Caller, endpoint: str, variant: str) -> int | None:
        """How many instances a variant has, or None where there is no such variant, or a serverless one."""
        with self._room.lock:
            found = self._room.endpoints.find(caller, endpoint)
            capacity = found.served.capacities.get(variant) if found else None
            return None if capacity is None or capacity.serverless else capacity.instances

    def invocations(self, caller: Caller, endpoint: str, variant: str, seconds: float) -> float | None:
        """Invocations for each instance in the last so many simulated seconds; None where there were none."""
        dimensions = frozenset({("EndpointName", endpoint), ("VariantName", variant)})
        now = time.time()
        series = (caller.account, caller.region, "InvocationsPerInstance", dimensions)
        values = self._metrics.values(series, now - self._clock.real(seconds), now)
        return sum(values) if values else None

    def scale(self, caller: Caller, endpoint: str, variant: str, instances: int) -> bool:
        """Change a variant's instances, unless its endpoint is busy."""
        return self._room.scale(caller, endpoint, variant, instances)
