"""What was approved for a target, compared with what would be served there now."""

from __future__ import annotations

from activities.contents import contents_of, differences
from activities.endpoints.messages import EndpointPlan
from activities.endpoints.served import SageMakerAccount
from activities.packages import describe_package
from slipway.errors import ChangedSinceApprovalError


async def require_approved(account: SageMakerAccount, plan: EndpointPlan) -> None:
    """Checks right before an effect that it brings what people approved, in place of the champion that they saw.

    Args:
        account: The target's.
        plan: The rollout, with what was approved.

    Raises:
        ChangedSinceApprovalError: Something is different.
    """
    if plan.approved is None:
        return
    different: list[str] = []
    if plan.approved.containers:
        # As the worker itself, like the evidence: another role may see less.
        package = await describe_package(account.aws, plan.package.arn)
        different = differences(plan.approved.containers, await contents_of(account.aws, package))
    champion = await _champion(account, plan)
    if champion not in {plan.approved.champion, plan.package.arn}:
        different.append(
            f"{plan.target.endpoint} serves {champion or 'no package'}, and the champion was {plan.approved.champion or 'none'}"
        )
    if different:
        raise ChangedSinceApprovalError(
            f"comparing what {plan.target.endpoint} is to serve with what was approved",
            "; ".join(different),
            "see who changed it; retry gathers the evidence again and asks the approvers again, abort ends the promotion",
        )


async def _champion(account: SageMakerAccount, plan: EndpointPlan) -> str | None:
    found = await account.endpoint(plan.target.endpoint)
    config = found.get("EndpointConfigName") if found else None
    return await account.package_of(config, plan.variant.name, plan.package.arn) if config else None
