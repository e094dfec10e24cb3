"""What evidence has of each kind, so that all of it fits into one message of Temporal however many targets there are.

Up to a few dozen targets nothing is left out. What is left out was counted before: gates are judged on everything.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from slipway.api import Champion
from slipway.app.gates import GateResult
from slipway.differences import FieldChange
from slipway.errors import cap
from slipway.findings import Finding, Level

METRICS_SIZE = 200_000
"""Bytes of the metrics of all champions."""
GATES_SIZE = 200_000
"""Bytes of all gates' results."""
PLANS_SIZE = 200_000
"""Characters of all rollout plans."""
CHANGES_SIZE = 200_000
"""Bytes of the changes of all targets."""
FINDINGS_SIZE = 100_000
"""Bytes of what was found at all targets."""
CHANGES_LEFT_OUT = (FieldChange(field="(left out: the changes of all targets take too much room)", live="", after=""),)
LEFT_OUT = "its numbers are left out: those of all champions take too much room. Every gate was held against them"


def fitting_champions(champions: Iterable[Champion]) -> tuple[Champion, ...]:
    """The champions, the first of them with their metrics."""
    fitting: list[Champion] = []
    size = 0
    for champion in champions:
        size += sum(len(name.encode()) + _NUMBER for name in champion.metrics)
        over = size > METRICS_SIZE and champion.metrics
        fitting.append(champion.model_copy(update={"metrics": {}, "unmeasured": LEFT_OUT}) if over else champion)
    changes = fitting_changes([champion.changes for champion in fitting])
    return tuple(
        champion.model_copy(update={"changes": shown}) if shown is not champion.changes else champion
        for champion, shown in zip(fitting, changes, strict=True)
    )


def fitting_changes(changes: Iterable[tuple[FieldChange, ...]]) -> tuple[tuple[FieldChange, ...], ...]:
    """The changes of each target, of the first targets whole."""
    fitting: list[tuple[FieldChange, ...]] = []
    size = 0
    for each in changes:
        size += sum(len(change.model_dump_json()) for change in each)
        fitting.append(CHANGES_LEFT_OUT if size > CHANGES_SIZE and each else each)
    return tuple(fitting)


def fitting_findings(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """What was found, each once, as much as fits: what stops a promotion first."""
    fitting: list[Finding] = []
    size = 0
    for finding in sorted(dict.fromkeys(findings), key=lambda each: each.level is not Level.refuse):
        size += len(finding.model_dump_json())
        if size > FINDINGS_SIZE:
            break
        fitting.append(finding)
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
