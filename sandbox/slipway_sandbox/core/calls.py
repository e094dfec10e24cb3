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
"""Calls that are kept; older ones fall off, so that a long-lived sandbox does not grow without end."""


@dataclass(frozen=True)
class Caller:
    """Who calls, and where: the account and region that a request's credentials and signature name."""

    account: str
    region: str
    access_key: str
    principal: str = ""
    """The ARN of whoever it is, as GetCallerIdentity says it; empty for the sandbox itself."""


@dataclass(frozen=True)
class Need:
    """An action that whoever calls must be allowed on each of some resources."""

    action: str
    """In IAM's spelling, such as `ecr:BatchGetImage`."""
    resources: tuple[str, ...] = ("*",)
    """Their ARNs."""
    context: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    """Condition keys that this action has beside those that every call has."""


@dataclass
class Incoming:
    """One call as it comes in. Whoever answers it may fill in `request` (what it asks for) and `error` (its code)."""

    environ: WSGIEnvironment
    caller: Caller
    service: str
    operation: str
    request: dict[str, Any] = field(default_factory=dict[str, Any])
    error: str | None = None
    needs: Sequence[Need] = ()
    """What it has to be allowed; filled in by the guard."""


class Guard(Protocol):
    """Lets calls through, or not."""

    def check(self, call: Incoming) -> None:
        """Say what a call needs to be allowed, and refuse it where a policy does not.

        Raises:
            AwsError: It is not allowed, or its credentials have expired.
        """
        ...


class OpenDoor:
    """The guard of a sandbox without one."""

    def check(self, call: Incoming) -> None:
        """Let every call through."""


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
    """The ARN of whoever called."""
    needs: Sequence[Need]
    """The actions that it took, and the resources it took them on."""

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
