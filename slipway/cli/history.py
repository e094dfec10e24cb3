"""`slipway history`."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated
from uuid import uuid4

from cyclopts import Parameter, Token
from rich.console import Group, RenderableType
from rich.text import Text
from temporalio.client import Client

from slipway.api import TASK_QUEUE
from slipway.cli.apps import Branch, Folder, Name, Repository, find_app
from slipway.cli.common import AsJson
from slipway.cli.exits import Exit
from slipway.cli.out import Out
from slipway.cli.reading import NoWorkerError
from slipway.cli.show import columns
from slipway.errors import NeedsPersonError
from slipway.served import History, HistoryAnswer, HistoryRequest, Served, ServedTarget
from slipway.temporal.connect import HISTORY, connect
from slipway.view import format_moment

WITHIN = 60
"""Seconds that a worker has: it reads up to a hundred packages."""
COLUMNS = ("since", "version", "promotion", "evidence", "approved by")


def _moment(_kind: object, tokens: tuple[Token, ...]) -> datetime:
    moment = datetime.fromisoformat(tokens[0].value)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


At = Annotated[
    datetime | None,
    Parameter(
        name="--at",
        converter=_moment,
        n_tokens=1,
        metavar="TIME",
        help="What served then, as 2026-01-31T12:00. Without a zone it is UTC.",
    ),
]


async def history(
    name: Name,
    /,
    *,
    at: At = None,
    repository: Repository = "",
    branch: Branch = "main",
    folder: Folder = ".",
    as_json: AsJson = False,
) -> int:
    """Show what served where and when, by which promotion and whose approval, also when Temporal has forgotten it.

    Args:
        name: The application or endpoint.
        at: The time to look at. Default: all times, and now.
        repository: Where the application is.
        branch: Where the application is.
        folder: Where the application is.
        as_json: One target a line, as JSON.
    """
    out, client = Out(as_json=as_json), await connect()
    app, endpoint = await find_app(client, name, repository, branch, folder, "history")
    found = await ask(client, HistoryRequest(app=app, endpoint=endpoint), os.environ.get("SLIPWAY_TASK_QUEUE", TASK_QUEUE))
    targets = [target if at is None else at_time(target, at) for target in found.targets]
    for target in targets:
        out.data(target)
    out.show(Group(*(part for target in targets for part in shown(target, at))))
    for notice in found.notices:
        out.warn(notice)
    return Exit.ok


async def ask(client: Client, request: HistoryRequest, task_queue: str) -> History:
    """The history, which a worker reads.

    Raises:
        NoWorkerError: No worker answered in time.
        NeedsPersonError: It could not be read.
    """
    tried = "asking a worker for the history"
    try:
        async with asyncio.timeout(WITHIN):
            answer: HistoryAnswer = await client.execute_workflow(
                HISTORY, request, id=f"history-{uuid4()}", task_queue=task_queue, result_type=HistoryAnswer
            )
    except TimeoutError as error:
        raise NoWorkerError(tried, f"none answered within {WITHIN} s", "start `slipway-worker` for its task queue") from error
    if failure := answer.failure:
        raise NeedsPersonError(failure.tried, failure.answered, failure.remedy)
    if answer.history is None:
        raise NeedsPersonError(tried, "the answer has none", "use a command and a worker of the same release")
    return answer.history


def at_time(target: ServedTarget, moment: datetime) -> ServedTarget:
    """The target as it was: the one record that counts then, and nothing of what it serves now."""
    then = target.at(moment)
    return ServedTarget(endpoint=target.endpoint, region=target.region, served=(then,) if then else ())


def shown(target: ServedTarget, at: datetime | None) -> Iterable[RenderableType]:
    """One target: what it serves now or served then, and the records."""
    place = f"{target.endpoint} ({target.region})"
    if at is None:
        yield Text(f"{place} serves {target.package or 'no package'}", style="bold")
    else:
        yield Text(f"{place} at {format_moment(at)}", style="bold")
    if target.drift:
        yield Text(f"  changed by hand: {target.drift}", style="red")
    if not target.served:
        yield Text("  nothing is recorded")
        return
    table = columns(*COLUMNS)
    for served in target.served:
        table.add_row(*map(Text, cells(served)))
    yield table


def cells(served: Served) -> tuple[str, ...]:
    """A record as a row under COLUMNS."""
    people = ", ".join(name.replace(":", " (") + ")" if ":" in name else name for name in served.by)
    return (
        format_moment(served.at),
        str(served.version),
        served.promotion,
        served.evidence,
        people or "the gates alone",
    )
