"""The spec as a rollback uses it."""

from __future__ import annotations

from datetime import timedelta

from slipway.app.spec import ModelPromotion
from slipway.app.strategy import Strategy
from slipway.errors import RefusedError


def spec_of_rollback(promotion: ModelPromotion, endpoint: str = "") -> ModelPromotion:
    """The spec without what would hold a way back up.

    No gates: the model met them before, and is as a rule no better than the one that it replaces. All traffic at once, for the
    model that serves is not wanted; without alarms, which may be in ALARM on its account; and without soaks.

    Args:
        promotion: The whole file.
        endpoint: The one target that goes back; empty for all.

    Raises:
        RefusedError: The spec has no such target.
    """
    rollout = promotion.spec.rollout
    waves = [
        wave.model_copy(update={"targets": targets, "soak": timedelta(0)})
        for wave in rollout.waves
        if (targets := tuple(target for target in wave.targets if endpoint in {"", target.endpoint}))
    ]
    if not waves:
        known = ", ".join(target.endpoint for target in rollout.targets)
        tried = f"looking for the target {endpoint} of {promotion.metadata.name}"
        raise RefusedError(tried, f"the spec's targets are {known}", "name one of them")
    strategy = Strategy(timeout=rollout.strategy.timeout)
    rollout = rollout.model_copy(update={"strategy": strategy, "waves": tuple(waves)})
    spec = promotion.spec.model_copy(update={"gates": (), "rollout": rollout})
    return promotion.model_copy(update={"spec": spec})
