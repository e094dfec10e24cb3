"""The quotas of Application Auto Scaling."""

from __future__ import annotations

from typing import ClassVar

from slipway_sandbox.core.errors import AwsError
from slipway_sandbox.core.quotas import QuotaRoom

POLICIES = "Scaling policies per scalable target"
SCHEDULED = "Scheduled actions per scalable target"
STEPS = "Step adjustments per step scaling policy"
TARGETS = "Scalable targets per resource type"


class AutoscalingQuotas(QuotaRoom):
    """How many targets and policies there may be, as long as no dial says otherwise."""

    service = "application-autoscaling"
    over_moto = True
    defaults: ClassVar[dict[str, int]] = {POLICIES: 50, SCHEDULED: 200, STEPS: 20, TARGETS: 500}

    def check(self, account: str, name: str, wanted: int) -> None:
        """Refuse a request that exceeds a quota.

        Raises:
            AwsError: `LimitExceededException`.
        """
        limit = self.exceeded(account, name, wanted)
        if limit is not None:
            raise AwsError(
                "LimitExceededException", f"The quota '{name}' of {limit} is exceeded by this request, which makes {wanted}"
            )
