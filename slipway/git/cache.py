"""What was read from mirrors, kept in memory: a file at a commit never changes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection
from typing import Generic, TypeVar

from slipway.git.mirror import Entry

K = TypeVar("K")
V = TypeVar("V")
BYTES = 16_000_000
"""The most bytes of files that are kept."""
ENTRIES = 10_000


class Kept(Generic[K, V]):
    """A dictionary that forgets what was not used for longest.

    Args:
        limit: The most that is kept, as `size` counts.
        size: What one value counts.
    """

    def __init__(self, limit: int, size: Callable[[V], int] = lambda _: 1) -> None:
        self._limit = limit
        self._size = size
        self._total = 0
        self._values: OrderedDict[K, V] = OrderedDict()

    def __contains__(self, key: K) -> bool:
        return key in self._values

    def __getitem__(self, key: K) -> V:
        self._values.move_to_end(key)
        return self._values[key]

    def get(self, key: K) -> V | None:
        """The value, or none where it is not kept."""
        if key in self._values:
            self._values.move_to_end(key)
        return self._values.get(key)

    def __setitem__(self, key: K, value: V) -> None:
        if key in self._values:
            self._total -= self._size(self._values.pop(key))
        self._values[key] = value
        self._total += self._size(value)
        while self._total > self._limit:
            _, forgotten = self._values.popitem(last=False)
            self._total -= self._size(forgotten)


class FileCache:
    """Entries of trees and contents of files. Keys begin with the mirror: one repository's content is never another's."""

    def __init__(self) -> None:
        self.entries: Kept[tuple[str, str, str], Entry | None] = Kept(ENTRIES)
        """By mirror, commit and path."""
        self.contents: Kept[tuple[str, str], bytes] = Kept(BYTES, len)
        """By mirror and blob."""

    def known(self, mirror: str, commit: str, paths: Collection[str]) -> dict[str, bytes | None] | None:
        """Files' contents at a commit, if all of them are kept."""
        contents: dict[str, bytes | None] = {}
        for path in paths:
            if (mirror, commit, path) not in self.entries:
                return None
            entry = self.entries[mirror, commit, path]
            if entry and (mirror, entry.blob) not in self.contents:
                return None
            contents[path] = self.contents[mirror, entry.blob] if entry else None
        return contents
