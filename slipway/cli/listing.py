"""`slipway list`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter
from rich.table import Table
from rich.text import Text
from temporalio.client import WorkflowExecution

from slipway.cli.common import AsJson
from slipway.cli.exits import Exit
from slipway.cli.out import Out
from slipway.temporal import search_attributes as attributes
from slipway.temporal.connect import PROMOTION, connect

COLUMNS = ("id", "app", "stage", "state", "waiting_for", "started_at", "closed_at")


async def list_promotions(
    *,
    app: str | None = None,
    state: str | None = None,
    stage: str | None = None,
    target: str | None = None,
    digest: str | None = None,
    limit: Annotated[int, Parameter(name="--limit")] = 50,
    as_json: AsJson = False,
) -> int:
    """List promotions, the newest first.

    Args:
        app: Only this application's.
        state: Only those that are: running, waiting, parked, undoing, promoted, refused, rejected, expired, aborted, rolled-back.
        stage: Only those at: image, taskdef, task, pipeline, approval, rollout.
        target: Only those for this endpoint.
        digest: Only those of this image digest, as sha256:….
        limit: How many at the most.
        as_json: One promotion a line, as JSON.
    """
    out = Out(as_json=as_json)
    client = await connect()
    filters = ((attributes.APP, app), (attributes.STATE, state), (attributes.STAGE, stage), (attributes.TARGETS, target))
    query = " AND ".join(
        [f"WorkflowType = '{PROMOTION}'"]
        + [f"{key.name} = {quoted(value)}" for key, value in (*filters, (attributes.DIGEST, digest)) if value]
    )
    rows = [row_of(found) async for found in client.list_workflows(query, limit=limit)]
    for row in rows:
        out.data(row)
    out.show(table_of(rows) if rows else Text("no promotions"))
    return Exit.ok


def quoted(value: str) -> str:
    """A value as Temporal's query language has it."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def row_of(found: WorkflowExecution) -> dict[str, str]:
    """One promotion by column."""
    known = found.typed_search_attributes
    values = (
        found.id,
        known.get(attributes.APP) or "",
        known.get(attributes.STAGE) or "",
        known.get(attributes.STATE) or "",
        known.get(attributes.WAITING_FOR) or "",
        f"{found.start_time:%Y-%m-%dT%H:%M:%SZ}",
        f"{found.close_time:%Y-%m-%dT%H:%M:%SZ}" if found.close_time else "",
    )
    return dict(zip(COLUMNS, values, strict=True))


def table_of(rows: list[dict[str, str]]) -> Table:
    """The promotions in columns."""
    table = Table(show_edge=False, pad_edge=False, box=None)
    for column in COLUMNS:
        table.add_column(column.replace("_", " "), no_wrap=True)
    for row in rows:
        table.add_row(*(Text(value) for value in row.values()))
    return table
