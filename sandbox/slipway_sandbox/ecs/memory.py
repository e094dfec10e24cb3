"""Ends what uses more memory than its task definition gives it, as the kernel does on AWS."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from slipway_sandbox.containers.container import Container
from slipway_sandbox.ecs.processes import kill, shared_memory_of, usage_of

MEBIBYTE = 1 << 20
LOOK_SECONDS = 0.5
"""True seconds between two looks. What grows faster goes over its limit for so long."""


@dataclass(frozen=True)
class Watched:
    """A container with a limit."""

    container: Container
    limit: int
    """Bytes."""
    on_kill: Callable[[], None]
    """Called before the process that has the most is killed."""


class MemoryWatch:
    """Looks at all containers, on one thread that is there while there are any."""

    def __init__(self) -> None:
        self._watched: list[Watched] = []
        self._lock = threading.Lock()
        self._running = False

    def add(self, container: Container, mebibytes: int, on_kill: Callable[[], None]) -> None:
        """Watch a container until it ends."""
        with self._lock:
            self._watched.append(Watched(container, mebibytes * MEBIBYTE, on_kill))
            if not self._running:
                self._running = True
                threading.Thread(target=self._run, name="ecs-memory", daemon=True).start()

    def _run(self) -> None:
        pause = threading.Event()
        while True:
            with self._lock:
                watched = self._watched = [each for each in self._watched if each.container.running]
                if not watched:
                    self._running = False
                    return
            for each in watched:
                usage = usage_of(each.container.pid)
                if usage and usage.memory > each.limit < shared_memory_of(each.container.pid):
                    each.on_kill()
                    kill(usage.largest)
            pause.wait(LOOK_SECONDS)
