"""`slipway list`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from cyclopts import Parameter
from rich.table import Table
from rich.text import Text
from temporalio.client import Client, WorkflowExecution

from slipway.api import StageName
from slipway.cli.common import AsJson, ui_link
from slipway.cli.exits import Exit
from slipway.cli.out import Out
from slipway.cli.show import columns
from slipway.temporal import search_attributes as attributes
from slipway.temporal.connect import PROMOTION, connect
from slipway.temporal.runs import recorded_state
from slipway.temporal.search_attributes import State
from slipway.view import format_age

NARROW = ("id", "stage", "state", "age")
"""What fits a terminal of 80 columns beside the longest id."""
WIDE = ("id", "app", "stage", "state", "waiting_for", "age", "started_at", "closed_at")


async def list_promotions(
    *,
    app: str | None = None,
    state: State | None = None,
    stage: StageName | None = None,
    target: str | None = None,
    digest: str | None = None,
    limit: Annotated[int, Parameter(name="--limit")] = 50,
    wide: Annotated[bool, Parameter(negative="")] = False,
    as_json: AsJson = False,
) -> int:
    """List promotions, the newest first.

    Args:
        app: Filter by application, as the ids begin: the folder's name, or the repository's where the folder is its root.
        state: Filter by state.
        stage: Filter by stage.
        target: Filter by endpoint.
        digest: Filter by image digest, as sha256:….
        limit: How many at most.
        wide: Also show the application, what each waits for, and when it started and ended.
        as_json: One promotion a line, as JSON.
    """
    out, client = Out(as_json=as_json), await connect()
    filters = {
        attributes.APP.name: app,
        attributes.STATE.name: state,
        attributes.STAGE.name: stage,
        attributes.TARGETS.name: target,
        attributes.DIGEST.name: digest,
    }
    rows = await find(client, {name: str(value) for name, value in filters.items() if value}, limit)
    for row in rows:
        out.data(row)
    out.show_whole(table_of(rows, WIDE if wide else NARROW) if rows else Text("no promotions"))
    return Exit.ok


async def find(client: Client, filters: dict[str, str], limit: int) -> list[dict[str, Any]]:
    """The promotions whose search attributes have these values, the newest first."""
    query = " AND ".join([f"WorkflowType = '{PROMOTION}'", *(f"{name} = {quoted(value)}" for name, value in filters.items())])
    now = datetime.now(UTC)
    return [row_of(found, now, client.namespace) async for found in client.list_workflows(query, limit=limit)]


def quoted(value: str) -> str:
    """A value as Temporal's query language has it."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def row_of(found: WorkflowExecution, now: datetime, namespace: str) -> dict[str, Any]:
    """One promotion by column."""
    known = found.typed_search_attributes
    return {
        "id": found.id,
        "app": known.get(attributes.APP) or "",
        "stage": known.get(attributes.STAGE) or "",
        "state": recorded_state(found),
        "waiting_for": known.get(attributes.WAITING_FOR) or "",
        "age": format_age(now - found.start_time),
        "started_at": f"{found.start_time:%Y-%m-%dT%H:%M:%SZ}",
        "closed_at": f"{found.close_time:%Y-%m-%dT%H:%M:%SZ}" if found.close_time else "",
        "url": ui_link(namespace, found.id),
    }


def table_of(rows: list[dict[str, Any]], names: tuple[str, ...]) -> Table:
    """The promotions in columns."""
    table = columns(*(name.replace("_", " ") for name in names))
    for row in rows:
        table.add_row(*(Text(row[name]) for name in names))
    return table
