"""What commands print: people's text or JSON on standard output, warnings and errors on standard error."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from slipway.errors import FailureReport
from slipway.text import printable

PIPE_WIDTH = 1_000
"""Columns that tables may take where no terminal wraps them: cut ids and messages would be of no use to the next program."""


class SafeConsole(Console):
    """Rich's console, on which no text that strangers wrote can act on the terminal. What rich itself tells it passes."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """What is drawn, in pieces."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=printable(segment.text))


class Out:
    """Where a command prints.

    Args:
        as_json: One JSON object a line instead of text.
    """

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.console = SafeConsole(highlight=False, soft_wrap=True, emoji=False)

    @property
    def is_live(self) -> bool:
        """Whether a picture can be redrawn: on a terminal, for people."""
        return self.console.is_terminal and not self.as_json

    @property
    def can_ask(self) -> bool:
        """Whether somebody is there who sees a question and can answer it."""
        return self.is_live and sys.stdin.isatty()

    def picture(self) -> Console:
        """Where a picture is redrawn: its lines are folded, as what is beyond the terminal's edge would be lost."""
        return SafeConsole(highlight=False, emoji=False)

    def say(self, text: str) -> None:
        """A line for people; nothing where JSON is asked for."""
        if not self.as_json:
            self.console.print(text, markup=False)

    def show(self, renderable: RenderableType) -> None:
        """Something that rich draws, for people."""
        if self.as_json:
            return
        if self.console.is_terminal:
            self.console.print(renderable)
        else:
            self.show_whole(renderable)

    def show_whole(self, renderable: RenderableType) -> None:
        """The same without colours, with lines as long as they are: a terminal that is narrower wraps them."""
        self.say("\n".join(line.rstrip() for line in _lines(renderable)))

    def data(self, value: object) -> None:
        """A value for programs; nothing where text is asked for."""
        if self.as_json:
            sys.stdout.write(json.dumps(value, default=plain, separators=(",", ":")) + "\n")
            sys.stdout.flush()

    def warn(self, text: str) -> None:
        """A line on standard error."""
        if self.as_json:
            sys.stderr.write(json.dumps({"warning": text}) + "\n")
        else:
            SafeConsole(stderr=True, highlight=False, soft_wrap=True, emoji=False).print(f"warning: {text}", markup=False)


def _lines(renderable: RenderableType) -> list[str]:
    console = SafeConsole(file=io.StringIO(), highlight=False, soft_wrap=True, emoji=False, width=PIPE_WIDTH)
    with console.capture() as drawn:
        console.print(renderable)
    return drawn.get().splitlines()


def plain(value: Any) -> Any:
    """A model as JSON has it."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    return str(value)


def print_error(report: FailureReport, *, as_json: bool) -> None:
    """One block on standard error."""
    if as_json:
        sys.stderr.write(json.dumps({"error": report.model_dump(mode="json")}) + "\n")
        return
    console = SafeConsole(stderr=True, highlight=False, soft_wrap=True, emoji=False)
    for name, text in (("tried", report.tried), ("answered", report.answered), ("do", report.remedy)):
        lines = text.splitlines() or [""]
        console.print(f"{name + ':':<10}{lines[0]}", markup=False, style="red" if name == "answered" else None)
        for line in lines[1:]:
            console.print(f"{'':<10}{line}", markup=False)
