"""Follows a promotion to its end, or for a while: redrawn on a terminal, each new line once elsewhere."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Protocol

from rich.console import Group
from rich.live import Live
from rich.text import Text
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from slipway.api import Outcome, PromotionStatus, StageState
from slipway.cli.common import ui_link
from slipway.cli.exits import Exit
from slipway.cli.out import Out
from slipway.cli.reading import NoWorkerError, Snapshot, read
from slipway.cli.show import show_status
from slipway.temporal.start import promotion
from slipway.view import decision_line, evidence_lines, outcome_line, stage_view, waiting_lines

REDRAW_EVERY = 0.5
"""Seconds between two looks on a terminal."""
LOOK_EVERY = 5.0
"""Seconds between two looks elsewhere: logs need no more. The end is noticed at once."""
ONE_LOOK = 5.0
"""Seconds that one look may take although the time to follow is over, so that there is something to show."""
_PASSING = {
    RPCStatusCode.UNAVAILABLE,
    RPCStatusCode.DEADLINE_EXCEEDED,
    RPCStatusCode.CANCELLED,
    RPCStatusCode.RESOURCE_EXHAUSTED,
    RPCStatusCode.ABORTED,
    RPCStatusCode.INTERNAL,
    RPCStatusCode.UNKNOWN,
}


class Screen(Protocol):
    """Where a promotion is shown while it is followed."""

    every: float
    """Seconds between two looks."""

    def show(self, snapshot: Snapshot) -> None:
        """What was seen."""
        ...

    def silence(self, who: str, since: datetime) -> None:
        """Nothing was seen."""
        ...


async def follow(client: Client, promotion_id: str, out: Out, timeout: timedelta | None) -> PromotionStatus | None:  # noqa: ASYNC109 -- it ends with the last status, not with an error
    """Show what happens until the promotion is over. A worker or a Temporal server that is away meanwhile is waited for.

    Args:
        client: Temporal.
        promotion_id: The promotion.
        out: Where to show it.
        timeout: How long at most; none for as long as it takes.

    Returns:
        The last status seen: without an outcome, or none at all, where the time was over first.

    Raises:
        SlipwayError: It cannot be read, and waiting would not help.
        RPCError: Temporal refused.
    """
    deadline = time.monotonic() + timeout.total_seconds() if timeout else None
    last: PromotionStatus | None = None
    silent_since: datetime | None = None
    with _screen(client, promotion_id, out) as screen:
        while True:
            try:
                snapshot = await asyncio.wait_for(read(client, promotion_id), _left(deadline, ONE_LOOK))
            except (NoWorkerError, RPCError, TimeoutError) as error:
                if isinstance(error, RPCError) and error.status not in _PASSING:
                    raise
                silent_since = silent_since or datetime.now(UTC)
                screen.silence(
                    "no worker answers" if isinstance(error, NoWorkerError) else "Temporal does not answer", silent_since
                )
            else:
                last, silent_since = snapshot.status, None
                screen.show(snapshot)
            if (last and last.outcome) or _left(deadline) == 0:
                return last
            await _until_over(client, promotion_id, _left(deadline, most=screen.every) or 0)


def exit_of(status: PromotionStatus | None) -> Exit:
    """The exit code of a promotion that was followed."""
    if status is None or status.outcome is None:
        return Exit.waiting
    return Exit.ok if status.outcome is Outcome.promoted else Exit.not_promoted


def _left(deadline: float | None, least: float = 0.0, most: float = float("inf")) -> float | None:
    """Seconds until the deadline; none where there is no end."""
    if deadline is None:
        return most if most < float("inf") else None
    return min(max(deadline - time.monotonic(), least), most)


async def _until_over(client: Client, promotion_id: str, seconds: float) -> None:
    """Wait, but no longer than until the promotion is over."""
    over = asyncio.create_task(promotion(client, promotion_id).result())
    ends = asyncio.get_running_loop().time() + seconds
    await asyncio.wait({over}, timeout=seconds)
    if not over.done():
        over.cancel()
    [failed] = await asyncio.gather(over, return_exceptions=True)
    if isinstance(failed, RPCError):
        await asyncio.sleep(ends - asyncio.get_running_loop().time())


@contextmanager
def _screen(client: Client, promotion_id: str, out: Out) -> Generator[Screen]:
    if not out.is_live:
        yield Lines(out)
        return
    with Live(console=out.picture(), auto_refresh=False) as live:
        yield Picture(live, ui_link(client.namespace, promotion_id))


class Picture:
    """The whole promotion, redrawn."""

    every = REDRAW_EVERY

    def __init__(self, live: Live, link: str) -> None:
        self._live = live
        self._link = link
        self._drawn = Group()

    def show(self, snapshot: Snapshot) -> None:
        self._drawn = show_status(snapshot.status, snapshot.progress, self._link)
        self._live.update(self._drawn, refresh=True)

    def silence(self, who: str, since: datetime) -> None:
        self._live.update(Group(self._drawn, Text(silence_line(who, since), style="yellow")), refresh=True)


class Lines:
    """Each line once, for logs and pipes. JSON gets the whole status at each change."""

    every = LOOK_EVERY

    def __init__(self, out: Out) -> None:
        self._out = out
        self._said: set[str] = set()
        self._last: PromotionStatus | None = None

    def show(self, snapshot: Snapshot) -> None:
        if snapshot.status != self._last:
            self._last = snapshot.status
            self._out.data(snapshot.status)
        for line in status_lines(snapshot):
            self._say(line)

    def silence(self, who: str, since: datetime) -> None:
        self._say(silence_line(who, since))

    def _say(self, line: str) -> None:
        if line not in self._said:
            self._said.add(line)
            self._out.say(line)


def silence_line(who: str, since: datetime) -> str:
    """As `no worker answers since 19:44 UTC; still waiting`."""
    return f"{who} since {since:%H:%M} UTC; still waiting"


def status_lines(snapshot: Snapshot) -> Iterable[str]:
    """Everything about a promotion, a line each."""
    status = snapshot.status
    for stage in status.stages:
        if stage.state is not StageState.pending:
            yield stage_view(stage, datetime.now(UTC)).line
    if status.evidence_summary:
        yield from (f"  {line}" for line in evidence_lines(status.evidence_summary))
    yield from (f"  {line}" for line in snapshot.progress)
    if status.waiting_for:
        yield from (f"  {line}" for line in waiting_lines(status.waiting_for, status.identity))
    yield from (f"  {decision_line(decision)}" for decision in status.decisions)
    yield from (f"  {notice}" for notice in status.notices)
    if status.outcome:
        yield f"promotion {status.id}: {outcome_line(status)}"
