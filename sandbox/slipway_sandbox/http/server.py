"""The HTTP server under the gateway: connections that stay open, bodies of any size, and faults that really cut the line.

werkzeug's development server closes every connection after one answer. AWS does not, and clients pool their connections. The
servers that keep them (cheroot, waitress) answer on a fixed number of threads: here, where answers may be held back, where
clients poll for messages, and where the sandbox calls itself, those would wait for each other.
"""

from __future__ import annotations

import contextlib
import io
import logging
import socket
import struct
import sys
import threading
from collections.abc import Callable, Generator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, BinaryIO, cast
from urllib.parse import unquote_to_bytes
from wsgiref.types import WSGIApplication, WSGIEnvironment

from slipway_sandbox.core.errors import LostConnectionError
from slipway_sandbox.http.bodies import SILENCE, Line, RefusedError, body_of, head_of, length_of

log = logging.getLogger(__name__)

DRAIN_LIMIT = 1024 * 1024
"""Bytes of an unread body that are read to keep the connection; a longer one closes it."""
GOODBYE_SECONDS = 2.0
"""How long a client that still sends gets to see the answer before its connection is closed."""
IDLE_SECONDS = 60.0
"""How long a client may keep a connection open without a request."""
HEAD_SECONDS = 30.0
"""How long a client may take to send a request's head."""
MOST_CONNECTIONS = 512
"""Open at once, each with its thread. Beyond, those that idle are closed; where none does, the new one is turned away."""
SEND_BUFFER = 64 * 1024
RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER on, with no time to linger: closing sends a reset."""
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
BUSY = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"
Headers = list[tuple[str, str]]


class Answer:
    """One response on its way: collects status and headers from the application, then writes."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._status = ""
        self._headers: Headers = []
        self._chunked = False
        self.started = False

    def start(self, status: str, headers: Headers, exc_info: object = None, /) -> Callable[[bytes], object]:
        """WSGI's `start_response`."""
        if self.started and exc_info:
            raise ConnectionResetError("the answer broke off half-way")
        self._status, self._headers = status, headers
        return self.write

    def write(self, data: bytes, /) -> None:
        """Send a piece of the body; the first one sends the headers along."""
        if not self.started:
            self._send_headers()
        if not data or self._handler.command == "HEAD":
            return
        output = self._handler.wfile
        output.write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)

    def finish(self) -> None:
        """Send what is left."""
        self.write(b"")
        if self._chunked:
            self._handler.wfile.write(b"0\r\n\r\n")
        self._handler.wfile.flush()

    def _send_headers(self) -> None:
        self.started = True
        code, _, reason = self._status.partition(" ")
        names = {name.lower() for name, _ in self._headers}
        handler = self._handler
        bodiless = handler.command == "HEAD" or int(code) in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)
        if "content-length" not in names and not bodiless:
            self._chunked = handler.request_version != "HTTP/1.0"
            handler.close_connection |= not self._chunked
        handler.send_response_only(int(code), reason)
        for name, value in self._headers:
            handler.send_header(name, value)
        if "date" not in names:
            handler.send_header("Date", handler.date_time_string())
        if self._chunked:
            handler.send_header("Transfer-Encoding", "chunked")
        if handler.close_connection:
            handler.send_header("Connection", "close")
        elif handler.request_version == "HTTP/1.0":
            handler.send_header("Connection", "keep-alive")
        handler.end_headers()


