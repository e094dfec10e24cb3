"""Background work on a few threads of its own."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)


class Workers:
    """Does pieces of work in the order in which they come.

    Args:
        name: What the threads are called.
        threads: How many pieces are done at a time.
        most: How many may wait; more are dropped.
    """

    def __init__(self, name: str, threads: int, most: int) -> None:
        self._name = name
        self._threads = threads
        self._work: queue.Queue[Callable[[], None]] = queue.Queue(most)
        self._started = 0
        self._lock = threading.Lock()

    def submit(self, work: Callable[[], None]) -> bool:
        """Do this some time soon; False where too much waits already."""
        try:
            self._work.put_nowait(work)
        except queue.Full:
            return False
        with self._lock:
            if self._started < self._threads:
                self._started += 1
                threading.Thread(target=self._run, name=f"{self._name}-{self._started}", daemon=True).start()
        return True

    def _run(self) -> None:
        while True:
            work = self._work.get()
            try:
                work()
            except Exception:
                log.exception("a piece of work of %s failed", self._name)
