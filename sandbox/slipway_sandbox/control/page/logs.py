"""The last lines of a log group's streams, as text."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from slipway_sandbox.control.page.activity import Place
from slipway_sandbox.core.world import World

LINES = 300
"""Lines of each stream."""
STREAMS = 10


def tail(world: World, place: Place, group: str, prefix: str) -> str:
    """The last lines of the streams whose names begin so, each stream after its name where there are several."""
    client = world.client("logs", place.caller)
    try:
        found = client.describe_log_streams(logGroupName=group, logStreamNamePrefix=prefix, limit=STREAMS)["logStreams"]
        parts = {stream["logStreamName"]: lines_of(client, group, stream["logStreamName"]) for stream in found}
    except (ClientError, BotoCoreError):
        return "No lines yet."
    if len(parts) == 1:
        return next(iter(parts.values())) or "No lines yet."
    return "\n\n".join(f"== {name}\n{text}" for name, text in parts.items()) or "No lines yet."


def lines_of(client: Any, group: str, stream: str) -> str:
    """The end of one stream, each line with its time."""
    answer = client.get_log_events(logGroupName=group, logStreamName=stream, limit=LINES, startFromHead=False)
    return "\n".join(f"{time_of(event)}  {event['message']}" for event in answer["events"])


def time_of(event: dict[str, Any]) -> str:
    """When a line was written, in UTC."""
    return f"{datetime.fromtimestamp(event['timestamp'] / 1000, UTC):%H:%M:%S.%f}"[:-3]