class Handler(BaseHTTPRequestHandler):
    """Serves one connection, request after request."""

    protocol_version = "HTTP/1.1"
    timeout = SILENCE
    disable_nagle_algorithm = True
    wbufsize = SEND_BUFFER
    error_message_format = "%(code)d %(message)s. %(explain)s\n"
    error_content_type = "text/plain; charset=utf-8"
    default_request_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self.rfile.close()
        self._line = Line(self.connection)
        self._source = io.BufferedReader(self._line)

    def handle_one_request(self) -> None:
        """Wait for a request, and answer it."""
        # What an answer to a request that was not understood is made from.
        self.requestline, self.command, self.path, self.request_version = "", "", "", self.protocol_version
        answer = Answer(self)
        try:
            if not self._comes():
                self.close_connection = True
            elif self._is_understood():
                self._serve(answer)
            else:
                self._say_goodbye()
        except RefusedError as refusal:
            self.send_error(refusal.status, explain=str(refusal))
            self._say_goodbye()
        except LostConnectionError:
            self._cut()
        except (ConnectionError, TimeoutError):
            # The client is gone; there is no one to tell.
            self.close_connection = True
        except Exception:
            log.exception("%s %s failed", self.command, self.path)
            self._apologise(answer)

    def _comes(self) -> bool:
        """Wait for a request; False when the client goes instead, or idles for too long."""
        self._line.allow(IDLE_SECONDS)
        with cast(Server, self.server).connections.idle(self.connection):
            return bool(self._source.peek(1))

    def _is_understood(self) -> bool:
        """Read the request's head; False for one that was answered because it is no HTTP.

        Raises:
            RefusedError: It breaks a limit.
        """
        self._line.allow(HEAD_SECONDS)
        try:
            self.raw_requestline, headers = head_of(self._source)
        except TimeoutError as error:
            raise RefusedError(HTTPStatus.REQUEST_TIMEOUT, f"The headers took more than {HEAD_SECONDS:g} s.") from error
        self._line.allow_pauses()
        self.rfile = io.BytesIO(headers)
        return self.parse_request()

    def handle_expect_100(self) -> bool:
        """Ask for the body, if it is one to ask for."""
        length_of(self.headers)
        ready = super().handle_expect_100()
        self.wfile.flush()
        return ready

    def _serve(self, answer: Answer) -> None:
        if self.command not in METHODS:
            raise RefusedError(HTTPStatus.NOT_IMPLEMENTED, f"The method {self.command!r} is not known.")
        body = body_of(self._source, length_of(self.headers))
        self._call(self._environ(body), answer)
        self._drain(body)

    def _environ(self, body: BinaryIO) -> WSGIEnvironment:
        host, port, *_ = self.connection.getsockname()
        path, _, query = self.path.partition("?")
        environ: WSGIEnvironment = {
            "REQUEST_METHOD": self.command,
            "SCRIPT_NAME": "",
            # WSGI carries bytes as latin-1 text (PEP 3333).
            "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
            "QUERY_STRING": query,
            "REQUEST_URI": self.path,
            "RAW_URI": self.path,
            "REMOTE_ADDR": self.client_address[0],
            "SERVER_NAME": host,
            "SERVER_PORT": str(port),
            "SERVER_PROTOCOL": self.request_version,
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": body,
            "wsgi.input_terminated": True,
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        for name, value in self.headers.items():
            if "_" in name:
                # It would pass for the header that has a hyphen there.
                continue
            key = name.upper().replace("-", "_")
            key = key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"
            environ[key] = f"{environ[key]},{value}" if key in environ else value
        return environ

    def _call(self, environ: WSGIEnvironment, answer: Answer) -> None:
        body = cast(Server, self.server).application(environ, answer.start)
        try:
            for data in body:
                answer.write(data)
            answer.finish()
        finally:
            close = getattr(body, "close", None)
            if close:
                close()

    def _drain(self, body: BinaryIO) -> None:
        """Read what the application left of the body, so that the next request begins where this one ends."""
        if not discarded(body, DRAIN_LIMIT):
            self._say_goodbye()

    def _say_goodbye(self) -> None:
        """Close the connection of a client that may still send: closed at once, it could miss the answer."""
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_WR)
        self._line.allow(GOODBYE_SECONDS)
        with contextlib.suppress(OSError):
            while self._line.read(SEND_BUFFER):
                """Whatever it is, nobody wants it."""

    def _apologise(self, answer: Answer) -> None:
        self.close_connection = True
        if not answer.started:
            self.send_error(HTTPStatus.INTERNAL_SERVER_ERROR, explain="The sandbox made a mistake; its log has the details.")

    def _cut(self) -> None:
        """End the connection as a broken network does: a reset, and no answer."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)

    def version_string(self) -> str:
        """What answers to requests that no application sees are signed with."""
        return "slipway-sandbox"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the base class names it so)
        """Say nothing: every call is in the call log."""


def discarded(body: BinaryIO, limit: int) -> bool:
    """Read a body to its end; False where that is farther away than the limit."""
    left = limit
    while left > 0:
        chunk = body.read(min(left, SEND_BUFFER))
        if not chunk:
            return True
        left -= len(chunk)
    return False


class Connections:
    """Those that are open, and which of them wait for a request. Thread-safe.

    Args:
        most: How many may be open at once.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: set[socket.socket] = set()
        self._idle: dict[socket.socket, None] = {}
        """The one that has idled longest first."""
        self._lock = threading.Lock()

    def admit(self, connection: socket.socket) -> bool:
        """Let one in, in place of one that idles where there are too many. Its client finds that closed, and opens another."""
        with self._lock:
            if len(self._open) >= self._most:
                longest = next(iter(self._idle), None)
                if longest is None:
                    return False
                self._drop(longest)
                with contextlib.suppress(OSError):
                    # A request that has just come is still read and answered.
                    longest.shutdown(socket.SHUT_RD)
            self._open.add(connection)
            return True

    def gone(self, connection: socket.socket) -> None:
        """One was closed."""
        with self._lock:
            self._drop(connection)

    def counts(self) -> tuple[int, int]:
        """How many are open, and how many of them wait for a request."""
        with self._lock:
            return len(self._open), len(self._idle)

    @contextlib.contextmanager
    def idle(self, connection: socket.socket) -> Generator[None]:
        """While it waits for a request."""
        with self._lock:
            self._idle[connection] = None
        try:
            yield
        finally:
            with self._lock:
                self._idle.pop(connection, None)

    def _drop(self, connection: socket.socket) -> None:
        self._open.discard(connection)
        self._idle.pop(connection, None)


class Server(ThreadingHTTPServer):
    """A thread per connection, on one port.

    Args:
        host: The address to bind.
        port: The port; 0 picks a free one.

    Raises:
        OSError: The port is taken, or the address is none of this machine.
    """

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, host: str, port: int) -> None:
        super().__init__((host, port), Handler)
        self.application: WSGIApplication
        self.connections = Connections(MOST_CONNECTIONS)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection on a thread of its own, if there is room for one more."""
        if self.connections.admit(request):
            super().process_request(request, client_address)
            return
        with contextlib.suppress(OSError):
            request.setblocking(False)
            request.send(BUSY)
        self.close_request(request)

    def shutdown_request(self, request: Any) -> None:
        """Say goodbye, except on a connection that is to be reset."""
        self.connections.gone(request)
        with contextlib.suppress(OSError):
            if request.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, len(RESET_ON_CLOSE)) == RESET_ON_CLOSE:
                self.close_request(request)
            else:
                super().shutdown_request(request)

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002  (the base class passes them)
        """A connection that ends early is no error; anything else goes to the log."""
        error = sys.exc_info()[1]
        if not isinstance(error, ConnectionError | TimeoutError):
            log.error("a connection failed: %r", error)
