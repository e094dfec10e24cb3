"""The plan of one rollout: the names of what it creates in SageMaker."""

from __future__ import annotations

from activities.endpoints.messages import EndpointPlan, PlanRollout
from slipway.api import ModelPackage
from slipway.app.spec import Rollout, Target
from slipway.names import NamePart, hashed_name

NEW_VARIANT = "AllTraffic"
"""The variant's name at a new endpoint, where the spec has none."""


def plan_rollout(asked: PlanRollout, former: str | None = None) -> EndpointPlan:
    """The plan, with the names of its model and endpoint config.

    It is made once, when the target is first looked at, and recorded. The same name means the same content. What a rollout to a
    live endpoint makes starts from the config that is served there, so its names do, too.

    Args:
        asked: The package and the target.
        former: The endpoint config that is served; none for a new endpoint, and where an older release recorded the plan.
    """
    target, variant = asked.target, asked.variant
    stem = f"{target.endpoint}-v{asked.package.version}"
    role = target.execution_role_arn or variant.execution_role_arn
    model: tuple[NamePart, ...] = (asked.package.arn, target.endpoint, asked.region, target.role_arn, role)
    if former is None:
        version, of_variant = 1, (variant.name or NEW_VARIANT, variant.instance_type, variant.instance_count)
    else:
        version, of_variant = 2, (variant.instance_type,)
        model = (*model, former, variant.name)
    if written := asked.settings.model_dump_json(exclude_defaults=True).removeprefix("{}"):
        version, model = version + 2, (*model, written)
    names = {
        "model": hashed_name(stem, "model", version, *model),
        "config": hashed_name(stem, "config", version, *model, *of_variant),
    }
    return EndpointPlan.model_validate({**dict(asked), **names, "former": former})


def asked_at(target: Target, rollout: Rollout, package: ModelPackage, promotion_id: str, region: str = "") -> PlanRollout:
    """What is asked of one target.

    Args:
        target: The target.
        rollout: How the spec rolls out.
        package: The package.
        promotion_id: The promotion.
        region: The region where the target names none; the package's where it is empty.
    """
    return PlanRollout(
        promotion_id=promotion_id,
        package=package,
        target=target,
        region=target.region or region or package.region,
        variant=rollout.variant,
        strategy=rollout.strategy,
        settings=rollout.settings,
    )
