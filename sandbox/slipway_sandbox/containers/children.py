"""The sandbox's side of the keeper: starts processes through it, and learns how they end."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import slipway_sandbox
from slipway_sandbox.containers.errors import ContainerStartError
from slipway_sandbox.containers.keeper import lines
from slipway_sandbox.containers.keeper.bridge import READY
from slipway_sandbox.containers.keeper.process import FIRST_FILE

__all__ = ["FIRST_FILE", "Child", "Children"]

START_SECONDS = 30.0


class Child:
    """A process that the keeper started."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.error: str | None = None
        """Why it could not be started."""
        self.code: int | None = None
        """Its exit code, the negative number of the signal that ended it; None while it runs."""
        self.started = threading.Event()
        self.ended = threading.Event()

    def end(self, code: int) -> None:
        """Note how it ended."""
        self.code = code
        self.started.set()
        self.ended.set()


class Children:
    """Starts a keeper when it is first needed, and again if it was killed.

    Args:
        label: Shown in the keeper's command line, so that a person can tell whose it is.
    """

    def __init__(self, label: str) -> None:
        self._label = label
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._running: dict[int, Child] = {}
        self._closed = False
        self._line: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None

    def spawn(self, command: Sequence[str], output: int, files: Sequence[int]) -> Child:
        """Start a process.

        Args:
            command: Its arguments; the program's absolute path comes first.
            output: The file that its output goes to.
            files: What it finds open from `FIRST_FILE` on. They remain the caller's to close.

        Raises:
            ContainerStartError: It could not be started.
        """
        arguments = memory_file("command", b"".join(os.fsencode(argument) + b"\0" for argument in command))
        try:
            with self._lock:
                line = self._connected()
                child = Child(next(self._numbers))
                self._running[child.number] = child
                lines.send(line, {"do": "spawn", "number": child.number}, [arguments, output, *files])
        except OSError as error:
            raise ContainerStartError(f"the keeper of the sandbox's containers could not be reached: {error}") from error
        finally:
            os.close(arguments)
        if not child.started.wait(START_SECONDS):
            self.kill(child)
            raise ContainerStartError(f"the process did not start within {START_SECONDS:g} s")
        if child.error:
            raise ContainerStartError(child.error)
        return child

    def bridge(
        self, child: Child, pid: int, published: Mapping[int, socket.socket], reachable: Sequence[tuple[str, int]]
    ) -> None:
        """Carry connections in and out of the network namespace that a process is in, for as long as the child runs.

        Args:
            child: The process that the namespace was made for.
            pid: A process inside of it.
            published: Listeners, by the port inside that they lead to.
            reachable: Addresses outside; each is found inside at 127.0.0.1 and the same port.

        Raises:
            ContainerStartError: This machine does not allow it.
        """
        heard, says = os.pipe()
        with os.fdopen(heard, "rb") as answer:
            try:
                namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
                try:
                    message: dict[str, object] = {
                        "do": "bridge",
                        "number": child.number,
                        "published": list(published),
                        "reachable": [list(address) for address in reachable],
                    }
                    self._say(message, [namespace, says, *(listener.fileno() for listener in published.values())])
                finally:
                    os.close(namespace)
            except OSError as error:
                raise ContainerStartError(f"this machine gives it no network of its own: {error}") from error
            finally:
                os.close(says)
            said = answer.read()
        if said != READY:
            raise ContainerStartError(f"this machine gives it no network of its own: {said.decode() or 'it ended'}")

    def kill(self, child: Child) -> None:
        """Kill a process, if it still runs."""
        with contextlib.suppress(OSError):
            self._say({"do": "kill", "number": child.number}, [])

    def close(self) -> None:
        """End everything, wait for it, and start nothing more."""
        with self._lock:
            self._closed = True
            line, process, reader = self._line, self._process, self._reader
        if line is None or process is None or reader is None:
            return
        with contextlib.suppress(OSError):
            line.shutdown(socket.SHUT_RDWR)
        process.wait()
        reader.join()

    def _say(self, message: dict[str, object], files: Sequence[int]) -> None:
        with self._lock:
            if self._line is None:
                raise ConnectionResetError("the keeper is gone")
            lines.send(self._line, message, files)

    def _connected(self) -> socket.socket:
        """The connection to the keeper, which is started if there is none."""
        if self._line is not None:
            return self._line
        if self._closed:
            raise ContainerStartError("the sandbox is shutting down")
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-S", "-P", "-m", "slipway_sandbox.containers.keeper", str(theirs.fileno()), self._label],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env={"PYTHONPATH": str(Path(slipway_sandbox.__file__).parent.parent)},
                cwd="/",
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self._line = ours
        self._reader = threading.Thread(target=self._read, args=(ours, self._process), name="container-ends", daemon=True)
        self._reader.start()
        return ours

    def _read(self, line: socket.socket, process: subprocess.Popen[bytes]) -> None:
        while True:
            message, _files = lines.receive(line)
            if message is None:
                break
            self._note(message)
        process.wait()
        with self._lock:
            self._line = self._process = None
            left = list(self._running.values())
            self._running.clear()
        line.close()
        for child in left:
            # They ended with their keeper.
            child.end(-signal.SIGKILL)

    def _note(self, message: dict[str, int | str]) -> None:
        number = int(message["number"])
        if "pid" in message:
            self._running[number].started.set()
            return
        # Without the lock: its holder may wait for the keeper, and the keeper for this thread.
        child = self._running.pop(number)
        child.error = str(message["error"]) if "error" in message else None
        child.end(int(message.get("code", -signal.SIGKILL)))


def memory_file(name: str, content: bytes) -> int:
    """A file descriptor to read the content from; the content is in memory only."""
    file = os.memfd_create(name)
    left = memoryview(content)
    while left:
        left = left[os.write(file, left) :]
    os.lseek(file, 0, os.SEEK_SET)
    return file
