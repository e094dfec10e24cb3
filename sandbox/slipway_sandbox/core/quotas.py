"""An account's quotas. What a service counts against one, and how it refuses, is the service's own."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from slipway_sandbox.core.models import Frozen
from slipway_sandbox.core.world import Room, World, dial


class Quota(Frozen):
    """One quota, by the name that Service Quotas has for it, such as `ml.m5.large for training job usage`."""

    account: str
    name: str
    limit: int | None = Field(ge=0)
    """None takes the quota away."""


class QuotaRoom(Room):
    """Keeps the quotas of all accounts of one service, which a class of the service's own names."""

    defaults: ClassVar[dict[str, int]] = {}
    """The quotas that hold where no dial sets one; what is not among them has no limit."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.limits: dict[tuple[str, str], int] = {}
        """The quotas that were set, by account and name."""

    def limit(self, account: str, name: str) -> int | None:
        """How many are allowed; None for no limit."""
        return self.limits.get((account, name), self.defaults.get(name))

    def exceeded(self, account: str, name: str, wanted: int) -> int | None:
        """The quota, if that many exceed it."""
        limit = self.limit(account, name)
        return limit if limit is not None and wanted > limit else None

    @dial("quota")
    def set_quota(self, body: dict[str, Any]) -> dict[str, Any]:
        """Set or lift a quota: `{"account": …, "name": "ml.m5.large for training job usage", "limit": 1}`."""
        quota = Quota.model_validate(body)
        if quota.limit is None:
            self.limits.pop((quota.account, quota.name), None)
        else:
            self.limits[quota.account, quota.name] = quota.limit
        return {}

    def reset(self, account: str | None) -> None:
        """Forget the quotas of one account, or all."""
        for key in [key for key in self.limits if account in (None, key[0])]:
            del self.limits[key]
