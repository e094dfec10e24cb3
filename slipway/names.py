"""Names of what a promotion makes in SageMaker, derived from what it is about, so that a retry makes the same.

A name carries a hash of everything that its resource is made of: the same name means the same content, and a changed spec makes
another. SageMaker allows letters, digits and hyphens, 63 at most.
"""

from __future__ import annotations

import hashlib
import json
import re

from slipway.messages import EndpointPlan, RolloutRequest

NAME_LIMIT = 63
HASH_DIGITS = 10


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


def hashed_name(stem: str, content: object) -> str:
    """A legal name: as much of the stem as fits, and a hash of the content.

    Args:
        stem: What people recognise.
        content: JSON-ready values that the named thing is made of.
    """
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:HASH_DIGITS]
    slug = re.sub(r"[^a-zA-Z0-9]+", "-", stem)[: NAME_LIMIT - HASH_DIGITS - 1].strip("-") or "model"
    return f"{slug}-{digest}"
