"""Somebody at a terminal, who types an answer to a question."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import threading
from collections.abc import Callable

PATIENCE = 40
"""Seconds after which a command that does not ask, or does not end, is killed."""


def typed(command: list[str], environment: dict[str, str], answer: bytes) -> tuple[int, str]:
    """Run a command on a terminal of 300 columns, and type an answer when it asks; returns its exit code and what it showed."""
    ours, theirs = pty.openpty()
    # A session of its own with this terminal: Ctrl-C there is a signal then.
    script = (
        "import fcntl, os, struct, sys, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
        "fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack('HHHH', 50, 300, 0, 0)); os.execvp(sys.argv[1], sys.argv[1:])"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, *command], stdin=theirs, stdout=theirs, stderr=theirs, env={**environment, "TERM": "dumb"}
    ) as asking:
        os.close(theirs)
        late = threading.Timer(PATIENCE, asking.kill)
        late.start()
        try:
            shown = _read(ours, lambda text: b"[y/n]" in text)
            os.write(ours, answer)
            shown += _read(ours, lambda _: False)
            return asking.wait(20), shown.decode()
        finally:
            late.cancel()
            asking.kill()
            os.close(ours)


def _read(terminal: int, enough: Callable[[bytes], bool]) -> bytes:
    shown = b""
    while not enough(shown):
        try:
            part = os.read(terminal, 1_000)
        except OSError:  # the command has ended
            break
        if not part:
            break
        shown += part
    return shown
