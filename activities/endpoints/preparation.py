"""Creates the model and the endpoint config of a rollout, or finds them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from activities.endpoints import deployment
from activities.endpoints.carried import config_arguments, differences, model_arguments
from activities.endpoints.former import Former, read_former
from activities.endpoints.messages import EndpointPlan
from activities.endpoints.served import SageMakerAccount, is_existing
from slipway.errors import NeedsPersonError, SlipwayError, TransientError
from slipway.gathering import both

if TYPE_CHECKING:
    from types_boto3_sagemaker.type_defs import DescribeEndpointOutputTypeDef

NAMES = frozenset({"ModelName", "EndpointConfigName", "Tags"})
"""Arguments that are no content: names follow from the plan, and people may add tags."""


async def prepare(account: SageMakerAccount, plan: EndpointPlan) -> None:
    """Creates what the plan names, starting from what the endpoint serves now.

    The live config and model are read again: the plan, which Temporal keeps, names them and has nothing of what they hold.

    Args:
        account: The target's.
        plan: The rollout.

    Raises:
        NeedsPersonError: The endpoint serves something else than preflight found, or something else has a name of the plan's.
    """
    endpoint = await account.endpoint(plan.target.endpoint)
    if endpoint is not None and is_updated(endpoint, plan):
        return
    former, named = await both(_former(account, plan, endpoint), environment_of_package(account, plan))
    model = model_arguments(plan, former, named)
    if (made := await account.model(plan.model)) is None:
        what = f"the model {plan.model} of {plan.package.arn}"
        await _create(account, f"creating {what}", account.no_retries.create_model, model)
        made = await account.model(plan.model)
    _require_same(plan, f"the model {plan.model}", made, model)
    config = config_arguments(plan, former)
    if (made := await account.config(plan.config)) is None:
        what = f"the endpoint config {plan.config}"
        await _create(account, f"creating {what}", account.no_retries.create_endpoint_config, config)
        made = await account.config(plan.config)
    _require_same(plan, f"the endpoint config {plan.config}", made, config)


def is_updated(endpoint: DescribeEndpointOutputTypeDef, plan: EndpointPlan) -> bool:
    """Whether an earlier attempt has already updated the endpoint to the plan's config. A creation that failed is made again."""
    failed_creation = plan.former is None and endpoint["EndpointStatus"] == "Failed"
    return deployment.is_going_to(endpoint, plan.config) and not failed_creation


async def environment_of_package(account: SageMakerAccount, plan: EndpointPlan) -> dict[str, str]:
    """The environment variables that the package sets, of all its containers."""
    package = await account.package(plan.package.arn)
    containers = package.get("InferenceSpecification", {}).get("Containers", [])
    return {name: value for container in containers for name, value in container.get("Environment", {}).items()}


async def _former(account: SageMakerAccount, plan: EndpointPlan, endpoint: DescribeEndpointOutputTypeDef | None) -> Former | None:
    if endpoint is None and plan.former:
        raise changed(plan, f"preflight found it with {plan.former}, and now it is gone")
    serving = endpoint.get("EndpointConfigName", "") if endpoint else plan.config
    if serving == plan.config:
        return None
    # The plan of an older release does not say. What is carried over never comes from the plan alone.
    if plan.former not in {None, serving}:
        raise changed(plan, f"preflight found {plan.former}, and now it serves {serving}")
    return await read_former(account, plan, serving)


async def _create(account: SageMakerAccount, tried: str, function: Any, arguments: dict[str, Any]) -> None:
    """Creates something by name. If the name already exists, the caller looks at it: it may be our own."""
    try:
        await account.aws.call(tried, function, **arguments)
    except SlipwayError as error:
        if not is_existing(error):
            raise


def _require_same(plan: EndpointPlan, what: str, found: Mapping[str, Any] | None, arguments: Mapping[str, Any]) -> None:
    """What was made, now or by an earlier attempt, holds what the arguments say. Only names of members are told, no values."""
    if found is None:
        raise TransientError(f"creating {what}", "it cannot be seen yet")
    content = {member: value for member, value in arguments.items() if member not in NAMES}
    if different := list(dict.fromkeys(differences(found, content))):
        raise NeedsPersonError(
            f"preparing {plan.target.endpoint} for {plan.package.arn}",
            f"{what} already exists, and differs in {', '.join(different)}",
            f"delete {what} if nothing needs it, then retry",
        )


def changed(plan: EndpointPlan, found: str) -> NeedsPersonError:
    """The error for an endpoint that is not as preflight found it."""
    remedy = "somebody else changes this endpoint; once they have finished, retry looks at it again"
    return NeedsPersonError(f"updating the endpoint {plan.target.endpoint}", found, remedy)
