"""Which of an endpoint's servers answers the next request."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol


class BusyError(Exception):
    """The variant answers as many requests as it may."""


class Server(Protocol):
    """What serves one variant, as the router and the runtime see it."""

    @property
    def limit(self) -> int | None:
        """How many requests it may answer at a time, where it is serverless."""
        ...

    @property
    def direct(self) -> bool:
        """Whether each request has to name its container."""
        ...

    def urls(self, hostname: str | None) -> Sequence[tuple[str, str]]:
        """Name and address of each container that a request passes; none for a name that no container has."""
        ...

    def enter(self) -> bool:
        """A request is on its way to it, if it can take one more."""
        ...

    def leave(self) -> None:
        """That request was answered."""


class Sampler:
    """Picks an exact share of the requests: a quarter is every fourth.

    Args:
        share: From 0 to 1.
    """

    def __init__(self, share: float) -> None:
        self._share = min(1.0, share)
        self._earned = 0.0
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Whether the next one is picked."""
        with self._lock:
            self._earned += self._share
            # Ten times nine tenths is a little less than nine in floating point.
            picked = self._earned >= 1 - 1e-9
            self._earned -= picked
            return picked


@dataclass(frozen=True)
class Shadow:
    """A variant that gets copies of another one's requests; its answers are dropped."""

    variant: str
    server: Server
    instances: int
    sampler: Sampler


@dataclass(frozen=True)
class Route:
    """One variant of one fleet, and its weight in the traffic."""

    variant: str
    config: str
    server: Server
    weight: float
    instances: int = 1
    shadow: Shadow | None = None


class Router:
    """Splits requests by weight in exact proportions: of any hundred requests, a canary of 25 % gets 25.

    This is smooth weighted round robin: each route earns its weight with every request, and the richest one is picked and
    pays for all. AWS chooses at random; over many requests the result is the same.
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
        """The route of the next request, entered: the caller has to call `server.leave()` at the end.

        Args:
            variant: Only this variant may answer.

        Returns:
            None where there is no route, or no route to that variant.

        Raises:
            BusyError: The variant answers as many requests as it may.
        """
        with self._lock:
            numbers = [number for number, route in enumerate(self._routes) if variant in (None, route.variant)]
            if not numbers:
                return None
            route = self._routes[self._richest(numbers)]
            if not route.server.enter():
                raise BusyError
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
