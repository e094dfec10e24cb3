"""One running container."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, cast

from slipway_sandbox.containers.errors import ContainerStartError

log = logging.getLogger(__name__)

LONGEST_LINE = 16 * 1024
"""Bytes; a longer line arrives in parts of this size, as from other engines."""
START_SECONDS = 30.0


def _ignore(_line: str) -> None:
    """Output that nobody asked for."""


def _nothing() -> None:
    """An end that nobody waits for."""


@dataclass(frozen=True)
class Mount:
    """A host file or folder that a container sees."""

    source: Path
    target: str
    """Absolute path in the container."""
    read_only: bool = False


@dataclass(frozen=True)
class ContainerSpec:
    """How to run an image."""

    name: str
    """The container's host name, too; letters, digits and hyphens."""
    entry_point: Sequence[str] | None = None
    """None: the image's. Where one is given, the image's command is not used either, as with other engines."""
    command: Sequence[str] | None = None
    """None: the image's."""
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    """On top of the image's own."""
    working_directory: str | None = None
    user: str | None = None
    """`name`, `id` or `name:group`; None: the image's."""
    mounts: Sequence[Mount] = ()
    on_output: Callable[[str], None] = _ignore
    """Called with each line of standard output and error, without its end, on the container's own thread."""
    on_exit: Callable[[], None] = _nothing
    """Called once after the end, when the exit code is known, on the container's own thread."""


class Container:
    """A container that was started. Made by `ContainerRuntime.start`.

    It has a thread of its own from before its process begins until after it ends. The kernel sends the "parent died" signal when
    the *thread* that made a process ends, so no short-lived thread may do it.
    """

    def __init__(self, spec: ContainerSpec, command: Sequence[str], files: Sequence[int], status: int) -> None:
        self.name = spec.name
        self.exit_code: int | None = None
        """The command's exit code, 128 + number where a signal ended it; None while it runs."""
        self.failure: str | None = None
        """Why the command never ran, where that showed only after the start (such as a program for another machine)."""
        self._spec = spec
        self._command = command
        self._files = files
        self._status = status
        self._process: subprocess.Popen[bytes] | None = None
        self._first: int | None = None
        self._error: Exception | None = None
        self._started = threading.Event()
        self._ended = threading.Event()
        self._stopping = False
        self._signal_lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name=f"container-{spec.name}", daemon=True)

    @property
    def pid(self) -> int:
        """The process id, on the host, of bubblewrap, which ends with the container."""
        return self._process.pid if self._process else 0

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return not self._ended.is_set()

    def start(self) -> None:
        """Begin.

        Raises:
            ContainerStartError: bubblewrap could not be run.
        """
        self._thread.start()
        if not self._started.wait(START_SECONDS):
            self._kill()
            raise ContainerStartError(f"{self.name} did not start within {START_SECONDS:g} s")
        if self._error:
            raise ContainerStartError(f"{self.name} could not be run: {self._error}") from self._error

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait until it has ended and all its output was handed over.

        Args:
            timeout: Real seconds; None waits for ever.

        Returns:
            The exit code, or None if it still runs.
        """
        self._ended.wait(timeout)
        return self.exit_code

    def stop(self, grace_seconds: float) -> None:
        """Ask it to end, kill it after the grace, and return when it has ended.

        Args:
            grace_seconds: Real seconds between SIGTERM and SIGKILL.
        """
        self._stopping = True
        if grace_seconds > 0:
            self._send(signal.SIGTERM)
            if self._ended.wait(grace_seconds):
                return
        self._kill()
        self._ended.wait()

    def _kill(self) -> None:
        self._send(signal.SIGKILL)
        if self._first is None and self._process and self.running:
            self._process.kill()

    def _send(self, number: signal.Signals) -> None:
        """Signal the container's first process; all others end with it. A handle, not a number that may have a new owner."""
        with self._signal_lock:
            if self._first is None:
                return
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._first, number)

    def _run(self) -> None:
        try:
            with os.fdopen(self._status, "rb") as status:
                self._begin(status)
                self._started.set()
                self._read_output()
                self._finish(status)
        except Exception as error:
            self._error = error
            log.exception("the container %s was lost", self.name)
        finally:
            with self._signal_lock:
                if self._first is not None:
                    os.close(self._first)
                    self._first = None
            if self.exit_code is None:
                self.exit_code = 128 + signal.SIGKILL
            self._ended.set()
            self._started.set()
            self._spec.on_exit()

    def _begin(self, status: IO[bytes]) -> None:
        try:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={},
                pass_fds=self._files,
                # An interrupt at the terminal is for the sandbox, which stops its containers with grace.
                start_new_session=True,
            )
        finally:
            for file in self._files:
                os.close(file)
        line = status.readline()
        if line:
            with contextlib.suppress(ProcessLookupError):
                self._first = os.pidfd_open(json.loads(line)["child-pid"])

    def _read_output(self) -> None:
        """Hand over each line. The last process of the container that holds the pipe ends with the container."""
        output = cast("IO[bytes]", cast("subprocess.Popen[bytes]", self._process).stdout)
        with output:
            while line := output.readline(LONGEST_LINE):
                text = line.decode(errors="replace").removesuffix("\n")
                self._last_line = text
                try:
                    self._spec.on_output(text)
                except Exception:
                    # A container whose output is no longer read would stand still.
                    log.exception("a line of %s could not be handed over", self.name)

    def _finish(self, status: IO[bytes]) -> None:
        process = cast("subprocess.Popen[bytes]", self._process)
        code = process.wait()
        # bubblewrap reports the code only of a command that it could run.
        reports = [json.loads(line) for line in status.read().splitlines() if line.strip()]
        codes = [report["exit-code"] for report in reports if "exit-code" in report]
        if codes:
            self.exit_code = codes[-1]
        elif code < 0:
            self.exit_code = 128 - code
        else:
            self.exit_code = code
            self.failure = self._last_line.removeprefix("bwrap: ")

    _last_line = ""
