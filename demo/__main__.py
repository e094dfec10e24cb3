"""`make demo`: one promotion of the sample application, from CI event to answered inference request.

Environment:
    KEEP: 1 leaves everything up until Ctrl-C.
    LAUNCHER: `pipecd` lets a stand-in of PipeCD's piped run the task; `slipway` is the default.
    BAD: `accuracy`, `task` or `rollout` shows a bad promotion, and how it ends.
    CLAIMED: 1 lets the operator decide without a signature.
    DEMO_APPROVE: 1 lets the sample's operator approve, also at a terminal.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import sys
from collections.abc import Generator
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from slipway_sandbox.testing import SandboxStartError

from demo.asking import TerminalClosedError
from demo.images import ImageBuildError
from demo.processes import StartError
from demo.screen import Screen
from demo.showing import LAUNCHERS, is_kept, run
from demo.story import EXPECTED, StoryError
from demo.team import ROOT


def main() -> int:
    """Run the demo; the exit code is 0 when the ending is the expected one."""
    screen = Screen(Console(highlight=False, soft_wrap=True))
    bad = os.environ.get("BAD", "")
    if bad not in EXPECTED:
        screen.say(f"BAD={bad} is not known; it is one of: {', '.join(name for name in EXPECTED if name)}")
        return 2
    if (launcher := os.environ.get("LAUNCHER") or "slipway") not in LAUNCHERS:
        screen.say(f"LAUNCHER={launcher} is not known; it is one of: {', '.join(LAUNCHERS)}")
        return 2
    # SIGTERM ends the demo as Ctrl-C does: every child first.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = ROOT / "build" / "demo"
    try:
        with contextlib.ExitStack() as parts:
            parts.enter_context(alone_in(folder))
            clear(folder)
            code = run(parts, folder, screen, bad, launcher)
    except (ImageBuildError, StartError, SandboxStartError, StoryError, TerminalClosedError, OSError) as error:
        screen.console.print(f"[red]the demo stopped:[/] {escape(str(error))}")
        screen.say(f"logs are in {folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder}")
        return 1
    except KeyboardInterrupt:
        screen.say("interrupted; everything is stopped")
        return 130
    if is_kept():
        screen.say("everything is stopped")
    return code


@contextlib.contextmanager
def alone_in(folder: Path) -> Generator[None]:
    """Keep a second demo out of the folder while this one runs; the lock ends with the process, however that ends."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "demo.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StartError("another demo runs in this checkout: end it, or wait until it has ended") from error
        yield


def clear(folder: Path) -> None:
    """Forget the last demo; only the unpacked images stay, which go by their digests."""
    for path in folder.glob("*"):
        if path.name != "aws":
            shutil.rmtree(path) if path.is_dir() else path.unlink()


if __name__ == "__main__":
    sys.exit(main())
