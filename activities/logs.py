"""What a container printed, from CloudWatch Logs."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from slipway.aws.clients import Aws
from slipway.errors import SlipwayError

log = logging.getLogger(__name__)

LINES = 20
LINE_LIMIT = 300
"""Characters of a line that are kept; a failure has room for about a thousand in all."""
SHOWN = 5
PAGES = 40
"""Pages of a log that are read as a whole; each has up to 1 MB or 10,000 lines."""


@dataclass(frozen=True)
class Stream:
    """One log stream. `region` is none where it is the resource's own."""

    group: str
    name: str
    region: str | None = None
    by_prefix: bool = False
    """`name` is only how the stream's name begins, as for SageMaker's jobs."""


async def last_lines(aws: Aws, region: str, streams: Sequence[Stream], lines: int = LINES) -> list[str]:
    """The last lines of each stream.

    A log that cannot be read is left out: it must not hide the failure that it was to explain.
    """
    found: list[str] = []
    for stream in streams:
        try:
            found += await _tail(aws, stream.region or region, stream, lines)
        except SlipwayError as error:
            log.info("the log stream %s of %s is left out: %s", stream.name, stream.group, error)
    return found


async def _tail(aws: Aws, region: str, stream: Stream, lines: int) -> list[str]:
    logs = aws.logs(region)
    tried = f"reading the log stream {stream.name} of {stream.group}"
    names = [stream.name]
    if stream.by_prefix:
        listed = await aws.call(tried, logs.describe_log_streams, logGroupName=stream.group, logStreamNamePrefix=stream.name)
        names = [name for found in listed["logStreams"] if (name := found.get("logStreamName"))]
    found: list[str] = []
    for name in names:
        answer = await aws.call(
            tried, logs.get_log_events, logGroupName=stream.group, logStreamName=name, limit=lines, startFromHead=False
        )
        found += [str(event.get("message", ""))[:LINE_LIMIT] for event in answer["events"]]
    return found[-lines:]


async def all_lines(aws: Aws, region: str, stream: Stream) -> AsyncIterator[str]:
    """A stream's lines from its beginning, up to a bound that no program's log of a few hours comes near.

    Raises:
        SlipwayError: It cannot be read.
    """
    logs = aws.logs(stream.region or region)
    token = ""
    for _ in range(PAGES):
        more: Any = {"nextToken": token} if token else {}
        answer = await aws.call(
            f"reading the log stream {stream.name} of {stream.group}",
            logs.get_log_events,
            logGroupName=stream.group,
            logStreamName=stream.name,
            startFromHead=True,
            **more,
        )
        for event in answer["events"]:
            yield str(event.get("message", ""))
        if answer["nextForwardToken"] == token:
            # The same token again is the end. An empty page is none.
            return
        token = answer["nextForwardToken"]


def log_excerpt(lines: Sequence[str]) -> str:
    """The last few lines, to end an error's text with."""
    kept = [line for line in lines if line.strip()][-SHOWN:]
    return "; its log ends with\n" + "\n".join(kept) if kept else ""
