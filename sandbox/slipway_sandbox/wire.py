"""The HTTP server under the gateway: connections that stay open, bodies of any size, and faults that really cut the line.

werkzeug's development server closes every connection after one answer. AWS does not, and clients pool their connections.
"""

from __future__ import annotations

import contextlib
import io
import logging
import socket
import struct
import sys
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, BinaryIO, cast
from urllib.parse import unquote_to_bytes
from wsgiref.types import WSGIApplication, WSGIEnvironment

log = logging.getLogger(__name__)

DRAIN_LIMIT = 1024 * 1024
"""Bytes of an unread body that are read to keep the connection; a longer one closes it."""
IDLE_TIMEOUT = 300
"""Seconds that a client may keep silent on an open connection."""
SEND_BUFFER = 64 * 1024
LINE_LIMIT = 4096
RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER on, with no time to linger: closing sends a reset."""
Headers = list[tuple[str, str]]


class LostConnectionError(Exception):
    """The client is to see its connection cut: what a planted fault raises."""


class BadRequestError(Exception):
    """A request that is not HTTP; the text says why."""


class LengthInput(io.RawIOBase):
    """A request body of a known length, which ends there."""

    def __init__(self, source: BinaryIO, length: int) -> None:
        super().__init__()
        self._source = source
        self._left = length

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        size = min(len(buffer), self._left)
        buffer[:size] = exactly(self._source, size)
        self._left -= size
        return size


class ChunkedInput(io.RawIOBase):
    """A request body in chunked transfer encoding (RFC 9112 §7.1); extensions and trailers are skipped."""

    def __init__(self, source: BinaryIO) -> None:
        super().__init__()
        self._source = source
        self._left = 0
        self._ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        if self._left == 0 and not self._ended:
            self._next_chunk()
        size = min(len(buffer), self._left)
        buffer[:size] = exactly(self._source, size)
        self._left -= size
        if size and self._left == 0:
            self._line()
        return size

    def _next_chunk(self) -> None:
        try:
            self._left = int(self._line().partition(b";")[0], 16)
        except ValueError as error:
            raise ConnectionResetError("the request's chunks are garbled") from error
        if self._left == 0:
            self._ended = True
            while self._line():
                """A trailer."""

    def _line(self) -> bytes:
        line = self._source.readline(LINE_LIMIT)
        if not line.endswith(b"\n"):
            raise ConnectionResetError("the client went away inside its request body")
        return line.strip()


def exactly(source: BinaryIO, size: int) -> bytes:
    """That many bytes, or the news that the client is gone."""
    data = source.read(size)
    if len(data) < size:
        raise ConnectionResetError("the client went away inside its request body")
    return data


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
    timeout = IDLE_TIMEOUT
    disable_nagle_algorithm = True
    wbufsize = SEND_BUFFER

    def handle_expect_100(self) -> bool:
        ready = super().handle_expect_100()
        self.wfile.flush()
        return ready

    def run(self) -> None:
        """Answer one request."""
        answer = Answer(self)
        try:
            body = io.BufferedReader(self._input())
            self._call(self._environ(body), answer)
            self._drain(body)
        except BadRequestError as error:
            self.send_error(HTTPStatus.BAD_REQUEST, str(error))
            self.close_connection = True
        except LostConnectionError:
            self._cut()
        except (ConnectionError, TimeoutError):
            # The client is gone; there is no one to tell.
            self.close_connection = True
        except Exception:
            log.exception("%s %s failed", self.command, self.path)
            self._apologise(answer)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = run  # noqa: N815  (http.server asks for these names)

    def _input(self) -> io.RawIOBase:
        source = cast(BinaryIO, self.rfile)
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            return ChunkedInput(source)
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal():
            raise BadRequestError(f"Content-Length is {length!r}, which is no number of bytes")
        return LengthInput(source, int(length))

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
        left = DRAIN_LIMIT
        while left > 0:
            chunk = body.read(min(left, SEND_BUFFER))
            if not chunk:
                return
            left -= len(chunk)
        self.close_connection = True

    def _apologise(self, answer: Answer) -> None:
        self.close_connection = True
        if not answer.started:
            self.send_error(HTTPStatus.INTERNAL_SERVER_ERROR, "the sandbox made a mistake; its log has the details")

    def _cut(self) -> None:
        """End the connection as a broken network does: a reset, and no answer."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the base class names it so)
        """Say nothing: every call is in the call log."""


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

    def shutdown_request(self, request: Any) -> None:
        """Say goodbye, except on a connection that is to be reset."""
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
