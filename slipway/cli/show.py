"""Draws promotions and evidence on a terminal; what is said is in slipway/view.py."""

from __future__ import annotations

from datetime import UTC, datetime

from rich.console import Group
from rich.table import Table
from rich.text import Text

from slipway.api import Evidence, Outcome, PromotionStatus, StageState
from slipway.view import end_lines, evidence_facts, format_number, request_line, stage_view, waiting_lines

STYLES = {
    StageState.pending: "dim",
    StageState.running: "cyan",
    StageState.waiting: "yellow",
    StageState.parked: "yellow",
    StageState.done: "green",
    StageState.failed: "red",
}


def show_status(status: PromotionStatus, progress: tuple[str, ...] = (), link: str = "") -> Group:
    """The whole promotion.

    Args:
        status: Its status.
        progress: What its activities say they do right now.
        link: Its page in the Temporal UI.
    """
    parts = [Text(status.id, style="bold"), Text(status.image), Text(request_line(status), style="dim")]
    if link:
        parts.append(Text(link, style="dim"))
    below = [Text(f"  {line}", style="cyan") for line in progress]
    if status.waiting_for:
        headline, *others = waiting_lines(status.waiting_for)
        below += [Text(headline, style="yellow"), *map(Text, others)]
    below += [Text(f"  {notice}", style="dim") for notice in status.notices]
    if status.outcome:
        headline, *others = end_lines(status)
        below += [Text(headline, style="green" if status.outcome is Outcome.promoted else "red"), *map(Text, others)]
    return Group(*parts, _stages(status), *below)


def show_evidence(evidence: Evidence) -> Group:
    """What an approver looks at."""
    gates = columns("gate", "rule", "value", "champion", "met")
    for gate in evidence.gates:
        met = Text("yes", style="green") if gate.passed else Text("no", style="red")
        gates.add_row(Text(gate.metric), Text(gate.rule), format_number(gate.value), format_number(gate.champion), met)
    return Group(gates, *(Text(f"{name:<9} {value}") for name, value in evidence_facts(evidence)))


def columns(*names: str) -> Table:
    """An empty table without lines."""
    table = Table(show_edge=False, pad_edge=False, box=None, show_header=bool(names))
    for name in names:
        table.add_column(name)
    return table


def _stages(status: PromotionStatus) -> Table:
    table = columns()
    for _ in range(4):
        table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for stage in status.stages:
        view, style = stage_view(stage, datetime.now(UTC)), STYLES[stage.state]
        table.add_row(Text(view.mark, style), Text(view.name), Text(view.label, style), view.length, Text(view.summary))
    return table
