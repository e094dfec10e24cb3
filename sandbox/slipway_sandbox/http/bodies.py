"""The bodies of requests, as files that end where the body does."""

from __future__ import annotations

import io
from typing import Protocol

BODY_LIMIT = 52_000 * 1024**2
"""Bytes of the longest layer that ECR takes."""
LINE_LIMIT = 4096
"""Bytes of a chunk's size with its extensions, or of a trailer."""
BUFFER = 64 * 1024
"""Bytes that are read at once."""


class Source(Protocol):
    """What a connection sends, as cheroot reads it: slowly, as it does so in Python."""

    @property
    def raw(self) -> io.RawIOBase: ...

    def has_data(self) -> bool: ...

    def read1(self, size: int, /) -> bytes: ...

    def readline(self, size: int, /) -> bytes: ...


class LengthInput(io.RawIOBase):
    """A request body of a known length."""

    def __init__(self, source: Source, length: int) -> None:
        super().__init__()
        self._source = source
        self._left = length

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        size = received(self._source, buffer, self._left)
        self._left -= size
        return size


class ChunkedInput(io.RawIOBase):
    """A request body in chunked transfer encoding (RFC 9112 §7.1); extensions and trailers are skipped."""

    def __init__(self, source: Source) -> None:
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
        size = received(self._source, buffer, self._left)
        self._left -= size
        if size and self._left == 0:
            self._line()
        return size

    def _next_chunk(self) -> None:
        size = self._line().partition(b";")[0]
        try:
            self._left = int(size, 16)
        except ValueError as error:
            raise ConnectionResetError(f"{size!r} is no length of a chunk") from error
        self._total += self._left
        if self._left < 0 or self._total > BODY_LIMIT:
            raise ConnectionResetError(f"a chunk of {self._left} bytes is none, or too many")
        self._ended = self._left == 0
        while self._ended and self._line():
            pass  # a trailer

    def _line(self) -> bytes:
        line = self._source.readline(LINE_LIMIT)
        if not line.endswith(b"\n"):
            raise ConnectionResetError("the client went away inside its request body")
        return line.strip()


def received(source: Source, buffer: memoryview, most: int) -> int:
    """Take what there is of a body, and at least one byte; returns how much. What is not buffered comes from the socket itself.

    Args:
        source: Where it comes from.
        buffer: Where it goes to; Python hands a bytearray, too.
        most: How much of it is to be filled.

    Raises:
        ConnectionResetError: The client is gone before it has sent it.
    """
    into = memoryview(buffer)[:most]
    if not into:
        return 0
    if source.has_data():
        data = source.read1(len(into))
        into[: len(data)] = data
        return len(data)
    size = source.raw.readinto(into)
    if not size:
        raise ConnectionResetError("the client went away inside its request body")
    return size


def body_of(source: Source, length: int | None) -> io.BufferedReader:
    """The body that follows a head; in chunks where no length is given."""
    return io.BufferedReader(ChunkedInput(source) if length is None else LengthInput(source, max(length, 0)), BUFFER)
