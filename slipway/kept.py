"""What is kept in memory because it is dear to make again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


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

    def get_or_make(self, key: K, make: Callable[[], V]) -> V:
        """The value, made and kept where it is not there."""
        if key in self:
            return self[key]
        made = self[key] = make()
        return made

    def __setitem__(self, key: K, value: V) -> None:
        if key in self._values:
            self._total -= self._size(self._values.pop(key))
        self._values[key] = value
        self._total += self._size(value)
        while self._total > self._limit:
            _, forgotten = self._values.popitem(last=False)
            self._total -= self._size(forgotten)
