"""What commands print: people's text or JSON on standard output, errors on standard error."""

from __future__ import annotations

import json
import sys
from typing import Any

from pydantic import BaseModel
from rich.console import Console

from slipway.errors import FailureReport

PIPE_WIDTH = 1_000
"""Columns that tables may take where no terminal wraps them."""


class Out:
    """Where a command prints.

    Args:
        as_json: One JSON object a line instead of text.
    """

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        # A pipe has no width of its own: cut ids and messages would be of no use to the next program.
        self.console = Console(highlight=False, soft_wrap=True, emoji=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)

    @property
    def is_live(self) -> bool:
        """Whether a picture can be redrawn: on a terminal, for people."""
        return self.console.is_terminal and not self.as_json

    def picture(self) -> Console:
        """Where a picture is redrawn: its lines are folded, as what is beyond the terminal's edge would be lost."""
        return Console(highlight=False, emoji=False)

    def say(self, text: str) -> None:
        """A line for people; nothing where JSON is asked for."""
        if not self.as_json:
            self.console.print(text, markup=False)

    def show(self, renderable: object) -> None:
        """Something that rich draws, for people."""
        if not self.as_json:
            self.console.print(renderable)

    def data(self, value: object) -> None:
        """A value for programs; nothing where text is asked for."""
        if self.as_json:
            sys.stdout.write(json.dumps(value, default=plain, separators=(",", ":")) + "\n")
            sys.stdout.flush()


def plain(value: Any) -> Any:
    """A model as JSON has it."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    return str(value)


def complain(report: FailureReport, *, as_json: bool) -> None:
    """One block on standard error."""
    if as_json:
        sys.stderr.write(json.dumps({"error": report.model_dump(mode="json")}) + "\n")
        return
    console = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)
    for name, text in (("tried", report.tried), ("answered", report.answered), ("do", report.remedy)):
        lines = text.splitlines() or [""]
        console.print(f"{name + ':':<10}{lines[0]}", markup=False, style="red" if name == "answered" else None)
        for line in lines[1:]:
            console.print(f"{'':<10}{line}", markup=False)
