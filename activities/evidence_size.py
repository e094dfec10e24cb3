"""What evidence has of each kind, so that all of it fits into one message of Temporal however many targets there are.

Up to a few dozen targets nothing is left out. What is left out was counted before: gates are judged on everything.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from slipway.api import Champion
from slipway.app.gates import GateResult
from slipway.errors import cap

METRICS_SIZE = 200_000
"""Bytes of the metrics of all champions."""
GATES_SIZE = 200_000
"""Bytes of all gates' results."""
PLANS_SIZE = 200_000
"""Characters of all rollout plans."""
LEFT_OUT = "its numbers are left out: those of all champions take too much room. Every gate was held against them"


def fitting_champions(champions: Iterable[Champion]) -> tuple[Champion, ...]:
    """The champions, the first of them with their metrics."""
    fitting: list[Champion] = []
    size = 0
    for champion in champions:
        size += sum(len(name.encode()) + _NUMBER for name in champion.metrics)
        over = size > METRICS_SIZE and champion.metrics
        fitting.append(champion.model_copy(update={"metrics": {}, "unmeasured": LEFT_OUT}) if over else champion)
    return tuple(fitting)


def fitting_results(results: Sequence[GateResult]) -> tuple[GateResult, ...]:
    """The gates' results. Where there are too many, those that decide go first: one that is missed or unread is never lost."""
    if _size(results) <= GATES_SIZE:
        return tuple(results)
    fitting: list[GateResult] = []
    size = 0
    for result in sorted(results, key=lambda each: (not each.missed, each.passed)):
        size += len(result.model_dump_json())
        if size > GATES_SIZE:
            break
        fitting.append(result)
    return tuple(fitting)


def fitting_plans(plans: Sequence[str]) -> tuple[str, ...]:
    """The rollout plans, each cut where all together are too long."""
    return tuple(cap(plan, PLANS_SIZE // len(plans)) for plan in plans)


_NUMBER = 30
"""Bytes of a number as JSON, with what stands around it."""


def _size(results: Iterable[GateResult]) -> int:
    return sum(len(result.model_dump_json()) for result in results)
