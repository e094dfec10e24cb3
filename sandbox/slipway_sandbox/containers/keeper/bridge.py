"""Carries connections in and out of a container's own network namespace.

A socket belongs to the namespace that it was made in, wherever it is used. So the bridge, a process inside of the namespace,
takes connections from listeners that were made outside, and asks the keeper, which is outside, for sockets that lead to the
sandbox.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import threading
from collections.abc import Callable, Sequence

from slipway_sandbox.containers.keeper import kernel
from slipway_sandbox.core.sockets import reset_on_close

IP_FREEBIND = getattr(socket, "IP_FREEBIND", 15)
CHUNK = 64 * 1024
BACKLOG = 128
READY = b"ok"
CONNECT_SECONDS = 10.0


class Bridge:
    """Runs in a process of its own, made for one container.

    Args:
        namespace: An open file of the container's network namespace.
        published: Listeners of the outside, by the container's ports that they lead to.
        keeper: The line to the keeper.
        reachable: Ports at 127.0.0.1 in the container that lead outside; the keeper knows where to.
    """

    def __init__(
        self, namespace: int, published: dict[int, socket.socket], keeper: socket.socket, reachable: Sequence[int]
    ) -> None:
        self._namespace = namespace
        self._published = published
        self._keeper = keeper
        self._reachable = reachable
        self._asking = threading.Lock()

    def run(self, parent: int, ready: int) -> None:
        """Serve until the process is killed.

        Args:
            parent: The keeper's process id.
            ready: A pipe that gets `READY` when it serves, or why it cannot.
        """
        try:
            kernel.enter_network(self._namespace)
            # Not before: a change of namespaces may take it back.
            kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                return
            inside = [listen(port) for port in self._reachable]
        except OSError as error:
            os.write(ready, str(error).encode())
            return
        for listener, port in ((listener, port) for port, listener in self._published.items()):
            accept_on(listener, lambda port=port: connect(port))
        for number, listener in enumerate(inside):
            accept_on(listener, lambda number=number: self._connect_outside(number))
        os.write(ready, READY)
        os.close(ready)
        threading.Event().wait()

    def _connect_outside(self, number: int) -> socket.socket:
        with self._asking:
            self._keeper.send(bytes([number]))
            said, files, _flags, _address = socket.recv_fds(self._keeper, 1, 1, socket.MSG_CMSG_CLOEXEC)
        if not said or not files:
            raise ConnectionRefusedError
        return connected(socket.socket(fileno=files[0]))


def listen(port: int) -> socket.socket:
    """Listen on the container's loopback interface, which bubblewrap brings up a moment later."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_IP, IP_FREEBIND, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(BACKLOG)
    return listener


def connect(port: int) -> socket.socket:
    """Connect to the container."""
    return socket.create_connection(("127.0.0.1", port), CONNECT_SECONDS)


def connected(connection: socket.socket) -> socket.socket:
    """Wait until a connection that is on its way is there."""
    select.select([], [connection], [], CONNECT_SECONDS)
    error = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if error:
        connection.close()
        raise OSError(error, os.strerror(error))
    return connection


def accept_on(listener: socket.socket, connect_on: Callable[[], socket.socket]) -> None:
    """Carry each connection of a listener on, on threads of their own."""

    def serve() -> None:
        listener.setblocking(True)
        while True:
            near, _address = listener.accept()
            threading.Thread(target=carry, args=(near, connect_on), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()


def carry(near: socket.socket, connect_on: Callable[[], socket.socket]) -> None:
    """Join a connection with the one that it leads to, until both sides have ended."""
    with near:
        try:
            far = connect_on()
        except OSError:
            # As if the port itself had refused: an orderly end would look like an empty answer.
            reset_on_close(near)
            return
        with far:
            for each in (near, far):
                each.settimeout(None)
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            back = threading.Thread(target=copy, args=(far, near), daemon=True)
            back.start()
            copy(near, far)
            back.join()


def copy(source: socket.socket, target: socket.socket) -> None:
    """Hand over what one side sends, its end too; a connection that breaks breaks the other."""
    try:
        while data := source.recv(CHUNK):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        for each in (source, target):
            with contextlib.suppress(OSError):
                reset_on_close(each)
                each.shutdown(socket.SHUT_RDWR)
