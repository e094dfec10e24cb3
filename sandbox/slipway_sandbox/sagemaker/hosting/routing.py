"""Which of an endpoint's servers answers the next request."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol


class Server(Protocol):
    """One variant's serving process, as the router and the runtime see it."""

    @property
    def url(self) -> str:
        """Where it listens."""
        ...

    def enter(self) -> None:
        """A request is on its way to it."""

    def leave(self) -> None:
        """That request was answered."""


@dataclass(frozen=True)
class Route:
    """One variant of one fleet, and its weight in the traffic."""

    variant: str
    config: str
    server: Server
    weight: float


class Router:
    """Splits requests by weight in exact proportions: of any hundred requests, a canary of 25 % gets 25.

    This is smooth weighted round robin: each route earns its weight with every request, and the richest one is picked and
    pays for all. AWS throws dice instead; over many requests that comes to the same.
    """

    def __init__(self) -> None:
        self._routes: list[Route] = []
        self._earned: list[float] = []
        self._lock = threading.Lock()

    def set(self, routes: Iterable[Route]) -> None:
        """Replace the routes. Requests under way keep theirs."""
        with self._lock:
            self._routes = list(routes)
            self._earned = [0.0] * len(self._routes)

    def take(self, variant: str | None = None) -> Route | None:
        """The route of the next request, entered: whoever takes it calls `server.leave()` at the end.

        Args:
            variant: Only this variant may answer.

        Returns:
            None where no route is left, or none of that variant.
        """
        with self._lock:
            numbers = [number for number, route in enumerate(self._routes) if variant in (None, route.variant)]
            if not numbers:
                return None
            route = self._routes[self._richest(numbers)]
            route.server.enter()
            return route

    def _richest(self, numbers: list[int]) -> int:
        weights = {number: self._routes[number].weight for number in numbers}
        total = sum(weights.values())
        if total <= 0:
            # A variant of weight 0 gets no traffic of its own, and can still be asked for by name.
            weights, total = dict.fromkeys(numbers, 1.0), float(len(numbers))
        for number, weight in weights.items():
            self._earned[number] += weight
        candidates = [number for number in numbers if weights[number] > 0]
        best = max(candidates, key=lambda number: self._earned[number])
        self._earned[best] -= total
        return best
