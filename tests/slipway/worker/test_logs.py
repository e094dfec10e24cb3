"""What the worker logs on a terminal."""

from __future__ import annotations

import io
import logging
from collections.abc import Generator

import pytest

from slipway.worker.logs import set_up_logging


class Terminal(io.StringIO):
    """A terminal that keeps what it is told."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal() -> Generator[Terminal]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    terminal = Terminal()
    set_up_logging("INFO", terminal)
    yield terminal
    root.handlers[:] = handlers
    root.setLevel(level)


def test_given_a_strangers_text_when_it_is_logged_on_a_terminal_then_it_cannot_act_there(terminal: Terminal) -> None:
    log = logging.getLogger("test")
    log.warning("looking at %s failed", "apps/\x1b[2Jgone")
    log.error("failed", exc_info=ValueError("\x1b]0;title\x07"))
    said = terminal.getvalue()
    assert "apps/�[2Jgone" in said
    assert "ValueError: �]0;title�" in said
    assert "\x1b[2J" not in said
    assert "\x1b]0" not in said
