"""Follows a promotion to its end, or for a while: live on a terminal, in lines elsewhere."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from contextlib import nullcontext
from datetime import timedelta

from rich.live import Live
from temporalio.client import Client

from slipway.api import PromotionStatus, StageState
from slipway.cli.out import Out
from slipway.cli.reading import Glance, read
from slipway.cli.show import line_of, show_status, waiting_lines

LOOK_EVERY = 0.5
"""Seconds between two looks."""


async def follow(client: Client, promotion_id: str, out: Out, timeout: timedelta | None) -> PromotionStatus:  # noqa: ASYNC109 -- it ends with the last status, not with an error
    """Show what happens until the promotion is over.

    Args:
        client: Temporal.
        promotion_id: The promotion.
        out: Where to show it.
        timeout: How long at the most; none for as long as it takes.

    Returns:
        The last status seen: without an outcome where the time was over first.
    """
    deadline = time.monotonic() + timeout.total_seconds() if timeout else float("inf")
    lines = Lines(out)
    with Live(console=out.picture(), auto_refresh=False) if out.is_live else nullcontext() as live:
        while True:
            glance = await read(client, promotion_id)
            if live:
                live.update(show_status(glance.status, glance.progress), refresh=True)
            else:
                lines.show(glance)
            if glance.status.outcome or time.monotonic() > deadline:
                return glance.status
            await asyncio.sleep(min(LOOK_EVERY, max(deadline - time.monotonic(), 0)))


class Lines:
    """Says each thing once, for logs and pipes. JSON gets the whole status at each change."""

    def __init__(self, out: Out) -> None:
        self._out = out
        self._said: set[str] = set()
        self._last: PromotionStatus | None = None

    def show(self, glance: Glance) -> None:
        """Say what is new."""
        if glance.status != self._last:
            self._last = glance.status
            self._out.data(glance.status)
        for line in self._lines(glance):
            if line not in self._said:
                self._said.add(line)
                self._out.say(line)

    @staticmethod
    def _lines(glance: Glance) -> Iterable[str]:
        status = glance.status
        for stage in status.stages:
            if stage.state is not StageState.pending:
                yield line_of(stage)
        yield from (f"  {line}" for line in glance.progress)
        if status.waiting_for:
            yield from (f"  {line}" for line in waiting_lines(status.waiting_for))
        yield from (f"  {notice}" for notice in status.notices)
        if status.outcome:
            yield f"promotion {status.id}: {status.outcome}{f': {status.reason}' if status.reason else ''}"
