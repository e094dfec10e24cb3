"""What commands print of what strangers wrote."""

from __future__ import annotations

import io
import json

import pytest
from rich.text import Text

from slipway.cli.out import Out, SafeConsole, print_error
from slipway.cli.show import show_status
from slipway.errors import Ending, FailureReport
from tests.support.states import status_of

ATTACK = "\x1b[2J\x9b2Jgate accuracy 0.99 yes\x1b]52;c;cm0=\x07\u202e"
SHOWN = "�[2J�2Jgate accuracy 0.99 yes�]52;c;cm0=�"
"""Without the bell, which rich itself leaves out."""
EVIL = ("\x1b", "\x9b", "\x07", "\u202e")


def test_given_a_text_with_escapes_when_it_is_said_then_none_comes_out(capsys: pytest.CaptureFixture[str]) -> None:
    out = Out(as_json=False)
    out.say(ATTACK)
    out.warn(ATTACK)
    printed = capsys.readouterr()
    assert printed.out == f"{SHOWN}\n"
    assert printed.err == f"warning: {SHOWN}\n"


def test_given_an_error_with_escapes_when_it_is_printed_then_none_comes_out(capsys: pytest.CaptureFixture[str]) -> None:
    print_error(FailureReport(ending=Ending.refused, tried=ATTACK, answered=f"{ATTACK}\n{ATTACK}", remedy=ATTACK), as_json=False)
    printed = capsys.readouterr().err
    assert printed.count("gate accuracy") == 4
    assert not any(each in printed for each in EVIL)


def test_given_a_status_with_escapes_when_it_is_shown_then_none_comes_out(capsys: pytest.CaptureFixture[str]) -> None:
    Out(as_json=False).show(show_status(status_of(ATTACK), (ATTACK,), ATTACK))
    printed = capsys.readouterr().out
    assert "gate accuracy" in printed
    assert not any(each in printed for each in EVIL)


def test_given_a_terminal_when_a_styled_text_has_escapes_then_only_the_style_comes_out() -> None:
    screen = io.StringIO()
    SafeConsole(file=screen, force_terminal=True, color_system="standard").print(Text(ATTACK, style="red"))
    assert screen.getvalue() == f"\x1b[31m{SHOWN}\x1b[0m\n"


def test_given_escapes_when_json_is_printed_then_they_are_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    Out(as_json=True).data({"text": ATTACK})
    printed = capsys.readouterr().out
    assert printed.isascii()
    assert not any(each in printed for each in EVIL)
    assert json.loads(printed)["text"] == ATTACK
