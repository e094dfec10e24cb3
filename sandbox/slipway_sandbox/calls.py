"""The log of every AWS call that a client made."""

from __future__ import annotations

import itertools
import threading
from collections import Counter, deque
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

KEPT = 100_000
"""Calls that are kept; older ones fall off, so that a long-lived sandbox does not grow without end."""


@dataclass(frozen=True)
class Caller:
    """Who calls, and where: the account and region that a request's credentials and signature name."""

    account: str
    region: str
    access_key: str


@dataclass(frozen=True)
class Call:
    """One call and how it ended. `error` is the error code, or None for a success."""

    number: int
    at: datetime
    account: str
    region: str
    service: str
    operation: str
    request: dict[str, Any]
    status: int
    error: str | None

    def to_json(self) -> dict[str, Any]:
        """The call as JSON-ready values."""
        return {**asdict(self), "at": self.at.isoformat()}


class CallLog:
    """Thread-safe, in order of completion."""

    def __init__(self) -> None:
        self._calls: deque[Call] = deque(maxlen=KEPT)
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def add(
        self,
        at: datetime,
        caller: Caller,
        service: str,
        operation: str,
        request: dict[str, Any],
        status: int,
        error: str | None,
    ) -> None:
        """Note one call."""
        with self._lock:
            call = Call(next(self._numbers), at, caller.account, caller.region, service, operation, request, status, error)
            self._calls.append(call)

    def all(self) -> list[Call]:
        """Every call that is kept, oldest first."""
        with self._lock:
            return list(self._calls)

    def counts(self, account: str | None = None) -> dict[str, int]:
        """Calls by `service.Operation`, the most frequent first; of one account, or of all."""
        calls = [call for call in self.all() if account in (None, call.account)]
        return dict(Counter(f"{call.service}.{call.operation}" for call in calls).most_common())

    def clear(self) -> None:
        """Forget all calls."""
        with self._lock:
            self._calls.clear()
