"""The plan of one rollout: the names of what it creates in SageMaker."""

from __future__ import annotations

from activities.endpoints.messages import EndpointPlan, PlanRollout
from slipway.names import hashed_name


def plan_rollout(asked: PlanRollout) -> EndpointPlan:
    """The plan, with the names of its model and endpoint config.

    It is made once, when the target is first looked at, and recorded. The same name means the same content.
    """
    target, variant = asked.target, asked.variant
    stem = f"{target.endpoint}-v{asked.package.version}"
    role = target.execution_role_arn or variant.execution_role_arn
    of_model = (asked.package.arn, target.endpoint, asked.region, target.role_arn, role)
    names = {
        "model": hashed_name(stem, "model", 1, *of_model),
        "config": hashed_name(stem, "config", 1, *of_model, variant.name, variant.instance_type, variant.instance_count),
    }
    return EndpointPlan.model_validate({**dict(asked), **names})
