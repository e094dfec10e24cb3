"""SageMaker's quotas. There are none, until a dial sets one."""

from __future__ import annotations

from collections.abc import Callable

from slipway_sandbox.core.calls import Caller
from slipway_sandbox.core.errors import AwsError
from slipway_sandbox.core.quotas import QuotaRoom


class SageMakerQuotas(QuotaRoom):
    """What an account may have of SageMaker's resources and instances."""

    service = "sagemaker"

    def check(self, caller: Caller, name: str, used: Callable[[], int], asked: int = 1, unit: str = "Instances") -> None:
        """Refuse what goes beyond a quota.

        Args:
            caller: The account.
            name: The quota.
            used: Counts what the account has of it; asked only where there is such a quota.
            asked: What it wants on top.
            unit: What is counted, for the error's text.

        Raises:
            AwsError: `ResourceLimitExceeded`.
        """
        limit = self.limit(caller.account, name)
        if limit is None or (there := used()) + asked <= limit:
            return
        raise AwsError(
            "ResourceLimitExceeded",
            f"The account-level service limit '{name}' is {limit} {unit}, with current utilization of {there} {unit} and a "
            f"request delta of {asked} {unit}. Please use AWS Service Quotas to request an increase for this quota. If AWS "
            "Service Quotas is not available, contact AWS support to request an increase for this quota.",
        )
