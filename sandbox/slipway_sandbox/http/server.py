"""The HTTP server under the gateway: cheroot, with a thread for each request in progress, and faults that cut connections.

Answers may be held back, clients poll for messages, and the sandbox calls itself: on a fixed number of threads these would
wait for each other. Connections without a request have no thread.
"""

# cheroot's stubs leave most types open.
# pyright: reportMissingTypeArgument=false, reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import contextlib
import logging
import queue
import socket
import threading
from typing import Any, Self
from urllib.parse import unquote_to_bytes
from wsgiref.types import WSGIApplication, WSGIEnvironment

from cheroot import wsgi
from cheroot.server import HeaderReader, HTTPConnection, HTTPRequest
from cheroot.workers.threadpool import WorkerThread

from slipway_sandbox.core.errors import LostConnectionError
from slipway_sandbox.core.sockets import reset_on_close
from slipway_sandbox.http.bodies import BODY_LIMIT, BUFFER, body_of

log = logging.getLogger(__name__)

HEAD_LIMIT = 64 * 1024
"""Bytes of a request line with all headers, as in an Application Load Balancer."""
SILENCE = 60
"""Seconds that a client may send nothing, or read nothing of an answer, before its connection is closed."""
EXPIRE_EVERY = 5.0
"""Seconds between two looks for silent connections. Each goes through all that are open, and clients leave thousands."""
WAKE_AFTER = 0.05
"""Seconds after which `stop` wakes the loop that accepts connections, which would see only at its next look that it is to end."""


class Headers(HeaderReader):
    """Leaves out headers with an underscore, which WSGI cannot tell from those with a hyphen."""

    def _allow_header(self, key_name: bytes) -> bool:
        return b"_" not in key_name


class Request(HTTPRequest):
    """A request, with the headers that the sandbox reads."""

    header_reader = Headers()


class Connection(HTTPConnection):
    """A connection with buffers for large bodies."""

    RequestHandlerClass = Request
    rbufsize = BUFFER
    wbufsize = BUFFER


class Gateway(wsgi.Gateway_10):
    """Runs the application for one request."""

    def get_environ(self) -> WSGIEnvironment:
        environ: WSGIEnvironment = super().get_environ()
        # cheroot leaves %2F as it is. WSGI carries bytes as latin-1 text (PEP 3333).
        environ["PATH_INFO"] = unquote_to_bytes(self.req.uri.partition(b"?")[0]).decode("latin-1")
        environ["RAW_URI"] = environ["REQUEST_URI"]
        length = None if self.req.chunked_read else int(environ.get("CONTENT_LENGTH") or 0)
        # cheroot's own body files take a body that broke off for a whole one, and hold a whole chunk in memory.
        environ["wsgi.input"] = self.req.rfile = body_of(self.req.conn.rfile, length)
        environ["wsgi.input_terminated"] = True
        return environ

    def respond(self) -> None:
        """Answer, then read what the application left of the body: the next request begins behind it."""
        try:
            super().respond()
            while self.req.rfile.read(BUFFER):
                pass
        except LostConnectionError:
            # As a broken network does: a reset, and no answer.
            reset_on_close(self.req.conn.socket)
            self._give_up()
        except (ConnectionError, TimeoutError):
            self._give_up()

    def _give_up(self) -> None:
        """Close the connection without another word."""
        self.req.sent_headers = self.req.close_connection = True


class Threads:
    """A thread for each request that is being answered, however long that takes. Idle ones are used again.

    Args:
        server: What the threads work for.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._connections = queue.SimpleQueue[Any]()
        self._idle = 0
        """Threads that wait, without those that a connection in the queue is for."""
        self._lock = threading.Lock()

    def start(self) -> None:
        """Begin without a thread."""

    def stop(self, _timeout: float) -> None:
        """Leave them to end with the process: one whose answer is held back would not end before."""

    def put(self, connection: Any) -> None:
        """Have the request answered that comes on a connection."""
        with self._lock:
            self._idle -= 1
            lacking = self._idle < 0
        self._connections.put(connection)
        if lacking:
            thread = WorkerThread(self._server)
            thread.daemon = True
            thread.start()

    def get(self) -> Any:
        """Wait for a connection with a request."""
        with self._lock:
            self._idle += 1
        return self._connections.get()


class Server(wsgi.Server):
    """Serves one application on one port.

    Args:
        host: The address to bind.
        port: The port; 0 picks a free one.

    Raises:
        OSError: The port is taken, or the address is not one of this machine.
    """

    wsgi_app: WSGIApplication
    ConnectionClass = Connection
    keep_alive_conn_limit = None  # pyright: ignore[reportAssignmentType]  (documented: no limit)
    max_request_header_size = HEAD_LIMIT
    max_request_body_size = BODY_LIMIT
    expiration_interval = EXPIRE_EVERY

    def __init__(self, host: str, port: int) -> None:
        super().__init__((host, port), None, server_name="slipway-sandbox", timeout=SILENCE, request_queue_size=256)
        self.gateway = Gateway
        self.requests = Threads(self)
        self._bind_error: OSError | None = None
        try:
            self.prepare()
        except OSError as error:
            # The error that `prepare` raises has the text of the last one that occurred, and not its number.
            raise self._bind_error or error from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop serving. Requests that are being answered are left alone."""
        host, port = self.bind_addr[:2]
        wake = threading.Timer(WAKE_AFTER, touch, (host, port))
        wake.daemon = True
        wake.start()
        super().stop()

    @property
    def server_port(self) -> int:
        """The port that it is bound to."""
        return self.bind_addr[1]

    def bind(self, family: int, type: int, proto: int = 0) -> socket.socket:  # noqa: A002  (the base class names it so)
        """Bind one of the addresses that the host's name stands for."""
        try:
            return super().bind(family, type, proto)
        except OSError as error:
            self._bind_error = error
            raise

    @staticmethod
    def bind_socket(socket_: socket.socket, bind_addr: tuple[str, int]) -> socket.socket:
        """Bind a socket whose port can be used again at once, even one that the system chose.

        cheroot sets the option for given ports only. A restart on the port of a sandbox that just ended needs it there, too.
        """
        socket_.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        socket_.bind(bind_addr)
        return socket_

    def error_log(self, msg: str = "", level: int = logging.INFO, traceback: bool = False) -> None:
        """Log what went wrong while a request was answered."""
        log.log(level, "%s", msg, exc_info=traceback)


def touch(host: str, port: int) -> None:
    """Connect to a port, and leave it at that."""
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1):
        pass
