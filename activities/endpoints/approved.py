"""What was approved for a target, compared with what would be served there now."""

from __future__ import annotations

from activities.contents import contents_of, differences
from activities.endpoints.messages import EndpointPlan
from activities.endpoints.served import Looks
from slipway.api import PackageContainer
from slipway.errors import ChangedSinceApprovalError
from slipway.gathering import both


async def require_approved(looks: Looks, plan: EndpointPlan) -> None:
    """Checks right before an effect that it brings what people approved, in place of the champion that they saw.

    Args:
        looks: The look that this one is a part of.
        plan: The rollout, with what was approved.

    Raises:
        ChangedSinceApprovalError: Something is different.
    """
    if plan.approved is None:
        return
    different, champion = await both(_differences(looks, plan, plan.approved.containers), _champion(looks, plan))
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


async def _differences(looks: Looks, plan: EndpointPlan, approved: tuple[PackageContainer, ...]) -> list[str]:
    if not approved:
        return []
    # As the worker itself, like the evidence: another role may see less.
    return differences(approved, await contents_of(looks.aws, await looks.package(plan.package.arn)))


async def _champion(looks: Looks, plan: EndpointPlan) -> str | None:
    account = looks.at(plan.region, plan.target.role_arn)
    found = await account.endpoint(plan.target.endpoint)
    config = found.get("EndpointConfigName") if found else None
    return await account.package_of(config, plan.variant.name, plan.package.arn) if config else None
