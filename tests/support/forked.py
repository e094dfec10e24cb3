"""Workers that begin as copies of a process which has imported and read everything. That is most of what a worker's start costs.

The program that people start is tested by itself (`tests/test_worker.py`), and runs in the demo.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from demo.processes import Child, Running, die_with_parent
from demo.stack import BINARIES, Crew

WORKER = str(BINARIES / "slipway-worker")
_context = get_context("forkserver")
_context.set_forkserver_preload(["worker", "tests.support.preloaded"])


class ForkingCrew(Crew):
    """A crew whose worker of today is forked. A program of another commit is started as it is."""

    def make_worker(self, *command: str) -> Child:
        kind = ForkedWorker if command == (WORKER,) else Child
        return kind("worker", [*command], self._worker_environment, self._folder)


class ForkedWorker(Child):
    """`slipway-worker` as a child process."""

    def _begin(self) -> Running:
        process = _context.Process(target=_be_worker, args=(self._environment, self._folder, self._log))
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


def _be_worker(environment: Mapping[str, str], folder: Path, log: Path) -> None:
    """Become what `slipway-worker` is with this environment, in this folder."""
    os.setsid()
    die_with_parent()
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(output, stream.fileno())
    sys.argv = [WORKER]
    from worker import main  # noqa: PLC0415 -- the process that is copied has imported it

    main()
