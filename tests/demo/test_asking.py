"""The demo's question at a terminal."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator

import pytest

from demo.asking import TerminalClosedError, ask


@pytest.fixture
def keyboard(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The other end of the terminal that the demo reads from."""
    ours, theirs = os.openpty()
    with os.fdopen(theirs) as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        yield ours
    os.close(ours)


async def is_open() -> bool:
    return True


@pytest.mark.parametrize(("typed", "answer"), [(b"y\n", True), (b"No\n", False)])
async def test_given_a_question_when_it_is_answered_then_that_is_the_answer(keyboard: int, typed: bytes, answer: bool) -> None:
    os.write(keyboard, typed)
    assert await ask("Approve?", is_open) is answer


async def test_given_a_question_when_only_enter_is_pressed_then_it_is_asked_again(
    keyboard: int, capsys: pytest.CaptureFixture[str]
) -> None:
    os.write(keyboard, b"\ny\n")
    assert await ask("Approve?", is_open) is True
    assert capsys.readouterr().out == "  Approve? [y/n]   Please answer y or n: "


async def test_given_a_question_when_it_is_decided_elsewhere_then_there_is_no_answer(keyboard: int) -> None:
    decided = asyncio.Event()

    async def waits() -> bool:
        asyncio.get_running_loop().call_soon(decided.set)
        return not decided.is_set()

    assert await ask("Approve?", waits) is None


async def test_given_a_question_when_the_terminal_is_closed_then_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with open(os.devnull) as closed:  # noqa: PTH123, ASYNC230
        monkeypatch.setattr(sys, "stdin", closed)
        with pytest.raises(TerminalClosedError, match="closed"):
            await ask("Approve?", is_open)
