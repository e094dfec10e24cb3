"""Draws promotions and evidence on a terminal; what is said is in slipway/view.py."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from slipway.api import Evidence, EvidenceSummary, Outcome, PromotionStatus, StageState
from slipway.app.gates import GateResult
from slipway.view import (
    GATE_COLUMNS,
    decision_line,
    end_lines,
    evidence_command,
    evidence_facts,
    gate_cells,
    problem_lines,
    request_line,
    stage_view,
    summary_lines,
    waiting_lines,
)

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
    image = [Text(status.image)] if status.image else []
    parts = [Text(status.id, style="bold"), *image, Text(request_line(status), style="dim")]
    if link:
        parts.append(Text(link, style="dim"))
    below = [Text(f"  {line}", style="cyan") for line in progress]
    if status.waiting_for:
        headline, *others = waiting_lines(status.waiting_for, status.identity)
        below += [Text(headline, style="yellow"), *map(Text, others)]
    below += [Text(f"  {decision_line(decision)}") for decision in status.decisions]
    below += [Text(f"  {notice}", style="dim") for notice in status.notices]
    if status.outcome:
        headline, *others = end_lines(status)
        parts.insert(1, Text(headline, style="green" if status.outcome is Outcome.promoted else "red"))
        below += map(Text, others)
    found = _summary(status.id, status.evidence_summary) if status.evidence_summary else ()
    return Group(*parts, _stages(status), *found, *below)


def show_evidence(evidence: Evidence, computed: str) -> Group:
    """What an approver looks at.

    Args:
        evidence: The evidence.
        computed: Its hash, computed here.
    """
    facts = Table.grid(padding=(0, 1))
    facts.add_column(no_wrap=True)
    facts.add_column(overflow="fold")
    for name, value in evidence_facts(evidence):
        facts.add_row(Text(name), Text(value))
    if evidence.hash != computed:
        facts.add_row(Text("mismatch", style="red"), Text(f"what is shown has the hash {computed}", style="red"))
    return Group(*_gates(evidence.gates), facts)


def _summary(promotion_id: str, summary: EvidenceSummary) -> Iterable[RenderableType]:
    if summary.gates:
        yield from _gates(summary.gates)
    yield from (Text(f"  {line}", style="dim") for line in summary_lines(summary))
    yield Text(f"  evidence: $ {evidence_command(promotion_id)}", style="dim")


def _gates(gates: Sequence[GateResult]) -> Iterable[RenderableType]:
    table = columns()
    for name in GATE_COLUMNS:
        # A path may be long; the numbers beside it are never broken.
        first = name == GATE_COLUMNS[0]
        table.add_column(name, no_wrap=not first, overflow="fold" if first else "ellipsis")
    table.show_header = True
    for gate in gates:
        *cells, verdict = gate_cells(gate)
        table.add_row(*map(Text, cells), Text(verdict, style="green" if gate.passed else "red"))
    yield table
    yield from (Text(line, style="red") for line in problem_lines(gates))


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
