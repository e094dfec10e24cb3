"""What comes on a connection: bytes that are not waited for without end, the heads of requests, and their bodies.

The limits are those of AWS's own front doors where they are published: an Application Load Balancer's for heads, and the longest
layer that ECR takes for bodies.
"""

from __future__ import annotations

import io
import re
import socket
import time
from email.message import Message
from http import HTTPStatus
from typing import BinaryIO

REQUEST_LINE_LIMIT = 16 * 1024
HEAD_LIMIT = 64 * 1024
"""Bytes of a request line with all headers."""
BODY_LIMIT = 52_000 * 1024**2
CHUNK_LINE_LIMIT = 4096
"""Bytes of a chunk's size with its extensions, or of a trailer."""
SILENCE = 60.0
"""Seconds that a client may send nothing of a body, or read nothing of an answer."""
CHUNK_SIZE = re.compile(rb"[0-9a-fA-F]{1,16}")
LENGTH = re.compile(r"[0-9]{1,20}")
HEADER = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:")
"""How a header begins. Folded ones, and those with a space before the colon, are understood in different ways (RFC 9112 §5)."""
END_OF_HEAD = frozenset({b"\r\n", b"\n"})


class RefusedError(Exception):
    """A request that is answered before any application sees it.

    Args:
        status: The answer's status.
        text: What is wrong with the request.
    """

    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.status = status


class Line(io.RawIOBase):
    """The receiving side of a connection. Whoever waits for too long gets a TimeoutError."""

    def __init__(self, connection: socket.socket) -> None:
        super().__init__()
        self._connection = connection
        self._deadline: float | None = None

    def allow(self, seconds: float) -> None:
        """From now on everything has to come within so many seconds, however slowly it drips."""
        self._deadline = time.monotonic() + seconds

    def allow_pauses(self) -> None:
        """From now on it may take any time, if it is never silent for long."""
        self._deadline = None
        self._connection.settimeout(SILENCE)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        if self._deadline is not None:
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("the client is too slow")
            self._connection.settimeout(left)
        return self._connection.recv_into(buffer)


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
        self._total = 0
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
        size = self._line().partition(b";")[0].strip()
        if not CHUNK_SIZE.fullmatch(size):
            raise ConnectionResetError("the request's chunks are garbled")
        self._left = int(size, 16)
        self._total += self._left
        if self._total > BODY_LIMIT:
            raise ConnectionResetError("the request's chunks have no end")
        if self._left == 0:
            self._ended = True
            self._skip_trailers()

    def _skip_trailers(self) -> None:
        length = 0
        while line := self._line():
            length += len(line)
            if length > HEAD_LIMIT:
                raise ConnectionResetError("the request's trailers have no end")

    def _line(self) -> bytes:
        line = self._source.readline(CHUNK_LINE_LIMIT)
        if not line.endswith(b"\n"):
            raise ConnectionResetError("the client went away inside its request body")
        return line.strip()


def exactly(source: BinaryIO, size: int) -> bytes:
    """That many bytes, or the news that the client is gone."""
    try:
        data = source.read(size)
    except TimeoutError as error:
        raise ConnectionAbortedError("the client fell silent inside its request body") from error
    if len(data) < size:
        raise ConnectionResetError("the client went away inside its request body")
    return data


def head_of(source: BinaryIO) -> tuple[bytes, bytes]:
    """A request's first line, and its headers with the empty line behind them.

    Raises:
        RefusedError: It is too long, or no HTTP.
        ConnectionResetError: The client went away inside it.
    """
    first = source.readline(REQUEST_LINE_LIMIT + 1)
    if len(first) > REQUEST_LINE_LIMIT:
        raise RefusedError(HTTPStatus.REQUEST_URI_TOO_LONG, f"The request line is longer than {REQUEST_LINE_LIMIT} bytes.")
    headers = b""
    for line in iter(lambda: source.readline(HEAD_LIMIT + 1), b""):
        headers += line
        if len(first) + len(headers) > HEAD_LIMIT:
            raise RefusedError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"The headers are longer than {HEAD_LIMIT} bytes.")
        if line in END_OF_HEAD:
            return first, headers
        if not HEADER.match(line):
            raise RefusedError(HTTPStatus.BAD_REQUEST, "The headers are garbled.")
    raise ConnectionResetError("the client went away inside its request's head")


def length_of(headers: Message) -> int | None:
    """How long a request's body is: 0 where no header says that there is one, None where its chunks will tell.

    Raises:
        RefusedError: Its headers contradict each other, name a coding that is not known, or a length that nothing has.
    """
    lengths = {value.strip() for value in headers.get_all("Content-Length", [])}
    coding = headers.get("Transfer-Encoding")
    if (coding is not None and lengths) or len(lengths) > 1:
        raise RefusedError(HTTPStatus.BAD_REQUEST, "The headers contradict each other about how long the body is.")
    if coding is not None:
        if coding.strip().lower() != "chunked":
            raise RefusedError(HTTPStatus.NOT_IMPLEMENTED, f"The transfer coding {coding!r} is not known.")
        return None
    length = lengths.pop() if lengths else "0"
    if not LENGTH.fullmatch(length):
        raise RefusedError(HTTPStatus.BAD_REQUEST, f"Content-Length is {length!r}, which is no number of bytes.")
    if int(length) > BODY_LIMIT:
        raise RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body is longer than {BODY_LIMIT} bytes.")
    return int(length)


def body_of(source: BinaryIO, length: int | None) -> io.BufferedReader:
    """The body that follows a head, as a file that ends where the body does."""
    return io.BufferedReader(ChunkedInput(source) if length is None else LengthInput(source, length))
