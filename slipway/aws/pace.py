"""How often something is looked at: slower while that goes wrong."""

from __future__ import annotations

import time

LONGEST = 120.0
"""The longest time between two rounds, in seconds, unless the interval itself is longer."""
DOUBLINGS = 10
"""More make no difference."""


class Pace:
    """The time between two rounds of looks. Several pollers may share one: what slows one down slows them all.

    Args:
        interval: Seconds between two rounds where nothing is wrong.
    """

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._doublings = 0
        self._until = 0.0

    @property
    def seconds(self) -> float:
        """Seconds from one round to the next."""
        return min(self._interval * 2**self._doublings, max(LONGEST, self._interval))

    @property
    def is_slowed(self) -> bool:
        """Whether it is slower than it would be."""
        return self._doublings > 0

    def note(self, *, wrong: bool) -> None:
        """Go by what came of a round: twice as slow after one that went wrong, else as fast as at first.

        A round that went well while others wait says nothing about what slowed them down.
        """
        now = time.monotonic()
        if wrong:
            self._doublings = min(self._doublings + 1, DOUBLINGS)
            # What was slowed down has looked again by then. Others come to their rounds at about the same time as it.
            self._until = now + 2 * self.seconds
        elif now >= self._until:
            self._doublings = 0
