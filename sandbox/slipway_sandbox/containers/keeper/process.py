"""The keeper's work: starts processes for the sandbox, reports how they ended, and ends all of them with the sandbox."""

from __future__ import annotations

import contextlib
import fcntl
import os
import selectors
import signal
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from slipway_sandbox.containers.keeper import kernel, lines
from slipway_sandbox.containers.keeper.bridge import Bridge

FIRST_FILE = 10
"""The number that a container's first file gets. The others follow."""
MOST_CHILD_FILES = 16
Address = tuple[str, int]


class Keeper:
    """Serves one sandbox, on one thread: only so may the process fork and change namespaces.

    Args:
        line: The line to the sandbox.
    """

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._children: dict[int, int] = {}
        """The sandbox's number of each process, by process id."""
        self._bridges: dict[int, list[int]] = {}
        """Process ids of bridges, by the sandbox's number of their container."""
        self._selector = selectors.DefaultSelector()

    def run(self) -> None:
        """Serve until the sandbox is gone, and then end everything."""
        kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
        wakes, waker = socket.socketpair()
        for end in (wakes, waker):
            end.setblocking(False)
        signal.signal(signal.SIGCHLD, _woken)
        signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
        self._selector.register(self._line, selectors.EVENT_READ)
        self._selector.register(wakes, selectors.EVENT_READ)
        try:
            while self._serve_once(wakes):
                pass
        finally:
            end_all()

    def _serve_once(self, wakes: socket.socket) -> bool:
        """Handle the pending messages; False when the sandbox is gone."""
        for key, _events in self._selector.select():
            if key.fileobj is self._line:
                message, files = lines.receive(self._line)
                if message is None:
                    return False
                self._answer(message, files)
            elif key.fileobj is wakes:
                with contextlib.suppress(BlockingIOError):
                    wakes.recv(4096)
                self._reap()
            else:
                self._connect_for(key)
        return True

    def _answer(self, message: dict[str, Any], files: list[int]) -> None:
        try:
            match message["do"]:
                case "spawn":
                    self._spawn(message["number"], files)
                case "bridge":
                    self._bridge(message, files)
                case _:
                    self._kill(message["number"])
        finally:
            for file in files:
                os.close(file)

    def _spawn(self, number: int, files: list[int]) -> None:
        """Start a process: `files` are its arguments, its output, and what it gets from `FIRST_FILE` on."""
        try:
            pid = spawn(*files)
        except OSError as error:
            lines.send(self._line, {"number": number, "error": error.strerror or str(error)})
            return
        self._children[pid] = number
        lines.send(self._line, {"number": number, "pid": pid})

    def _bridge(self, message: dict[str, Any], files: list[int]) -> None:
        """Start a bridge: `files` are the namespace, the pipe that hears when it is ready, and the listeners."""
        number = message["number"]
        if number not in self._children.values():
            return
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        addresses: list[Address] = [(host, port) for host, port in message["reachable"]]
        keeper = os.getpid()
        pid = os.fork()
        if pid == 0:
            self._be_bridge(keeper, message, files, theirs, [port for _host, port in addresses])
        theirs.close()
        self._bridges.setdefault(number, []).append(pid)
        self._selector.register(ours, selectors.EVENT_READ, addresses)

    def _be_bridge(
        self, keeper: int, message: dict[str, Any], files: list[int], line: socket.socket, reachable: list[int]
    ) -> None:
        """The new process's own path, which never returns."""
        try:
            signal.set_wakeup_fd(-1)
            close_all_but({0, 1, 2, line.fileno(), *files})
            namespace, ready, *listeners = files
            published = {
                port: socket.socket(fileno=listener) for port, listener in zip(message["published"], listeners, strict=True)
            }
            Bridge(namespace, published, line, reachable).run(keeper, ready)
        finally:
            os._exit(1)

    def _connect_for(self, key: selectors.SelectorKey) -> None:
        """Give a bridge a socket to the outside that is still connecting: nothing here may block."""
        line: Any = key.fileobj
        try:
            asked = line.recv(1)
        except OSError:
            asked = b""
        if not asked:
            self._selector.unregister(line)
            line.close()
            return
        host, port = key.data[asked[0]]
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as connection, contextlib.suppress(OSError):
            connection.setblocking(False)
            connection.connect_ex((host, port))
            socket.send_fds(line, [b"k"], [connection.fileno()])

    def _kill(self, number: int) -> None:
        for pid, known in self._children.items():
            if known == number:
                os.kill(pid, signal.SIGKILL)

    def _reap(self) -> None:
        """Report which processes ended. What a killed one leaves behind is killed, too."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            number = self._children.pop(pid, None)
            if number is None:
                continue
            for bridge in self._bridges.pop(number, []):
                os.kill(bridge, signal.SIGKILL)
            code = os.waitstatus_to_exitcode(status)
            if code < 0:
                self._kill_orphans()
            lines.send(self._line, {"number": number, "code": code})

    def _kill_orphans(self) -> None:
        known = {*self._children, *(pid for pids in self._bridges.values() for pid in pids)}
        for pid in kernel.children_of(os.getpid()):
            if pid not in known:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def _woken(_number: int, _frame: object) -> None:
    """A child ended. Without a handler the signal would not reach the wake-up socket."""


def spawn(arguments: int, output: int, *files: int) -> int:
    """Start a process in a session of its own, with no environment; returns its id.

    Args:
        arguments: A file with its arguments, each ended by a NUL; the program's path comes first.
        output: Where it writes.
        files: Its other files.

    Raises:
        OSError: It could not be started.
    """
    with open(arguments, "rb", closefd=False) as source:
        command = source.read().split(b"\0")[:-1]
    # First away from the file numbers that they are to have.
    moved = [fcntl.fcntl(file, fcntl.F_DUPFD_CLOEXEC, FIRST_FILE + MOST_CHILD_FILES) for file in files]
    try:
        placed = [(os.POSIX_SPAWN_DUP2, file, FIRST_FILE + place) for place, file in enumerate(moved)]
        return os.posix_spawn(
            command[0],
            command,
            {},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, output, 1),
                (os.POSIX_SPAWN_DUP2, output, 2),
                *placed,
            ],
            # An interrupt at the terminal is for the sandbox, which stops its containers with grace.
            setsid=True,
            setsigdef=(signal.SIGPIPE, signal.SIGXFSZ),
        )
    finally:
        for file in moved:
            os.close(file)


def end_all() -> None:
    """Kill every child, and what they leave to this process when they die, until there is none."""
    while True:
        for pid in kernel.children_of(os.getpid()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
            # Looking for children reads all processes: once for many that ended, not for each.
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return


def close_all_but(kept: set[int]) -> None:
    """Close what a forked process has from its parent, but for these."""
    for entry in list(Path("/proc/self/fd").iterdir()):
        if int(entry.name) not in kept:
            with contextlib.suppress(OSError):
                os.close(int(entry.name))


def main(arguments: Sequence[str]) -> None:
    """Serve on the inherited line whose number is the first argument."""
    Keeper(socket.socket(fileno=int(arguments[0]))).run()
