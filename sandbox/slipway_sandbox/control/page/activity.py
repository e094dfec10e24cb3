"""Activity by account and region: the latest calls, and whether something changed since."""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from slipway_sandbox.control.page.reader import SHOWN
from slipway_sandbox.core.calls import Call, Caller
from slipway_sandbox.core.events import Event
from slipway_sandbox.core.world import DEFAULT_ACCOUNT, World

READING = re.compile(r"^(Describe|List|Get|BatchGet|BatchCheck|Head|Lookup|Query|Filter|Pull)")
"""Calls that change nothing begin so."""
ACCOUNT = re.compile(r"\d{12}")
REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d")
DEFAULT_REGION = "us-east-1"


@dataclass(frozen=True, order=True)
class Place:
    """An account in a region."""

    account: str
    region: str

    @property
    def caller(self) -> Caller:
        """A caller of that account and region."""
        return Caller(self.account, self.region, self.account)


@dataclass
class Trace:
    """What is known of a place."""

    calls: deque[Call] = field(default_factory=lambda: deque[Call](maxlen=SHOWN))
    total: int = 0
    failed: int = 0
    changes: int = 0
    """Calls that may have changed something, and events."""
    last: int = 0
    """The number of the latest call."""


class Activity:
    """Follows the call log and the events. Thread-safe.

    Args:
        world: Has the log and the bus.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._traces: dict[Place, Trace] = {}
        self._seen = 0
        self._lock = threading.Lock()
        world.events.subscribe(self._on_event)

    def places(self) -> list[Place]:
        """Every place that has anything, the latest call's first."""
        with self._lock:
            self._follow()
            return sorted(self._traces, key=lambda place: self._traces[place].last, reverse=True)

    def trace(self, place: Place) -> Trace:
        """A copy of what is known of a place."""
        with self._lock:
            self._follow()
            known = self._traces.get(place, Trace())
            return Trace(known.calls.copy(), known.total, known.failed, known.changes, known.last)

    def _follow(self) -> None:
        calls = self._world.calls.all()
        first = calls[0].number if calls else self._seen + 1
        if any(trace.calls and trace.calls[0].number < first for trace in self._traces.values()):
            self._forget_before(first, calls)
        for call in newer(calls, self._seen):
            trace = self._traces.setdefault(Place(call.account, call.region), Trace())
            trace.calls.append(call)
            trace.total += 1
            trace.failed += call.error is not None
            trace.changes += not READING.match(call.operation)
            self._seen = trace.last = call.number

    def _forget_before(self, first: int, calls: Sequence[Call]) -> None:
        """The log was emptied, or is so full that the oldest fell off."""
        emptied = first > self._seen
        for place, trace in self._traces.items():
            trace.calls = deque((call for call in trace.calls if call.number >= first), maxlen=SHOWN)
            if emptied:
                own = [call for call in calls if Place(call.account, call.region) == place and call.number <= self._seen]
                trace.total, trace.failed = len(own), sum(call.error is not None for call in own)

    def _on_event(self, event: Event) -> None:
        with self._lock:
            self._traces.setdefault(Place(event.account, event.region), Trace()).changes += 1


def newer(calls: Sequence[Call], seen: int) -> list[Call]:
    """The calls after a number, oldest first."""
    found: list[Call] = []
    for call in reversed(calls):
        if call.number <= seen:
            break
        found.append(call)
    return found[::-1]


def wanted_place(account: str | None, region: str | None) -> Place:
    """The place that a request names.

    Raises:
        ValueError: It names none.
    """
    place = Place(account or DEFAULT_ACCOUNT, region or DEFAULT_REGION)
    if not ACCOUNT.fullmatch(place.account) or not REGION.fullmatch(place.region):
        raise ValueError(f"{account}/{region} is not an account and region")
    return place
