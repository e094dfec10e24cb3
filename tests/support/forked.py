"""Workers and commands that begin as copies of a process which has imported and read everything: most of what a start costs.

The programs that people start are tested by themselves (`tests/test_worker.py`, `tests/cli`), and run in the demo.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from demo.processes import Child, Running, die_with_parent
from demo.stack import BINARIES, Crew

WORKER, SLIPWAY = str(BINARIES / "slipway-worker"), str(BINARIES / "slipway")
PATIENCE = 120
"""Seconds that a command of a scenario may take. None of them waits for people."""
_context = get_context("forkserver")
_context.set_forkserver_preload(["worker", "tests.support.preloaded"])


class ForkingCrew(Crew):
    """A crew whose commands and worker of today are forked. A program of another commit is started as it is."""

    def make_worker(self, *command: str) -> Child:
        kind = ForkedWorker if command == (WORKER,) else Child
        return kind("worker", [*command], self._worker_environment, self._folder)

    def slipway(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [SLIPWAY, *arguments]
        with tempfile.TemporaryDirectory() as folder:
            out, err = Path(folder) / "out", Path(folder) / "err"
            process = _context.Process(target=_become, args=(command, self._environment, self._folder, out, err))
            process.start()
            process.join(PATIENCE)
            if process.exitcode is None:
                process.kill()
                process.join()
                said = out.read_text() + err.read_text()
                raise AssertionError(f"{' '.join(command)} did not end within {PATIENCE} s; it said: {said}")
            return subprocess.CompletedProcess(command, process.exitcode, out.read_text(), err.read_text())


class ForkedWorker(Child):
    """`slipway-worker` as a child process."""

    def _begin(self) -> Running:
        process = _context.Process(target=_become, args=([WORKER], self._environment, self._folder, self._log, self._log))
        process.start()
        return _Forked(process)


class _Forked:
    """What a child needs to know of such a process."""

    def __init__(self, process: ForkServerProcess) -> None:
        assert process.pid
        self._process = process
        self.pid = process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(WORKER, timeout or 0)
        return self._process.exitcode


def _become(command: Sequence[str], environment: Mapping[str, str], folder: Path, out: Path, err: Path) -> None:
    """Become what a program is with these arguments and this environment, in this folder.

    Args:
        command: The program, which is one of ours, and its arguments.
        environment: All of it.
        folder: Where it runs.
        out: What it prints is added to this file.
        err: Its errors and log, likewise.
    """
    os.setsid()
    die_with_parent()
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    for stream, file in ((sys.stdout, out), (sys.stderr, err)):
        os.dup2(os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT), stream.fileno())
    sys.argv = [*command]
    # The process that is copied has imported both.
    from slipway.cli import main as command_line  # noqa: PLC0415
    from worker import main as work  # noqa: PLC0415

    (work if command[0] == WORKER else command_line)()
