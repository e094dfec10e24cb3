"""What would make an update of an endpoint fail, found before anything is changed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from activities.endpoints import deployment
from activities.endpoints.measuring import Fleet, Wanted, Window, measure
from activities.endpoints.messages import EndpointPlan
from activities.endpoints.plan import NEW_VARIANT
from activities.endpoints.served import SageMakerAccount
from slipway.app.durations import format_duration
from slipway.app.spec import SPEC_FILE
from slipway.errors import MayPassError, NeedsPersonError, RefusedError, ScaledNowError

if TYPE_CHECKING:
    from types_boto3_sagemaker.type_defs import DescribeEndpointOutputTypeDef


SCALING_TAKES = timedelta(seconds=15)
"""How long to wait until the next look at an endpoint that is scaled."""


@dataclass(frozen=True)
class Precondition:
    """One thing that an update needs."""

    where: str
    """What names it."""
    why: str
    """What would follow if it did not hold."""
    check: Callable[[], Awaitable[None]]
    """Raises what is wrong."""


def preconditions(
    account: SageMakerAccount, plan: EndpointPlan, endpoint: DescribeEndpointOutputTypeDef | None
) -> tuple[Precondition, ...]:
    """What an update of the target needs, before and beside its package, in the order in which it is looked at.

    Args:
        account: The target's.
        plan: The rollout.
        endpoint: The endpoint as it was described; none for a new one.
    """
    name, rollout = plan.target.endpoint, f"{SPEC_FILE}: spec.rollout"
    tried = f"checking whether {name} can take {plan.package.arn}"
    here = f"the endpoint {name} in {plan.region}"

    async def region() -> None:
        _check_region(tried, plan)

    async def state() -> None:
        if endpoint is not None:
            _check_endpoint(tried, plan, endpoint)

    async def batches() -> None:
        if endpoint is not None:
            _check_batches(tried, plan, endpoint)

    async def alarms() -> None:
        await _check_alarms(tried, account, plan.strategy.alarms)

    async def metrics() -> None:
        await _check_metrics(account, plan)

    return (
        Precondition(f"{rollout}.waves, {here}", "SageMaker makes models from packages of its own region only", region),
        Precondition(here, "SageMaker does not update an endpoint that is not in service", state),
        Precondition(f"{rollout}.strategy.rolling, {here}", "SageMaker would refuse the update", batches),
        Precondition(f"{rollout}.strategy.alarms, {here}", "these alarms take a bad model back during the rollout", alarms),
        Precondition(f"{rollout}.strategy.metrics, {here}", "these metrics take a bad model back during the rollout", metrics),
    )


async def check_preconditions(
    account: SageMakerAccount, plan: EndpointPlan, endpoint: DescribeEndpointOutputTypeDef | None
) -> None:
    """Raises the first problem found.

    Raises:
        NeedsPersonError: A person can fix it.
        RefusedError: Nobody can fix it.
    """
    for each in preconditions(account, plan, endpoint):
        await each.check()
    await _check_package(f"checking whether {plan.target.endpoint} can take {plan.package.arn}", account, plan)


def _check_region(tried: str, plan: EndpointPlan) -> None:
    if plan.package.region != plan.region:
        said = f"the package is in {plan.package.region} and the endpoint in {plan.region}"
        raise RefusedError(
            tried,
            said,
            "SageMaker creates models from packages of its region only: register the model there, or correct the target",
        )


def _check_endpoint(tried: str, plan: EndpointPlan, endpoint: DescribeEndpointOutputTypeDef) -> None:
    status = endpoint["EndpointStatus"]
    ours = deployment.is_going_to(endpoint, plan.config)
    require_not_scaled_now(tried, endpoint)
    if status in deployment.MOVING and not ours:
        going = deployment.pending_config(endpoint) or endpoint.get("EndpointConfigName")
        raise MayPassError(tried, f"it is {status} (to {going}), and not by this promotion", "retry once it is InService")
    if status not in {*deployment.MOVING, "InService"} and not (status == "Failed" and ours):
        said = f"it is {status}: {endpoint.get('FailureReason', 'no reason given')}"
        remedy = "delete it, and retry creates it" if status == "Failed" else "bring it back into service, then retry"
        raise NeedsPersonError(tried, said, remedy)


def require_not_scaled_now(tried: str, endpoint: DescribeEndpointOutputTypeDef) -> None:
    """SageMaker takes no update meanwhile.

    Raises:
        ScaledNowError: The endpoint gets another number of instances at this moment, by autoscaling or by hand.
    """
    if deployment.is_scaled_now(endpoint):
        said = "it is Updating, as its number of instances or its weights change"
        raise ScaledNowError(tried, said, "it is tried again once that is over", SCALING_TAKES)


def _check_batches(tried: str, plan: EndpointPlan, endpoint: DescribeEndpointOutputTypeDef) -> None:
    """What SageMaker's "Exclusions" of deployment guardrails and the bounds of `RollingUpdatePolicy` rule out."""
    rolling, fleet = plan.strategy.rolling, deployment.smallest_fleet(endpoint)
    if rolling is None or deployment.is_serverless(endpoint) or deployment.is_at_once(plan.strategy, fleet):
        return  # it is updated all at once, which a warning says
    names = [variant.get("VariantName", "") for variant in endpoint.get("ProductionVariants", [])]
    if len(names) > 1:
        said = f"it has the variants {', '.join(names)}, and SageMaker has no rolling update for more than one"
        raise NeedsPersonError(tried, said, "write canary or linear in place of spec.rollout.strategy.rolling, then start again")
    if problem := rolling.problem(fleet):
        raise NeedsPersonError(tried, problem, "write percent in place of instances in the strategy, then start again")
    waits = rolling.wait * rolling.batches(fleet)
    if waits >= plan.strategy.timeout:
        said = f"its {rolling.batches(fleet)} batches wait for {format_duration(waits)}, and the strategy's timeout is not longer"
        raise NeedsPersonError(tried, said, "write larger batches, a shorter wait or a longer timeout, then start again")


