"""A call as it comes in, what it needs to be allowed, and the log of every AWS call that a client made."""

from __future__ import annotations

import itertools
import threading
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from wsgiref.types import WSGIEnvironment

KEPT = 100_000
"""Calls that are kept. Older ones are dropped, so that the memory of a long-lived sandbox is bounded."""


@dataclass(frozen=True)
class Caller:
    """Who calls, and where: the account and region that a request's credentials and signature name."""

    account: str
    region: str
    access_key: str
    principal: str = ""
    """The caller's ARN, as GetCallerIdentity returns it; empty for the sandbox itself."""


@dataclass(frozen=True)
class Need:
    """An action that the caller must be allowed on each of some resources."""

    action: str
    """In IAM's spelling, such as `ecr:BatchGetImage`."""
    resources: tuple[str, ...] = ("*",)
    """Their ARNs."""
    context: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    """Condition keys of this action, in addition to those of every call."""


@dataclass
class Incoming:
    """One call as it comes in. The service that answers it may fill in `request` (its parameters) and `error` (its code)."""

    environ: WSGIEnvironment
    caller: Caller
    service: str
    operation: str
    request: dict[str, Any] = field(default_factory=dict[str, Any])
    error: str | None = None
    needs: Sequence[Need] = ()
    """The permissions that it needs; filled in by the guard."""


class Guard(Protocol):
    """Allows or refuses calls."""

    def check(self, call: Incoming) -> None:
        """Note which permissions a call needs, and refuse it if a policy does not grant them.

        Raises:
            AwsError: It is not allowed, or its credentials have expired.
        """
        ...


class OpenDoor:
    """A guard that allows every call."""

    def check(self, call: Incoming) -> None:
        """Allow every call."""


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
    principal: str
    """The caller's ARN."""
    needs: Sequence[Need]
    """The actions that the call needed, and the resources it needed them on."""

    def to_json(self) -> dict[str, Any]:
        """The call as JSON-ready values."""
        needs = [{"action": need.action, "resources": need.resources} for need in self.needs]
        return {**vars(self), "at": self.at.isoformat(), "needs": needs}


class CallLog:
    """Thread-safe, in order of completion."""

    def __init__(self) -> None:
        self._calls: deque[Call] = deque(maxlen=KEPT)
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def add(self, at: datetime, incoming: Incoming, status: int, error: str | None) -> None:
        """Note how one call ended."""
        caller = incoming.caller
        with self._lock:
            call = Call(
                number=next(self._numbers),
                at=at,
                account=caller.account,
                region=caller.region,
                service=incoming.service,
                operation=incoming.operation,
                request=incoming.request,
                status=status,
                error=error,
                principal=caller.principal,
                needs=incoming.needs,
            )
            self._calls.append(call)

    def all(self) -> list[Call]:
        """Every call that is kept, oldest first."""
        with self._lock:
            return list(self._calls)

    def after(self, number: int) -> list[Call]:
        """The calls that are kept and have a higher number, oldest first. Costs as much as there are new calls."""
        with self._lock:
            newest_first = list(itertools.takewhile(lambda call: call.number > number, reversed(self._calls)))
        return newest_first[::-1]

    def counts(self, account: str | None = None) -> dict[str, int]:
        """Calls by `service.Operation`, the most frequent first; of one account, or of all."""
        calls = [call for call in self.all() if account in (None, call.account)]
        return dict(Counter(f"{call.service}.{call.operation}" for call in calls).most_common())

    def clear(self) -> None:
        """Forget all calls."""
        with self._lock:
            self._calls.clear()
