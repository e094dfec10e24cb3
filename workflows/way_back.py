"""What people are told of the way back while an endpoint is being updated: what happens when, by the strategy's times."""

from __future__ import annotations

from collections.abc import Sequence

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.endpoints.messages import EndpointPlan
    from slipway.app.durations import format_duration
    from workflows.state.promotion import TargetRollout


SHOWN = 3
"""Targets that are named; a wave may have fifty."""


def said_of_way_back(rollouts: Sequence[TargetRollout]) -> str:
    """What becomes of the updates that are not finished; empty where none is under way.

    Args:
        rollouts: The promotion's, each of which may be at its beginning still.
    """
    plans = [rollout.request.plan for rollout in rollouts if rollout.served is None]
    said = [_said(plan) for plan in plans[:SHOWN]]
    more = [f"the same holds for {len(plans) - SHOWN} more"] if len(plans) > SHOWN else []
    return "; ".join([*said, *more])


def _said(plan: EndpointPlan) -> str:
    strategy = plan.strategy
    if strategy.alarms:
        return (
            f"an update of {plan.target.endpoint} that is under way is stopped by its alarms, "
            "and SageMaker gives the former fleet all traffic back"
        )
    return (
        f"an update of {plan.target.endpoint} that is under way goes on to its end, for its strategy names no alarms: that takes "
        f"up to {format_duration(strategy.waits)} of waits and bake, beside the time for new instances, and no longer than "
        f"{format_duration(strategy.timeout)}; the former config follows at once"
    )
