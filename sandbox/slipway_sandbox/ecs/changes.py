"""Task state changes: each one increments the task's version and becomes an event."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from slipway_sandbox.core.world import World
from slipway_sandbox.ecs.model import Task

NOT_IN_EVENTS = ("tags", "healthStatus", "fargateEphemeralStorage", "platformFamily")
INTERFACE = "eni"
"""What events call the attachment that DescribeTasks calls `ElasticNetworkInterface`."""


def tell(world: World, task: Task) -> None:
    """A task changed. Callers hold the lock."""
    task.version += 1
    world.events.emit(task.caller, "aws.ecs", "ECS Task State Change", detail_of(task, world.clock.now()), [task.arn])


def detail_of(task: Task, now: datetime) -> dict[str, Any]:
    """A task as events show it."""
    shown = {name: value for name, value in task.shown(with_tags=False).items() if name not in NOT_IN_EVENTS}
    attachments = [{**attachment, "type": INTERFACE} for attachment in shown["attachments"]]
    containers = [{name: value for name, value in c.items() if name != "healthStatus"} for c in shown["containers"]]
    return plain({**shown, "attachments": attachments, "containers": containers, "updatedAt": now})


def plain(value: Any) -> Any:
    """Times as text, and nothing that is not there."""
    match value:
        case dict():
            members: dict[str, Any] = value  # pyright: ignore[reportUnknownVariableType]
            return {name: plain(member) for name, member in members.items() if member is not None}
        case list():
            items: list[Any] = value  # pyright: ignore[reportUnknownVariableType]
            return [plain(item) for item in items]
        case datetime():
            return moment(value)
        case _:
            return value


def moment(time: datetime) -> str:
    """A time as events spell it, to the millisecond."""
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
