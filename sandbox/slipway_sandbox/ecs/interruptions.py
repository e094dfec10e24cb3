"""Task interruptions that no API call causes: host failure or retirement, Spot reclaim, lack of capacity."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from slipway_sandbox.core.models import Frozen

NO_CAPACITY = "Capacity is unavailable at this time. Please try again later or in a different availability zone"
REASONS = {
    "SpotInterruption": "Your Spot Task was interrupted.",
    "TerminationNotice": "ECS is performing maintenance on the underlying infrastructure hosting the task",
    "ServiceSchedulerInitiated": "Scaling activity initiated by (deployment ecs-svc/0000000000000000000)",
    "InfrastructureHealth": "The underlying infrastructure hosting the task became unhealthy.",
}
"""What DescribeTasks shows for each. The last wording is the sandbox's own."""


class Interruption(Frozen):
    """Ends a running task from outside.

    `SpotInterruption` (of a task on FARGATE_SPOT), `TerminationNotice` and `ServiceSchedulerInitiated` (for what watches tasks
    of services) send SIGTERM and give it its stopTimeout. `InfrastructureHealth` ends it at once, and its exit codes are lost.
    """

    task: str = Field(description="The task's ARN.")
    kind: Literal["SpotInterruption", "TerminationNotice", "ServiceSchedulerInitiated", "InfrastructureHealth"]
    reason: str | None = Field(default=None, max_length=1024, description="The stoppedReason; AWS's own unless given.")


class Capacity(Frozen):
    """How many tasks a capacity provider has room for at a time; RunTask answers a failure for each that is too many."""

    account: str = Field(pattern=r"^\d{12}$")
    region: str = "us-east-1"
    provider: Literal["FARGATE", "FARGATE_SPOT"] = "FARGATE"
    tasks: int | None = Field(default=None, ge=0, description="None: as many as are asked for.")
    reason: str = Field(default=NO_CAPACITY, max_length=1024, description="The failure's reason, such as `RESOURCE:MEMORY`.")
