"""The bodies of requests, as files that end where the body does."""

from __future__ import annotations

import io
from typing import BinaryIO

BODY_LIMIT = 52_000 * 1024**2
"""Bytes of the longest layer that ECR takes."""
LINE_LIMIT = 4096
"""Bytes of a chunk's size with its extensions, or of a trailer."""
BUFFER = 64 * 1024
"""Bytes that are read at once."""


class LengthInput(io.RawIOBase):
    """A request body of a known length."""

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


def exactly(source: BinaryIO, size: int) -> bytes:
    """That many bytes.

    Raises:
        ConnectionResetError: The client is gone before it has sent them.
    """
    data = source.read(size)
    if len(data) < size:
        raise ConnectionResetError("the client went away inside its request body")
    return data


def body_of(source: BinaryIO, length: int | None) -> io.BufferedReader:
    """The body that follows a head; in chunks where no length is given."""
    return io.BufferedReader(ChunkedInput(source) if length is None else LengthInput(source, max(length, 0)), BUFFER)
