"""What ECS forgets after a while: stopped tasks and client tokens."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

from slipway_sandbox.core.clock import Clock

Key = TypeVar("Key", bound=Hashable)


class Expiry(Generic[Key]):
    """Keys in the order in which they are due.

    Args:
        clock: The sandbox's.
        seconds: Simulated seconds that each key is kept.
        at_least: Real seconds that it is kept at least, unless time is moved by hand: clients poll in real time.
    """

    def __init__(self, clock: Clock, seconds: float, at_least: float = 0.0) -> None:
        self._clock = clock
        self._seconds = seconds
        self._at_least = at_least
        self._due: deque[tuple[float, float, Key]] = deque()

    def add(self, key: Key) -> None:
        """Keep a key from now on."""
        self._due.append((self._clock.seconds() + self._seconds, time.monotonic() + self._at_least, key))

    def take_due(self) -> list[Key]:
        """The keys whose time has come, each once."""
        found: list[Key] = []
        now, real_now = self._clock.seconds(), time.monotonic()
        while self._due and self._due[0][0] <= now and (self._clock.scale == 0 or self._due[0][1] <= real_now):
            found.append(self._due.popleft()[2])
        return found
