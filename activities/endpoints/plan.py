"""The plan of one rollout: the names of what it makes in SageMaker."""

from __future__ import annotations

from activities.endpoints.messages import EndpointPlan, RolloutRequest
from slipway.names import hashed_name


def plan_rollout(request: RolloutRequest) -> EndpointPlan:
    """The plan of one rollout, with the names of its model and endpoint config."""
    of_model = {
        "package": request.package.arn,
        "target": request.target.model_dump(mode="json"),
        "role": request.variant.execution_role_arn,
    }
    of_config = {**of_model, "variant": request.variant.model_dump(mode="json")}
    stem = f"{request.target.endpoint}-v{request.package.version}"
    return EndpointPlan(
        promotion_id=request.promotion_id,
        package=request.package,
        target=request.target,
        region=request.region,
        variant=request.variant,
        strategy=request.strategy,
        model=hashed_name(stem, of_model),
        config=hashed_name(stem, of_config),
    )
