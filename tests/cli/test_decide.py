"""The question on a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

ASK = """\
import asyncio
from slipway.cli.decide import confirmed
from slipway.cli.out import Out

async def ask():
    confirmed("approve?", Out(as_json=False))

try:
    asyncio.run(ask())
except KeyboardInterrupt:
    raise SystemExit(130)
"""


def test_given_a_question_when_it_is_interrupted_once_then_the_command_ends() -> None:
    ours, theirs = pty.openpty()
    # A session of its own with this terminal: its Ctrl-C is a signal then.
    setup = "import fcntl, os, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
    with subprocess.Popen([sys.executable, "-c", setup + ASK], stdin=theirs, stdout=theirs, stderr=theirs) as asking:
        os.close(theirs)
        shown = b""
        while b"[y/n]" not in shown:
            shown += os.read(ours, 1_000)
        os.write(ours, b"\x03")
        try:
            code = asking.wait(10)
        finally:
            asking.kill()
            os.close(ours)
    assert code == 130
