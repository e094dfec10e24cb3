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
        """Cancel the call, if it has not run yet."""
        self._cancelled = True

    def fire(self) -> None:
        """Run the call unless it was cancelled."""
        if not self._cancelled:
            self._callback()


class Clock:
    """Schedules calls on one thread of its own, at `scale` times the speed of real time.

    Args:
        scale: Simulated seconds that pass in one real second. At 0 time stands still until `advance` moves it.
    """

    def __init__(self, scale: float = 1.0) -> None:
        self._scale = checked(scale)
        self._passed = 0.0
        """Simulated seconds until `_since`."""
        self._since = time.monotonic()
        self._due: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        threading.Thread(target=self._run, name="sandbox-clock", daemon=True).start()

    @property
    def scale(self) -> float:
        """Simulated seconds in a real one; 0 if time is moved by hand."""
        return self._scale

    def now(self) -> datetime:
        """The real time, in UTC."""
        return datetime.now(UTC)

    def seconds(self) -> float:
        """Simulated seconds since the start."""
        with self._changed:
            return self._seconds()

    def real(self, seconds: float, at_least: float = 0.0) -> float:
        """The real seconds for something that runs in real time, such as a process that is to end.

        Args:
            seconds: What AWS gives it, in simulated time. Where time is moved by hand they are real seconds.
            at_least: Real seconds that it gets however fast simulated time runs.
        """
        return max(at_least, seconds / (self._scale or 1.0))

    def set_scale(self, scale: float) -> None:
        """Let the time run faster or slower from now on, or stand still (0).

        Raises:
            ValueError: The scale is below zero.
        """
        with self._changed:
            checked(scale)
            self._passed, self._since = self._seconds(), time.monotonic()
            self._scale = scale
            self._changed.notify()

    def advance(self, seconds: float) -> None:
        """Advance simulated time by `seconds`. Due timers fire in order; timers they set count from the new time.

        Raises:
            ValueError: They are below zero.
        """
        if seconds < 0:
            raise ValueError(f"time goes forward only, not by {seconds} s")
        with self._changed:
            self._passed += seconds
            self._changed.notify()

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Run a short call after `seconds` of simulated time, on the clock's thread.

        A call that would block (a container, a download) starts a thread of its own.
        """
        timer = Timer(callback)
        with self._changed:
            heapq.heappush(self._due, (self._seconds() + seconds, next(self._order), timer))
            self._changed.notify()
        return timer

    def _seconds(self) -> float:
        return self._passed + (time.monotonic() - self._since) * self._scale

    def _run(self) -> None:
        while True:
            timer = self._next()
            try:
                timer.fire()
            except Exception:
                # A bug in one room must not stop the time of the others.
                log.exception("a scheduled call failed")

    def _next(self) -> Timer:
        with self._changed:
            while True:
                wait = self._due[0][0] - self._seconds() if self._due else None
                if wait is not None and wait <= 0:
                    return heapq.heappop(self._due)[2]
                self._changed.wait(wait / self._scale if wait is not None and self._scale else None)


def checked(scale: float) -> float:
    """The scale, if it is one.

    Raises:
        ValueError: It is below zero.
    """
    if scale < 0:
        raise ValueError(f"the time scale is 0 or more, not {scale}")
    return scale
