"""A job's events: its description, and its tags."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from slipway_sandbox.core.calls import Caller
from slipway_sandbox.core.world import World
from slipway_sandbox.sagemaker.jobs.job import Job


def emit(world: World, kind: str, job: Job, described: Mapping[str, Any], tags: Mapping[str, str]) -> None:
    """Say that a job's state has changed.

    Args:
        world: Has the bus.
        kind: The kind as event types spell it, such as `Training Job`.
        job: The job.
        described: Its description.
        tags: Its tags.
    """
    detail = {name: plain(value) for name, value in described.items() if value is not None}
    caller = Caller(job.caller.account, job.caller.region, "")
    world.events.emit(caller, "aws.sagemaker", f"SageMaker {kind} State Change", {**detail, "Tags": dict(tags)}, [job.arn])


def plain(value: Any) -> Any:
    """A value in JSON; moments are milliseconds, as in SageMaker's own events of jobs."""
    match value:
        case datetime():
            return int(value.timestamp() * 1000)
        case dict():
            return {name: plain(item) for name, item in value.items() if item is not None}  # pyright: ignore[reportUnknownVariableType]
        case list():
            return [plain(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
        case _:
            return value
