"""Container health checks, which run inside of the container."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from slipway_sandbox.containers.container import Container
from slipway_sandbox.core.clock import Clock
from slipway_sandbox.ecs.processes import run_inside

SHORTEST_PAUSE = 0.2
"""True seconds between two checks, however fast the simulated time runs."""
SHORTEST_TIMEOUT = 2.0
"""True seconds that a check has: processes run in true time."""


@dataclass(frozen=True)
class Surroundings:
    """Where a container's command runs, and so its health check."""

    folder: str
    variables: Mapping[str, str]


class HealthMonitor:
    """Checks one container until it ends, on a thread of its own.

    Args:
        clock: The sandbox's.
        container: The container.
        check: The definition's `healthCheck`, with its defaults.
        surroundings: Where the command runs.
        report: Called with `HEALTHY` or `UNHEALTHY` whenever that changes.
    """

    def __init__(
        self,
        clock: Clock,
        container: Container,
        check: dict[str, Any],
        surroundings: Surroundings,
        report: Callable[[str], None],
    ) -> None:
        self._clock = clock
        self._container = container
        self._check = check
        self._surroundings = surroundings
        self._report = report
        self._state = "UNKNOWN"
        self._ended = threading.Event()
        threading.Thread(target=self._run, name=f"health-{container.name}", daemon=True).start()

    def close(self) -> None:
        """Check no more."""
        self._ended.set()

    def _run(self) -> None:
        grace_ends = self._clock.seconds() + self._check.get("startPeriod", 0)
        failures = 0
        while self._pause() and self._container.running:
            timeout = self._clock.real(self._check["timeout"], SHORTEST_TIMEOUT)
            place = self._surroundings
            code = run_inside(self._container.pid, command_of(self._check["command"]), place.folder, place.variables, timeout)
            if code == 0:
                failures = 0
                self._become("HEALTHY")
            elif code is not None and (self._state == "HEALTHY" or self._clock.seconds() >= grace_ends):
                failures += 1
                if failures >= self._check["retries"]:
                    self._become("UNHEALTHY")

    def _become(self, state: str) -> None:
        if state != self._state and not self._ended.is_set():
            self._state = state
            self._report(state)

    def _pause(self) -> bool:
        """Wait for the next check; returns whether there is to be one."""
        begin = time.monotonic()
        due = threading.Event()
        timer = self._clock.call_later(self._check["interval"], due.set)
        while not due.wait(SHORTEST_PAUSE):
            if self._ended.is_set():
                timer.cancel()
                return False
        return not self._ended.wait(max(0.0, SHORTEST_PAUSE - (time.monotonic() - begin)))


def command_of(command: Sequence[str]) -> list[str]:
    """What a health check's command runs: itself, or the container's shell."""
    kind, *rest = command
    return ["/bin/sh", "-c", " ".join(rest)] if kind == "CMD-SHELL" else rest
