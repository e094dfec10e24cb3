"""How a rollout goes, as evidence and plans say it. Pure."""

from __future__ import annotations

from slipway.app.durations import format_duration
from slipway.app.spec import Rollout, Wave
from slipway.app.strategy import Strategy
from slipway.text import pluralize

ON_FAILURE = {"stop": "; a failure stops there", "rollbackWave": "; a failure puts the wave back", "rollbackAll": ""}
"""What the plan says of a failure. That everything goes back is said by the rollback plan."""


def plans_of(rollout: Rollout) -> tuple[str, ...]:
    """How each target is rolled out, wave by wave."""
    how = f"{traffic_of(rollout.strategy)}{ON_FAILURE[rollout.on_failure]}"
    number = len(rollout.waves)
    return tuple(
        f"wave {at} of {number}{pace_of(wave)}: {how}" for at, wave in enumerate(rollout.waves, start=1) for _ in wave.targets
    )


def pace_of(wave: Wave) -> str:
    """When a wave begins, and how many of its targets are rolled out at the same time."""
    soak = f", {format_duration(wave.soak)} after the one before" if wave.soak else ""
    return f"{soak}, {wave.max_concurrency} at a time" if wave.max_concurrency else soak


def traffic_of(strategy: Strategy) -> str:
    """How traffic moves to a new model, and what moves it back."""
    steps = "all traffic at once"
    if strategy.canary:
        steps = f"{strategy.canary.percent} % of the traffic, the rest after {format_duration(strategy.canary.wait)}"
    elif strategy.linear:
        steps = f"{strategy.linear.percent} % of the traffic every {format_duration(strategy.linear.wait)}"
    elif rolling := strategy.rolling:
        batch = pluralize(rolling.instances, "instance") if rolling.instances else f"{rolling.percent} % of the fleet"
        steps = f"{batch} at a time, each watched for {format_duration(rolling.wait)}"
    bake = f", the old fleet stays for {format_duration(strategy.bake)}" if strategy.bake else ""
    alarms = f"back on the alarm {' or '.join(strategy.alarms)}" if strategy.alarms else "no alarm takes it back"
    metrics = "".join(f", or where it breaches {metric.words}" for metric in strategy.metrics)
    return f"{steps}{bake}, {alarms}{metrics}"
