"""Asks the person at the terminal, and notices when somebody has decided elsewhere."""

from __future__ import annotations

import asyncio
import os
import select
import sys
from collections.abc import Awaitable, Callable

LOOK_EVERY = 0.2
"""Seconds between two looks at the terminal and at the promotion."""
ANSWERS = {"y": True, "yes": True, "n": False, "no": False}


class TerminalClosedError(Exception):
    """The terminal was closed."""


async def ask(question: str, is_open: Callable[[], Awaitable[bool]]) -> bool | None:
    """The answer to a question that takes y or n; None if it was decided elsewhere meanwhile.

    Args:
        question: As it is shown.
        is_open: Whether the question is still to be decided.

    Raises:
        TerminalClosedError: The terminal was closed.
    """
    show(f"  {question} [y/n] ")
    while await is_open():
        if typed := read_line():
            answer = ANSWERS.get(typed.strip().lower())
            if answer is not None:
                return answer
            show("  Please answer y or n: ")
        await asyncio.sleep(LOOK_EVERY)
    show("\n")
    return None


def read_line() -> str:
    """What was typed, up to Enter; empty if nothing was."""
    if not select.select([sys.stdin], [], [], 0)[0]:
        return ""
    # Not by sys.stdin, which may keep a second line back where select does not see it.
    typed = os.read(sys.stdin.fileno(), 4096).decode(errors="replace")
    if not typed:
        raise TerminalClosedError("the terminal was closed while the demo asked for a decision")
    return typed


def show(text: str) -> None:
    """Print without a new line."""
    print(text, end="", flush=True)
