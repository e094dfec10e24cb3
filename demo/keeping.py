"""Leaves the demo up after its end, and tells other terminals how to reach it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
import sys
from collections.abc import Callable, Generator, Mapping
from pathlib import Path

PREFIXES = ("AWS_", "TEMPORAL_", "SLIPWAY_")
OTHERS = ("AWS_PROFILE", "AWS_SESSION_TOKEN", "TEMPORAL_PROFILE", "SLIPWAY_USER", "SLIPWAY_SIGN", "SLIPWAY_SIGNING_KEY")
"""What a shell may have set, and would lead elsewhere."""


def exports(environment: Mapping[str, str], programs: Path) -> str:
    """Lines for a shell, after which `slipway`, `aws` and `temporal` work with this demo.

    Args:
        environment: An operator's.
        programs: The folder of the commands.
    """
    lines = [f"export {name}={shlex.quote(value)}" for name, value in environment.items() if name.startswith(PREFIXES)]
    return "\n".join([f"unset {' '.join(OTHERS)}", *lines, f'export PATH={shlex.quote(str(programs))}:"$PATH"']) + "\n"


async def until_interrupted(announce: Callable[[], None]) -> None:
    """Wait for Ctrl-C or SIGTERM.

    Args:
        announce: Says that it waits. Somebody who reads that may press Ctrl-C at once.
    """
    interrupted = asyncio.Event()
    loop = asyncio.get_running_loop()
    with foreground():
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, interrupted.set)
        announce()
        await interrupted.wait()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


@contextlib.contextmanager
def foreground() -> Generator[None]:
    """Take the terminal's Ctrl-C for this process alone: make would report it as an error."""
    if not sys.stdin.isatty():
        yield
        return
    # Who is not in the foreground is stopped for changing it, unless it ignores that.
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    terminal, before = sys.stdin.fileno(), os.getpgrp()
    with contextlib.suppress(OSError):  # the leader of a session has a group of its own already
        os.setpgid(0, 0)
    os.tcsetpgrp(terminal, os.getpgrp())
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # the terminal may be closed
            os.tcsetpgrp(terminal, before)
