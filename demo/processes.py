"""Child processes that are ready when they say so, and never outlive this one."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

PR_SET_PDEATHSIG = 1


class StartError(Exception):
    """A part did not come up; the message says which, and what it printed last."""


class Running(Protocol):
    """A process that was started, as `subprocess.Popen` has it. It leads a process group of its own."""

    pid: int

    def poll(self) -> int | None:
        """Its exit code once it has ended."""
        ...

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, as soon as it has ended."""
        ...


class Child:
    """One child process with its output in a log file.

    Args:
        name: How it is called in messages, and its log: `<folder>/<name>.log`.
        command: The argument list.
        environment: Its whole environment.
        folder: Where it runs and logs.
    """

    def __init__(self, name: str, command: list[str], environment: Mapping[str, str], folder: Path) -> None:
        self.name = name
        self._command = command
        self._environment = dict(environment)
        self._folder = folder
        self._log = folder / f"{name}.log"
        self._process: Running | None = None

    @property
    def pid(self) -> int:
        """The process id, while it runs."""
        if self._process is None:
            raise StartError(f"{self.name} was not started")
        return self._process.pid

    def start(self, is_ready: Callable[[], bool], timeout: float = 30) -> None:
        """Start it, and wait until it is ready.

        Args:
            is_ready: Looks once, quickly.
            timeout: Seconds to wait at the most.

        Raises:
            StartError: It ended, or was not ready in time.
        """
        self._process = self._begin()
        deadline = time.monotonic() + timeout
        while not is_ready():
            if (code := self._process.poll()) is not None:
                raise StartError(f"{self.name} ended with exit code {code}. Its last lines:\n{self.tail()}")
            if time.monotonic() > deadline:
                self.kill()
                raise StartError(f"{self.name} was not ready after {timeout:.0f} s. Its last lines:\n{self.tail()}")
            time.sleep(0.05)

    def _begin(self) -> Running:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                self._command,
                env=self._environment,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the story; it ends its children in order
                preexec_fn=die_with_parent,  # noqa: PLW1509  (no thread runs yet that could hold a lock)
            )

    def stop(self, grace: float = 10) -> None:
        """SIGTERM, and SIGKILL after `grace` seconds. Stopping twice is nothing to do."""
        if self._process is None:
            return
        self._signal(signal.SIGTERM)
        try:
            self._process.wait(grace)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def kill(self) -> None:
        """SIGKILL, as a machine that loses its power."""
        if self._process is None:
            return
        self._signal(signal.SIGKILL)
        self._process.wait()
        self._process = None

    def tail(self, lines: int = 15) -> str:
        """The last lines it printed."""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-lines:])

    def _signal(self, number: signal.Signals) -> None:
        if self._process and self._process.poll() is None:
            os.killpg(self._process.pid, number)


def die_with_parent() -> None:
    """Ask Linux to end this process when its parent dies, however that dies."""
    if os.uname().sysname == "Linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def free_port() -> int:
    """A port of the loopback interface that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    """Whether somebody listens on this port of the loopback interface."""
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex(("127.0.0.1", port)) == 0
