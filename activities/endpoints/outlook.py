"""What a rollout would find and do at one target, by the same functions that preflight and the rollout use. Reads only."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from activities.collecting import Collector
from activities.endpoints import deployment
from activities.endpoints.carried import changed_by_spec, config_arguments, endpoint_changes, not_carried
from activities.endpoints.drift import drift_of, require_no_drift
from activities.endpoints.former import Former, former_of
from activities.endpoints.messages import EndpointPlan, PlanRollout
from activities.endpoints.plan import plan_rollout
from activities.endpoints.preflight import Precondition, preconditions
from activities.endpoints.preparation import environment_of_package
from activities.endpoints.scaling import scaling_in_the_way
from activities.endpoints.served import SageMakerAccount
from slipway.api import ModelPackage
from slipway.app.spec import SPEC_FILE
from slipway.aws.clients import region_of
from slipway.differences import FieldChange
from slipway.errors import NeedsPersonError, RefusedError
from slipway.findings import Finding

if TYPE_CHECKING:
    from types_boto3_sagemaker.type_defs import DescribeEndpointOutputTypeDef

T = TypeVar("T")
TARGETS_AT_ONCE = 8
"""Targets that one activity looks at at the same time: each takes some ten calls of AWS."""
TO_COME = "(the package that the pipeline makes)"
NEW_MODEL = "(a new model)"
STOPS = "the rollout to this target would stop here, after the training"


@dataclass(frozen=True)
class TargetOutlook:
    """What a rollout would find and do at one target."""

    plan: EndpointPlan
    is_new: bool
    """Whether there is no endpoint yet."""
    changes: tuple[FieldChange, ...]
    fallbacks: tuple[Finding, ...]
    """Where something else happens than the spec says. They stop nothing, and follow from the spec and what is live."""
    obstacles: tuple[Finding, ...]
    """What would stop the rollout, or may."""
    drift: str = ""
    """How the endpoint differs from what the last promotion left there."""
    rescales: bool = False
    """Whether the automatic scaling is taken off for the update."""


def package_to_come(group: str) -> ModelPackage:
    """What stands for a package that is not made yet.

    Args:
        group: The ARN of its group.
    """
    return ModelPackage(arn=f"{group.replace(':model-package-group/', ':model-package/')}/0", version=0, region=region_of(group))


def plan_for(asked: PlanRollout, endpoint: DescribeEndpointOutputTypeDef | None) -> tuple[EndpointPlan, bool]:
    """The plan of a rollout by what its endpoint serves, and whether the endpoint is new or this very plan's.

    Args:
        asked: The package and the target.
        endpoint: The endpoint as it was described; none where there is none.
    """
    fresh = plan_rollout(asked)
    # An endpoint that this package's own plan created has nothing to carry over.
    if endpoint is None or deployment.is_going_to(endpoint, fresh.config):
        return fresh, True
    return plan_rollout(asked, endpoint.get("EndpointConfigName")), False


def config_of(endpoint: DescribeEndpointOutputTypeDef | None) -> str | None:
    """The config that an endpoint goes back to; none where it has served nothing yet."""
    if endpoint is None or endpoint["EndpointStatus"] in {"Creating", "Failed"}:
        return None
    return endpoint.get("EndpointConfigName")


def fallbacks_of(
    plan: EndpointPlan, endpoint: DescribeEndpointOutputTypeDef | None, former: Former | None, package: Mapping[str, str]
) -> list[Finding]:
    """Where a rollout silently does something else than the spec says.

    Args:
        plan: The rollout.
        endpoint: The endpoint; none for a new one.
        former: What it serves; none for a new one.
        package: The environment that the package sets itself.

    Raises:
        NeedsPersonError: There is no config for it.
    """
    variants = config_arguments(plan, former)["ProductionVariants"]
    types = [variant["InstanceType"] for variant in variants if "InstanceType" in variant]
    if endpoint is None or former is None:
        return deployment.strategy_fallbacks(plan, types, deployment.SHIFTS_NEED)
    instances = deployment.smallest_fleet(endpoint)
    return [*not_carried(plan, former, package), *deployment.strategy_fallbacks(plan, types, instances)]


async def warnings_of(
    account: SageMakerAccount, plan: EndpointPlan, endpoint: DescribeEndpointOutputTypeDef | None, former: Former | None
) -> list[str]:
    """What people should know before an update, which does not hold it up.

    Args:
        account: The target's.
        plan: The rollout.
        endpoint: The endpoint; none for a new one.
        former: What it serves; none for a new one.
    """
    package = await environment_of_package(account, plan) if former else {}
    changed = changed_by_spec(plan, former) if former else []
    return [*(found.what for found in fallbacks_of(plan, endpoint, former, package)), *changed]


async def look_ahead(account: SageMakerAccount, asked: PlanRollout, *, asks_people: bool) -> TargetOutlook:
    """Looks at a target as preflight does, finds everything instead of the first problem, and compares.

    A package of the version 0 stands for one that is not made yet.

    Args:
        account: The target's.
        asked: The package and the target.
        asks_people: Whether approvers see what is there, so that they adopt what was changed by hand.

    Raises:
        TransientError: AWS does not answer.
    """
    found, name = Collector(), asked.target.endpoint
    here = f"the endpoint {name} in {asked.region}"
    endpoint = await found.attempt(account.endpoint(name), here, STOPS)
    plan, is_new = plan_for(asked, endpoint)
    if found.is_refused:  # it is not known whether there is one
        return TargetOutlook(plan, is_new=False, changes=(), fallbacks=(), obstacles=found.findings)
    # They are made at the same time. What each finds is told in their order.
    needed, drifted, served, packed = Collector(), Collector(), Collector(), Collector()
    _, drift, former, named = await asyncio.gather(
        _meet(preconditions(account, plan, endpoint), needed),
        _drift(account, plan, None if is_new else endpoint, drifted, asks_people=asks_people),
        served.attempt(former_of(account, plan), here, STOPS),
        packed.attempt(_environment(account, plan), here, STOPS),
    )
    found.add(*needed.findings, *drifted.findings, *served.findings)
    if plan.former and former is None:
        return TargetOutlook(plan, is_new=False, changes=(), fallbacks=(), obstacles=found.findings, drift=drift)
    scaling = await found.attempt(scaling_in_the_way(account, plan, former), here, STOPS) if former else None
    found.add(*packed.findings)
    changes, fallbacks = _compare(plan, endpoint, former, named or {}, found)
    return TargetOutlook(
        plan,
        is_new=endpoint is None,
        changes=changes,
        fallbacks=fallbacks,
        obstacles=found.findings,
        drift=drift,
        rescales=scaling is not None,
    )


async def _meet(needed: Iterable[Precondition], found: Collector) -> None:
    for each in needed:
        await found.attempt(each.check(), each.where, each.why)


async def _environment(account: SageMakerAccount, plan: EndpointPlan) -> dict[str, str]:
    return await environment_of_package(account, plan) if plan.package.version else {}


async def _drift(
    account: SageMakerAccount,
    plan: EndpointPlan,
    endpoint: DescribeEndpointOutputTypeDef | None,
    found: Collector,
    *,
    asks_people: bool,
) -> str:
    """How the endpoint was changed by hand. Approvers see that and may adopt it; where nobody is asked, it stops the rollout."""
    if endpoint is None:
        return ""
    try:
        drift = await drift_of(account, endpoint)
    except NeedsPersonError:
        return ""  # preflight only says that it is not known
    if drift and not asks_people:
        where = f"the endpoint {plan.target.endpoint} in {plan.region}"
        await found.attempt(require_no_drift(account, plan, endpoint), where, "nobody is asked who could adopt the change")
    return drift


def _compare(
    plan: EndpointPlan,
    endpoint: DescribeEndpointOutputTypeDef | None,
    former: Former | None,
    named: Mapping[str, str],
    found: Collector,
) -> tuple[tuple[FieldChange, ...], tuple[Finding, ...]]:
    where = f"{SPEC_FILE}: spec.rollout, the endpoint {plan.target.endpoint} in {plan.region}"
    try:
        changes = endpoint_changes(plan, former, named)
        return tuple(_shown(change, plan) for change in changes), tuple(fallbacks_of(plan, endpoint, former, named))
    except (NeedsPersonError, RefusedError) as error:
        found.add(Finding.of(error, where, STOPS))
        return (), ()


def _shown(change: FieldChange, plan: EndpointPlan) -> FieldChange:
    """A change as people read it, where the package is not made yet and names follow from it."""
    if plan.package.version:
        return change
    words = {plan.package.arn: TO_COME, plan.model: NEW_MODEL}
    return change.model_copy(update={"after": words.get(change.after, change.after)})