async def _check_alarms(tried: str, account: SageMakerAccount, alarms: Sequence[str]) -> None:
    states = await alarm_states(account, alarms)
    missing = [name for name in alarms if name not in states]
    if missing:
        said = f"there is no alarm {', '.join(missing)} in {account.region}"
        raise NeedsPersonError(tried, said, "create it in the target's account and region, then retry")
    firing = [name for name, state in states.items() if state == "ALARM"]
    if firing:
        said = f"the alarm {', '.join(firing)} is already in ALARM, and would roll the update back at once"
        raise MayPassError(tried, said, "bring the endpoint back to health, then retry")


async def _check_metrics(account: SageMakerAccount, plan: EndpointPlan) -> None:
    """They can be looked at: a permission that is missing is found before the update."""
    fleet = Fleet(plan.target.endpoint, plan.variant.name or NEW_VARIANT, plan.former or plan.config)
    window = Window.between(datetime.now(UTC), datetime.now(UTC))
    await measure(account, [Wanted(fleet, rule.metric, rule.statistic, window) for rule in plan.strategy.metrics])


async def _check_package(tried: str, account: SageMakerAccount, plan: EndpointPlan) -> None:
    package = await account.package(plan.package.arn)
    status, approval = package.get("ModelPackageStatus"), package.get("ModelApprovalStatus")
    if (status, approval) != ("Completed", "Approved"):
        said = f"{plan.package.arn} is {status} and {approval}"
        raise NeedsPersonError(
            tried, said, "only a package that is Completed and Approved can be served: approve it, then retry; or abort"
        )


async def described_alarms(account: SageMakerAccount, alarms: Sequence[str]) -> list[Mapping[str, Any]]:
    """Those of the alarms that exist, as CloudWatch describes them."""
    if not alarms:
        return []
    answer = await account.call(
        f"looking at the alarms {', '.join(alarms)}",
        account.aws.cloudwatch(account.region, account.role_arn).describe_alarms,
        AlarmNames=list(alarms),
        AlarmTypes=["MetricAlarm", "CompositeAlarm"],
    )
    return [*answer.get("MetricAlarms", []), *answer.get("CompositeAlarms", [])]


async def alarm_states(account: SageMakerAccount, alarms: Sequence[str]) -> dict[str, str]:
    """The state of each alarm that exists."""
    found = await described_alarms(account, alarms)
    return {alarm.get("AlarmName", ""): str(alarm.get("StateValue", "")) for alarm in found}


async def alarms_firing(account: SageMakerAccount, alarms: Sequence[str]) -> list[str]:
    """The alarms that are in ALARM now."""
    return [name for name, state in (await alarm_states(account, alarms)).items() if state == "ALARM"]
