"""Promotions and evidence as people read them on a terminal."""

from __future__ import annotations

from datetime import UTC, datetime

from rich.console import Group
from rich.table import Table
from rich.text import Text

from slipway.api import Evidence, LedgerEntry, Outcome, PromotionStatus, StageReport, StageState, WaitingFor

MARKS = {
    StageState.pending: ("·", "dim"),
    StageState.running: ("▶", "cyan"),
    StageState.waiting: ("?", "yellow"),
    StageState.parked: ("!", "yellow"),
    StageState.done: ("✓", "green"),
    StageState.failed: ("✗", "red"),
}


MINUTE = 60
"""Seconds, and of an hour minutes."""


def show_status(status: PromotionStatus, progress: tuple[str, ...] = ()) -> Group:
    """The whole promotion."""
    parts: list[Text | Table] = [Text(status.id, style="bold"), Text(status.image)]
    parts.append(Text(f"asked for by {status.requested_by} (claimed), commit {status.commit or 'unknown'}", style="dim"))
    parts.append(_stages(status))
    parts += [Text(f"  {line}", style="cyan") for line in progress]
    if status.waiting_for:
        parts += _waiting(status.waiting_for)
    parts += [Text(f"  {notice}", style="dim") for notice in status.notices]
    if status.outcome:
        parts += _end(status)
    return Group(*parts)


def line_of(stage: StageReport) -> str:
    """A stage in one line, for logs."""
    mark, _ = MARKS[stage.state]
    tries = f" (attempt {stage.attempts})" if stage.attempts > 1 else ""
    length = f" {took(stage)}" if stage.ended_at else ""
    summary = f": {stage.summary}" if stage.summary else ""
    return f"{mark} {stage.name} {stage.state}{tries}{length}{summary}"


def seconds(stage: StageReport) -> float:
    """How long the stage took, or has been taking."""
    if stage.started_at is None:
        return 0.0
    return ((stage.ended_at or datetime.now(UTC)) - stage.started_at).total_seconds()


def took(stage: StageReport) -> str:
    """The same for people, as `0.8 s` or `2 h 5 min`."""
    length = seconds(stage)
    if length < MINUTE:
        return f"{length:.1f} s"
    minutes, rest = divmod(int(length), MINUTE)
    hours, minutes = divmod(minutes, MINUTE)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def waiting_lines(waiting: WaitingFor) -> list[str]:
    """What it waits for, in lines."""
    until = f", until {waiting.until:%Y-%m-%d %H:%M:%S} UTC" if waiting.until else ""
    lines = [f"waits for {waiting.what} since {waiting.since:%Y-%m-%d %H:%M:%S} UTC{until}"]
    lines.append(f"who: {', '.join(waiting.who) or 'any operator'}")
    if waiting.failure:
        lines += [f"tried: {waiting.failure.tried}", f"answered: {waiting.failure.answered}", f"do: {waiting.failure.remedy}"]
    return lines + [f"$ {command}" for command in waiting.commands]


def show_evidence(evidence: Evidence) -> Group:
    """What an approver looks at."""
    gates = Table(show_edge=False, pad_edge=False, box=None)
    for column in ("gate", "rule", "value", "champion", "met"):
        gates.add_column(column)
    for gate in evidence.gates:
        met = Text("yes", style="green") if gate.passed else Text("no", style="red")
        gates.add_row(Text(gate.metric), Text(gate.rule), _number(gate.value), _number(gate.champion), met)
    champions = [f"{champion.target.endpoint} serves {champion.package or 'nothing yet'}" for champion in evidence.champions]
    facts = [
        f"model     {evidence.package.arn}",
        f"container {evidence.model_image}",
        f"image     {evidence.image}",
        f"taskdef   {evidence.taskdef.file} at {evidence.taskdef.commit[:12]}",
        *(f"champion  {line}" for line in champions),
        f"rollback  {evidence.rollback_plan}",
        f"evidence  {evidence.hash}",
    ]
    return Group(gates, *(Text(fact) for fact in facts))


def _stages(status: PromotionStatus) -> Table:
    table = Table(show_header=False, show_edge=False, pad_edge=False, box=None)
    for _ in range(4):
        table.add_column(no_wrap=True)
    table.add_column()
    for stage in status.stages:
        mark, style = MARKS[stage.state]
        tries = f" (attempt {stage.attempts})" if stage.attempts > 1 else ""
        length = took(stage) if stage.started_at else ""
        table.add_row(
            Text(mark, style=style), Text(stage.name), Text(f"{stage.state}{tries}", style=style), length, Text(stage.summary)
        )
    return table


def _waiting(waiting: WaitingFor) -> list[Text]:
    return [Text(line, style="yellow" if number == 0 else "") for number, line in enumerate(waiting_lines(waiting))]


def _end(status: PromotionStatus) -> list[Text]:
    style = "green" if status.outcome == "promoted" else "red"
    lines = [Text(f"{status.outcome}{f': {status.reason}' if status.reason else ''}", style=style)]
    if status.outcome is not Outcome.promoted:
        lines += [Text(f"  {line_of_entry(entry)}") for entry in status.ledger]
    lines += [Text(f"  {served.endpoint} ({served.region}) serves {served.package}") for served in status.endpoints]
    return lines


def line_of_entry(entry: LedgerEntry) -> str:
    """What became of one effect."""
    because = f" ({entry.note})" if entry.note else ""
    return f"{entry.stage}: {entry.inverse}: {entry.state}{because}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}"
