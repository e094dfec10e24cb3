"""What no AWS call can cause: the fate of an endpoint's next create or update, and the account's quotas."""

from __future__ import annotations

import itertools
import math
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Set
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from slipway_sandbox.calls import Caller
from slipway_sandbox.errors import AwsError
from slipway_sandbox.sagemaker.hosting.rollout import Fate, FateKind
from slipway_sandbox.world import Room, World, dial


class Dial(BaseModel):
    """One dial; it is used up by the next create or update that it fits."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    endpoint: str
    kind: FateKind
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

    def take(self, caller: Caller, endpoint: str, kinds: Set[FateKind]) -> Fate | None:
        """Use up the oldest dial that fits, if any."""
        with self._lock:
            for number, each in self._dials.items():
                if each.endpoint == endpoint and each.kind in kinds and each.account in (None, caller.account):
                    del self._dials[number]
                    return Fate(each.kind, each.reason)
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


class Quota(BaseModel):
    """How many instances of a type an account's endpoints may have together in a region."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    instance_type: str = Field(alias="instanceType")
    instances: int = Field(ge=0)
    account: str | None = None


class Quotas:
    """The quotas that are set; without one there is room for any number."""

    def __init__(self) -> None:
        self._quotas: dict[tuple[str | None, str], int] = {}

    def set(self, quota: Quota) -> None:
        """Set one, of one account or of all."""
        self._quotas[quota.account, quota.instance_type] = quota.instances

    def clear(self, account: str | None) -> None:
        """Forget the quotas of one account, or all."""
        self._quotas = {key: instances for key, instances in self._quotas.items() if account not in (None, key[0])}

    def check(self, caller: Caller, used: Callable[[], Counter[str]], wanted: Counter[str]) -> None:
        """Refuse what there is no room for.

        Args:
            caller: Whose it is.
            used: Counts the instances in use, by type; asked only where there is a quota.
            wanted: Those to be added.

        Raises:
            AwsError: `ResourceLimitExceeded`.
        """
        for kind, delta in wanted.items():
            limit = self._quotas.get((caller.account, kind), self._quotas.get((None, kind)))
            if limit is not None and used()[kind] + delta > limit:
                raise AwsError(
                    "ResourceLimitExceeded",
                    f"The account-level service limit '{kind} for endpoint usage' is {limit} Instances, with current utilization "
                    f"of {used()[kind]} Instances and a request delta of {delta} Instances. Please use AWS Service Quotas to "
                    "request an increase for this quota. If AWS Service Quotas is not available, contact AWS support to request "
                    "an increase for this quota.",
                )


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
        self.fates = Dials()
        self.quotas = Quotas()

    @dial("dials")
    def set_dial(self, body: dict[str, Any]) -> dict[str, Any]:
        """Decide what becomes of an endpoint's next create or update: `{"endpoint", "kind", "reason", "account"}`.

        Kinds: `capacity` (no instances; AWS's words), `rollback` (with that reason, or silently without), `rollback-failed`
        (`UpdateRollbackFailed`).
        """
        return {"number": self.fates.set(Dial.model_validate(body))}

    @dial("list-dials")
    def list_dials(self, _body: dict[str, Any]) -> dict[str, Any]:
        """The dials that wait for their create or update."""
        return {"dials": [each.model_dump(mode="json") for each in self.fates.all()]}

    @dial("clear-dials")
    def clear_dials(self, body: dict[str, Any]) -> dict[str, Any]:
        """Take all dials away, or those of one `account`."""
        self.fates.clear(body.get("account"))
        return {}

    @dial("endpoint-quota")
    def set_quota(self, body: dict[str, Any]) -> dict[str, Any]:
        """Let endpoints have so many instances of a type: `{"instanceType", "instances", "account"}`; above it is refused."""
        self.quotas.set(Quota.model_validate(body))
        return {}

    def reset(self, account: str | None) -> None:
        """Forget the dials and quotas of one account, or all."""
        self.fates.clear(account)
        self.quotas.clear(account)
