"""What the demo prints: a story for people, live on a terminal, plain lines elsewhere."""

from __future__ import annotations

import shlex
import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from slipway.api import Evidence, PromotionStatus, StageReport, StageState

MARKS = {
    StageState.done: "[green]✓[/]",
    StageState.failed: "[red]✗[/]",
    StageState.parked: "[yellow]![/]",
    StageState.waiting: "[yellow]?[/]",
    StageState.running: "[cyan]…[/]",
}

LONG_COMMAND = 100
"""Characters; a longer command has a line for each of its options."""
PIPE_WIDTH = 140
"""Columns of a table where there is no terminal to ask."""


class Screen:
    """Writes to a console. Off a terminal nothing is animated or coloured."""

    def __init__(self, console: Console) -> None:
        self.console = console
        if not self.console.is_terminal:
            self.console.width = PIPE_WIDTH

    @property
    def animated(self) -> bool:
        """Whether somebody watches it live."""
        # A recording keeps what stays on the screen.
        return self.console.is_terminal and not self.console.record

    def title(self, text: str) -> None:
        """A chapter's heading."""
        self.console.print(f"\n[bold]{escape(text)}[/]")

    def say(self, text: str) -> None:
        """One line of the story; may hold rich's markup."""
        self.console.print(f"  {text}")

    def command(self, *words: str) -> None:
        """A command that the story runs, as a person would type it."""
        line = shlex.join(words)
        if len(line) > LONG_COMMAND:
            line = line.replace(" --", " \\\n      --")
        self.console.print(f"  [dim]$[/] [bold]{escape(line)}[/]")

    @contextmanager
    def step(self, name: str) -> Generator[list[str]]:
        """A step that takes a while; what the caller appends to the list is printed beside its name and time."""
        notes: list[str] = []
        started = time.monotonic()
        with self.console.status(f"{name} …") if self.animated else self._announce(name):
            yield notes
        seconds = time.monotonic() - started
        self.console.print(f"  [green]✓[/] {name:<12} {seconds:6.1f} s  {escape(', '.join(notes))}")

    @contextmanager
    def _announce(self, name: str) -> Generator[None]:
        if not self.console.record:
            self.console.print(f"    {name} …")
        yield

    def stage(self, report: StageReport) -> None:
        """A stage that has just changed."""
        seconds = seconds_of(report)
        took = f"{seconds:6.1f} s" if seconds is not None and report.state is not StageState.running else " " * 8
        mark = MARKS.get(report.state, " ")
        self.console.print(f"  {mark} {report.name.value:<12} {took}  {escape(first_line(report.summary) or report.state.value)}")

    def evidence(self, evidence: Evidence) -> None:
        """What an approver decides on."""
        self.title(f"Evidence {evidence.hash}")
        self.say(f"package     {escape(evidence.package.arn)}")
        self.say(f"serves with {escape(evidence.model_image)}")
        table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
        for column in ("gate", "challenger", "champion", ""):
            table.add_column(column, justify="right" if column.startswith("ch") else "left")
        for gate in evidence.gates:
            verdict = "[green]passed[/]" if gate.passed else "[red]not met[/]"
            table.add_row(f"{gate.metric} {gate.rule}", number(gate.value), number(gate.champion), verdict)
        self.console.print(Padding(table, (0, 0, 0, 2)))
        self.say(f"rollback    {escape(evidence.rollback_plan)}")

    def summary(self, status: PromotionStatus) -> None:
        """How long each stage took."""
        self.title("Time of each stage")
        for report in status.stages:
            seconds = seconds_of(report)
            self.say(f"{report.name.value:<12} {f'{seconds:6.1f} s' if seconds is not None else '     -'}")


def seconds_of(report: StageReport, now: datetime | None = None) -> float | None:
    """How long a stage took, or has taken so far when `now` is given; None where it never started."""
    ended = report.ended_at or now
    return (ended - report.started_at).total_seconds() if report.started_at and ended else None


def first_line(text: str) -> str:
    """The first line of a text, whose others are told elsewhere."""
    return text.partition("\n")[0]


def number(value: float | None) -> str:
    """A metric as a person reads it."""
    return "-" if value is None else f"{value:.4f}"
