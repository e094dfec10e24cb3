"""Dials that force the outcome of an endpoint's next create or update."""

from __future__ import annotations

import itertools
import math
import threading
from collections import Counter
from collections.abc import Iterable, Set
from typing import Any

from slipway_sandbox.core.calls import Caller
from slipway_sandbox.core.models import Frozen
from slipway_sandbox.core.world import Room, World, dial
from slipway_sandbox.sagemaker.hosting.rollout import ForcedOutcome, OutcomeKind


class Dial(Frozen):
    """One dial; it is used up by the next create or update that it fits."""

    endpoint: str
    kind: OutcomeKind
    reason: str | None = None
    """The FailureReason of a rollback; none makes it a silent one."""
    account: str | None = None
    """Only in this account; in any, unless given."""


class Dials:
    """The dials that are set. Thread-safe."""

    def __init__(self) -> None:
        self._dials: dict[int, Dial] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def take(self, caller: Caller, endpoint: str, kinds: Set[OutcomeKind]) -> ForcedOutcome | None:
        """Use up the oldest dial that fits, if any."""
        with self._lock:
            for number, each in self._dials.items():
                if each.endpoint == endpoint and each.kind in kinds and each.account in (None, caller.account):
                    del self._dials[number]
                    return ForcedOutcome(each.kind, each.reason)
        return None

    def set(self, each: Dial) -> int:
        """Set one; returns its number."""
        with self._lock:
            number = next(self._numbers)
            self._dials[number] = each
            return number

    def all(self) -> list[Dial]:
        """The dials that wait for their create or update."""
        with self._lock:
            return list(self._dials.values())

    def clear(self, account: str | None) -> None:
        """Forget the dials of one account, or all."""
        with self._lock:
            self._dials = {number: each for number, each in self._dials.items() if account not in (None, each.account)}


def instances_of(variants: Iterable[dict[str, Any]], share: float = 1.0) -> Counter[str]:
    """The instances of variants, or a share of each, by type."""
    counted: Counter[str] = Counter()
    for variant in variants:
        if "InstanceType" in variant:
            counted[variant["InstanceType"]] += math.ceil(variant["InitialInstanceCount"] * share)
    return counted


class DialRoom(Room):
    """`POST /_sandbox/sagemaker/…` for endpoints."""

    service = "sagemaker"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.forced = Dials()

    @dial("dials")
    def set_dial(self, body: dict[str, Any]) -> dict[str, Any]:
        """Force the outcome of an endpoint's next create or update: `{"endpoint", "kind", "reason", "account"}`.

        Kinds: `capacity` (no instances; AWS's words), `rollback` (with that reason, or silently without), `rollback-failed`
        (`UpdateRollbackFailed`).
        """
        return {"number": self.forced.set(Dial.model_validate(body))}

    @dial("dials", method="GET")
    def list_dials(self, _query: dict[str, Any]) -> dict[str, Any]:
        """The dials that wait for their create or update."""
        return {"dials": [each.model_dump(mode="json") for each in self.forced.all()]}

    @dial("dials", method="DELETE")
    def clear_dials(self, query: dict[str, Any]) -> dict[str, Any]:
        """Take all dials away, or those of one `account`."""
        self.forced.clear(query.get("account"))
        return {}

    def reset(self, account: str | None) -> None:
        """Forget the dials of one account, or all."""
        self.forced.clear(account)
