"""The one clock that every simulated wait goes by.

Timestamps are true: clients compare them with their own clocks. Only *waits* are scaled, so that ten minutes of a canary pass in
a second and are still a wait. Containers run in real time.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

log = logging.getLogger(__name__)


class Timer:
    """A call that is due later. Cancelling one that has run does nothing."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self._callback = callback
        self._cancelled = False

    def cancel(self) -> None:
        """Drop the call, if it has not run yet."""
        self._cancelled = True

    def fire(self) -> None:
        """Run the call unless it was cancelled."""
        if not self._cancelled:
            self._callback()


class Clock:
    """Schedules calls on one thread of its own, at `scale` times the speed of real time.

    Args:
        scale: Simulated seconds that pass in one real second; above zero.
    """

    def __init__(self, scale: float = 1.0) -> None:
        if scale <= 0:
            raise ValueError(f"the time scale is a number above 0, not {scale}")
        self.scale = scale
        self._due: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        threading.Thread(target=self._run, name="sandbox-clock", daemon=True).start()

    def now(self) -> datetime:
        """The true time, in UTC."""
        return datetime.now(UTC)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Run a short call after `seconds` of simulated time, on the clock's thread.

        A call that would block (a container, a download) starts a thread of its own.
        """
        timer = Timer(callback)
        with self._changed:
            heapq.heappush(self._due, (time.monotonic() + seconds / self.scale, next(self._order), timer))
            self._changed.notify()
        return timer

    def _run(self) -> None:
        while True:
            timer = self._next()
            try:
                timer.fire()
            except Exception:
                # One room's mistake must not stop the time of all the others.
                log.exception("a scheduled call failed")

    def _next(self) -> Timer:
        with self._changed:
            while True:
                wait = self._due[0][0] - time.monotonic() if self._due else None
                if wait is not None and wait <= 0:
                    return heapq.heappop(self._due)[2]
                self._changed.wait(wait)
