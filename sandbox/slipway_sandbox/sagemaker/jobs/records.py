"""How batch transform cuts an object into records and mini-batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import IO

MEGABYTE = 1 << 20


class RecordError(Exception):
    """A record that cannot be sent. The object has no output then."""


def records_of(file: IO[bytes], split: str, limit: int) -> Iterator[bytes]:
    """The records of a file.

    Args:
        file: The object's content.
        split: The SplitType: `Line`, or `None` for the whole file as one record.
        limit: The most bytes of a record; 0 for no limit.

    Raises:
        RecordError: One is longer.
    """
    if split == "Line":
        for line in file:
            record = line.rstrip(b"\r\n")
            if record:
                yield within(record, limit)
    else:
        yield within(file.read(limit + 1 if limit else -1), limit)


def within(record: bytes, limit: int) -> bytes:
    """The record, if it is no longer than the limit.

    Raises:
        RecordError: It is.
    """
    if limit and len(record) > limit:
        raise RecordError("Too much data for max payload size")
    return record


def batches_of(records: Iterable[bytes], strategy: str, limit: int) -> Iterator[list[bytes]]:
    """The mini-batches: as many records as fit into the payload, or one by one.

    Args:
        records: All of one file.
        strategy: `MultiRecord` or `SingleRecord`.
        limit: The most bytes of a payload; 0 for no limit.
    """
    batch: list[bytes] = []
    size = 0
    for record in records:
        full = strategy == "SingleRecord" or (limit and size + len(record) + 1 > limit)
        if batch and full:
            yield batch
            batch, size = [], 0
        batch.append(record)
        size += len(record) + 1
    if batch:
        yield batch


def assembled(answers: Iterable[bytes], assemble: str) -> Iterator[bytes]:
    """The answers as they are written: one after the other, or each with a line's end."""
    for answer in answers:
        yield answer.rstrip(b"\n") + b"\n" if assemble == "Line" else answer
