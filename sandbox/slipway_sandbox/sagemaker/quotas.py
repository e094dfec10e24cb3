"""An account's quotas. There are none, until a dial sets one."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from slipway_sandbox.calls import Caller
from slipway_sandbox.errors import AwsError
from slipway_sandbox.world import Room, World, dial


class Quota(BaseModel):
    """One quota, by the name that Service Quotas has for it, such as `ml.m5.large for training job usage`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    account: str
    name: str
    limit: int | None = Field(ge=0)
    """None takes the quota away."""


class QuotaRoom(Room):
    """Keeps the quotas of all accounts."""

    service = "sagemaker"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._limits: dict[tuple[str, str], int] = {}

    def check(self, caller: Caller, name: str, used: int, asked: int, unit: str = "Instances") -> None:
        """Refuse what goes beyond a quota.

        Args:
            caller: The account.
            name: The quota.
            used: What the account has of it.
            asked: What it wants on top.
            unit: What is counted, for the error's text.

        Raises:
            AwsError: `ResourceLimitExceeded`.
        """
        limit = self._limits.get((caller.account, name))
        if limit is not None and used + asked > limit:
            raise AwsError(
                "ResourceLimitExceeded",
                f"The account-level service limit '{name}' is {limit} {unit}, with current utilization of {used} {unit} and a "
                f"request delta of {asked} {unit}. Please use AWS Service Quotas to request an increase for this quota. If AWS "
                "Service Quotas is not available, contact AWS support to request an increase for this quota.",
            )

    @dial("quota")
    def set_quota(self, body: dict[str, Any]) -> dict[str, Any]:
        """Set or lift a quota: `{"account": …, "name": "ml.m5.large for training job usage", "limit": 1}`."""
        quota = Quota.model_validate(body)
        if quota.limit is None:
            self._limits.pop((quota.account, quota.name), None)
        else:
            self._limits[quota.account, quota.name] = quota.limit
        return {}

    def kept(self) -> Mapping[str, MutableMapping[Any, Any]]:
        """The quotas by account and name."""
        return {"limits": self._limits}

    def reset(self, account: str | None) -> None:
        """Forget the quotas of one account, or all."""
        for key in [key for key in self._limits if account in (None, key[0])]:
            del self._limits[key]
