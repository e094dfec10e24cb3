"""Whether a target was changed by hand since a promotion was done with it.

The last promotion leaves the name of its endpoint config in a tag of the endpoint. That is where the endpoint is, it outlives
Temporal's histories, and one look finds it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from activities.endpoints import deployment
from activities.endpoints.messages import EndpointPlan
from activities.endpoints.served import SageMakerAccount
from activities.tags import PROMOTION_TAG
from slipway.errors import ChangedSinceApprovalError, NeedsPersonError
from slipway.served import TAG

if TYPE_CHECKING:
    from types_boto3_sagemaker.type_defs import DescribeEndpointOutputTypeDef


async def drift_of(account: SageMakerAccount, endpoint: DescribeEndpointOutputTypeDef) -> str:
    """How an endpoint differs from what the last promotion left there; empty where it does not, or where none was there.

    Args:
        account: The target's.
        endpoint: As it was described.

    Raises:
        NeedsPersonError: The role may not look at the endpoint's tags.
    """
    config = endpoint.get("EndpointConfigName", "")
    left = (await account.tags_of(endpoint["EndpointArn"])).get(TAG)
    if left in {None, config} or deployment.is_moving(endpoint):
        return ""
    made_by = (await account.tags_of_config(config)).get(PROMOTION_TAG)
    who = f"which {made_by} made" if made_by else "which no promotion made"
    return f"it serves {config}, {who}, and the last promotion left {left} there"


async def require_no_drift(
    account: SageMakerAccount, plan: EndpointPlan, endpoint: DescribeEndpointOutputTypeDef | None
) -> list[str]:
    """Checks before a rollout that nobody changed the target by hand, or that the approvers saw it and approved all the same.

    Args:
        account: The target's.
        plan: The rollout.
        endpoint: As it was described; none for one that is new or the plan's own.

    Returns:
        Warnings: that it could not be looked at.

    Raises:
        ChangedSinceApprovalError: Somebody did.
    """
    if endpoint is None:
        return []
    name = plan.target.endpoint
    try:
        drift = await drift_of(account, endpoint)
    except NeedsPersonError as error:
        return [f"whether {name} was changed by hand is not known: {error.report.answered}"]
    if drift and endpoint.get("EndpointConfigName") != plan.adopted:
        raise ChangedSinceApprovalError(
            f"looking whether {name} is as the last promotion left it",
            drift,
            f"put it back; or retry, which shows it to the approvers, and who approves adopts it. "
            f"Where nobody is asked, take the tag {TAG} off the endpoint to adopt it; then retry",
        )
    return []


async def mark(account: SageMakerAccount, plan: EndpointPlan) -> None:
    """Leaves the name of the plan's config on the endpoint that serves it.

    Raises:
        NeedsPersonError: It does not serve it.
    """
    name = plan.target.endpoint
    endpoint = await account.endpoint(name)
    if endpoint is None or endpoint.get("EndpointConfigName") != plan.config or deployment.is_moving(endpoint):
        said = f"it serves {endpoint.get('EndpointConfigName')} and is {endpoint['EndpointStatus']}" if endpoint else "it is gone"
        raise NeedsPersonError(f"recording that {name} serves {plan.config}", said, "see who changed it; then retry, or abort")
    await _leave(account, name, endpoint["EndpointArn"], plan.config)


async def unmark(account: SageMakerAccount, plan: EndpointPlan, former: str) -> None:
    """Leaves the former config's name on an endpoint that serves it again, where this plan's was left there.

    Raises:
        NeedsPersonError: The role may not look at the endpoint's tags, or change them.
    """
    endpoint = await account.endpoint(plan.target.endpoint)
    if endpoint and (await account.tags_of(endpoint["EndpointArn"])).get(TAG) == plan.config:
        await _leave(account, plan.target.endpoint, endpoint["EndpointArn"], former)


async def _leave(account: SageMakerAccount, name: str, arn: str, config: str) -> None:
    tried = f"tagging the endpoint {name} with {config}"
    await account.aws.call(tried, account.sagemaker.add_tags, ResourceArn=arn, Tags=[{"Key": TAG, "Value": config}])
