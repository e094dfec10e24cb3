"""One running container."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from slipway_sandbox.containers.children import Child, Children
from slipway_sandbox.containers.errors import ContainerStartError

log = logging.getLogger(__name__)

LONGEST_LINE = 16 * 1024
"""Bytes; a longer line arrives in parts of this size, as from other engines."""
START_SECONDS = 30.0


def _ignore(_line: str) -> None:
    """Ignore output."""


def _nothing() -> None:
    """Ignore the end."""


@dataclass(frozen=True)
class Mount:
    """A host file or folder that a container sees."""

    source: Path
    target: str
    """Absolute path in the container."""
    read_only: bool = False


@dataclass(frozen=True)
class OwnNetwork:
    """A network namespace of the container's own, for images that insist on a port: it shares none with others.

    It has a loopback interface and nothing else. Connections are carried in and out of it:

    - in: each published port gets a free port of this machine's loopback; `Container.published` says which. Connecting works at
      once; if nothing listens inside (yet), the connection is reset.
    - out: each reachable address is found inside at 127.0.0.1 and the same port. With the sandbox's own address among them,
      `AWS_ENDPOINT_URL` works inside as it does outside.

    Where the machine does not allow it, starting the container raises `ContainerStartError`.

    Example:
        address = urlsplit(credentials.local_endpoint(world.endpoint))
        network = OwnNetwork(published=(8080,), reachable=((address.hostname, address.port),))
        container = runtime.start(image, ContainerSpec(name="model", network=network))
        urlopen(f"http://127.0.0.1:{container.published[8080]}/ping")
    """

    published: Sequence[int] = (8080,)
    reachable: Sequence[tuple[str, int]] = ()


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
    network: OwnNetwork | None = None
    """None: the host's, ports and all."""
    on_output: Callable[[str], None] = _ignore
    """Called with each line of standard output and error, without its end, on the container's own thread."""
    on_exit: Callable[[], None] = _nothing
    """Called once after the end, when the exit code is known, on the container's own thread."""


@dataclass(frozen=True)
class Launch:
    """How to run bubblewrap for one container."""

    command: Sequence[str]
    files: Sequence[int]
    """What it finds open from `FIRST_FILE` on; the container closes them."""
    status: int
    """Where bubblewrap reports its state; the container closes it."""
    gate: int | None = None
    """The command begins when this pipe gets a byte; only with a network of its own."""
    listeners: Mapping[int, socket.socket] = field(default_factory=dict[int, socket.socket])
    """The outside's ends of published ports, by the port inside; the container closes them."""


class Container:
    """A container that was started. Made by `ContainerRuntime.start`. A thread of its own follows it to its end.

    Args:
        spec: What to run.
        launch: How to run it.
        children: Starts it, and ends it if the sandbox is gone.
    """

    def __init__(self, spec: ContainerSpec, launch: Launch, children: Children) -> None:
        self.name = spec.name
        self.exit_code: int | None = None
        """The command's exit code, 128 + number where a signal ended it; None while it runs."""
        self.failure: str | None = None
        """Why the command never ran, where that showed only after the start (such as a program for another machine)."""
        self.published: Mapping[int, int] = {port: end.getsockname()[1] for port, end in launch.listeners.items()}
        """Ports of this machine's loopback, by the ports of a network of its own that they lead to."""
        self._spec = spec
        self._launch = launch
        self._children = children
        self._gate = launch.gate
        self._child: Child | None = None
        self._first: int | None = None
        self._error: Exception | None = None
        self._started = threading.Event()
        self._ended = threading.Event()
        self._doomed = False
        self._signal_lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name=f"container-{spec.name}", daemon=True)

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return not self._ended.is_set()

    def start(self) -> None:
        """Begin.

        Raises:
            ContainerStartError: bubblewrap could not be run, or the machine gives it no network of its own.
        """
        self._thread.start()
        if not self._started.wait(START_SECONDS):
            self._kill()
            raise ContainerStartError(f"{self.name} did not start within {START_SECONDS:g} s")
        if self._error:
            detail = self._error.detail if isinstance(self._error, ContainerStartError) else self._error
            raise ContainerStartError(f"{self.name} could not be run: {detail}") from self._error

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
        if grace_seconds > 0:
            self._send(signal.SIGTERM)
            if self._ended.wait(grace_seconds):
                return
        self._kill()
        self._ended.wait()

    def _kill(self) -> None:
        # Read at the end of a start that is in progress, when there is nothing to kill yet.
        self._doomed = True
        self._send(signal.SIGKILL)
        if self._first is None and self._child and self.running:
            self._children.kill(self._child)

    def _send(self, number: signal.Signals) -> None:
        """Signal the container's first process; all others end with it. A handle, not a number that may have a new owner."""
        with self._signal_lock:
            if self._first is None:
                return
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._first, number)

    def _run(self) -> None:
        try:
            with os.fdopen(self._launch.status, "rb") as status:
                child, output = self._spawn()
                with os.fdopen(output, "rb") as lines:
                    self._begin(child, status)
                    self._started.set()
                    if self._doomed:
                        self._kill()
                    self._read_output(lines)
                self._finish(child, status)
        except ContainerStartError as error:
            self._error = error
        except Exception as error:
            self._error = error
            log.exception("the container %s was lost", self.name)
        finally:
            self._close_network()
            with self._signal_lock:
                if self._first is not None:
                    os.close(self._first)
                    self._first = None
            if self.exit_code is None:
                self.exit_code = 128 + signal.SIGKILL
            self._ended.set()
            self._started.set()
            self._spec.on_exit()

    def _spawn(self) -> tuple[Child, int]:
        """Start bubblewrap; answers it and where its output is to be read."""
        output, written = os.pipe()
        try:
            self._child = self._children.spawn(self._launch.command, written, self._launch.files)
        except BaseException:
            os.close(output)
            raise
        finally:
            for file in (written, *self._launch.files):
                os.close(file)
        return self._child, output

    def _begin(self, child: Child, status: IO[bytes]) -> None:
        line = status.readline()
        if line:
            first = int(json.loads(line)["child-pid"])
            with contextlib.suppress(ProcessLookupError):
                self._first = os.pidfd_open(first)
            if self._spec.network:
                self._join_network(child, first, self._spec.network)

    def _join_network(self, child: Child, first: int, network: OwnNetwork) -> None:
        """Carry connections in and out before the command begins, so that it finds everything in place."""
        try:
            self._children.bridge(child, first, self._launch.listeners, network.reachable)
            if self._gate is not None:
                os.write(self._gate, b"1")
        except ContainerStartError:
            self._children.kill(child)
            raise
        # From here on the bridge alone holds the ports, and gives them back when it ends.
        self._close_network()

    def _close_network(self) -> None:
        for listener in self._launch.listeners.values():
            listener.close()
        if self._gate is not None:
            os.close(self._gate)
            self._gate = None

    def _read_output(self, output: IO[bytes]) -> None:
        """Hand over each line. The last process of the container that holds the pipe ends with the container."""
        while line := output.readline(LONGEST_LINE):
            text = line.decode(errors="replace").removesuffix("\n")
            self._last_line = text
            try:
                self._spec.on_output(text)
            except Exception:
                # A container whose output is no longer read would block.
                log.exception("a line of %s could not be handed over", self.name)

    def _finish(self, child: Child, status: IO[bytes]) -> None:
        child.ended.wait()
        code = child.code or 0
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
