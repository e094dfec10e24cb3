"""Evaluate metric gates, champion vs challenger. A gate that is not met is a result, not an error."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict

from slipway.app.reports import as_number
from slipway.app.spec import Gate


class GateResult(BaseModel):
    """The result of one rule on one metric."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    metric: str
    rule: str
    """As `min 0.9` or `maxRegression 0.01`."""
    value: float | None
    """The challenger's; none where it has no such metric."""
    champion: float | None
    """The champion's, where the rule compares and there is one."""
    passed: bool
    message: str


def evaluate_gates(
    gates: Iterable[Gate],
    challenger: Mapping[str, Any],
    champion: Mapping[str, Any] | None = None,
    absent: str = "no champion to compare with",
) -> tuple[GateResult, ...]:
    """Evaluates every rule of every gate on a challenger's metrics, in the order of the spec.

    Args:
        gates: The rules.
        challenger: Its metrics: an evaluation report as it was written, or a flat mapping from dotted paths to numbers.
        champion: The metrics of what is served now; none where nothing is, or nothing is known of it.
        absent: Why there is no champion to compare with.
    """
    return tuple(result for gate in gates for result in _evaluate(gate, challenger, champion, absent))


def compares(gate: Gate) -> bool:
    """Whether a gate holds the challenger against the champion."""
    return any(_relative_rules(gate))


def metric_value(metrics: Mapping[str, Any], path: str) -> float | None:
    """The number at a dotted path, or none.

    A key may contain dots itself, so every way to cut the path is tried, the longest key first.
    """
    if path in metrics and (number := as_number(metrics[path])) is not None:
        return number
    parts = path.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        inner: Any = metrics.get(".".join(parts[:cut]))
        if isinstance(inner, Mapping):
            found = metric_value(inner, ".".join(parts[cut:]))  # pyright: ignore[reportUnknownArgumentType]
            if found is not None:
                return found
    return None


def _evaluate(gate: Gate, challenger: Mapping[str, Any], champion: Mapping[str, Any] | None, absent: str) -> Sequence[GateResult]:
    value = metric_value(challenger, gate.metric)
    results: list[GateResult] = []
    if gate.min is not None:
        results.append(_absolute(gate, f"min {gate.min:.10g}", value, gate.min, lambda number, bound: number >= bound))
    if gate.max is not None:
        results.append(_absolute(gate, f"max {gate.max:.10g}", value, gate.max, lambda number, bound: number <= bound))
    for name, least_gain in _relative_rules(gate):
        rule = f"{name} {abs(least_gain):.10g}"
        if value is None:
            results.append(_missing(gate, rule))
        elif champion is None:
            results.append(GateResult(metric=gate.metric, rule=rule, value=value, champion=None, passed=True, message=absent))
        else:
            results.append(_relative(gate, rule, value, metric_value(champion, gate.metric), least_gain))
    return results


def _absolute(gate: Gate, rule: str, value: float | None, bound: float, holds: Callable[[float, float], bool]) -> GateResult:
    if value is None:
        return _missing(gate, rule)
    passed = holds(value, bound)
    message = f"{value:.10g} meets {rule}" if passed else f"{value:.10g} does not meet {rule}"
    return GateResult(metric=gate.metric, rule=rule, value=value, champion=None, passed=passed, message=message)


def _relative_rules(gate: Gate) -> Iterator[tuple[str, float]]:
    """The rules that compare, with the least gain over the champion that each asks for."""
    if gate.max_regression is not None:
        yield "maxRegression", -gate.max_regression
    if gate.min_improvement is not None:
        yield "minImprovement", gate.min_improvement


def _relative(gate: Gate, rule: str, value: float, champion_value: float | None, least_gain: float) -> GateResult:
    if champion_value is None:
        message = (
            f"the champion's report has no number at {gate.metric!r} to compare with: compare by min or max until a model is"
            " served whose report has it"
        )
        return GateResult(metric=gate.metric, rule=rule, value=value, champion=None, passed=False, message=message)
    gain = value - champion_value if gate.direction == "higher" else champion_value - value
    # 0.96 - 0.95 is slightly below 0.01 in binary floating point; the rule is met all the same.
    passed = gain >= least_gain or math.isclose(gain, least_gain, rel_tol=1e-9, abs_tol=1e-12)
    comparison = f"{value:.10g} against the champion's {champion_value:.10g} ({gate.direction} is better)"
    message = f"{comparison} meets {rule}" if passed else f"{comparison} does not meet {rule}"
    return GateResult(metric=gate.metric, rule=rule, value=value, champion=champion_value, passed=passed, message=message)


def _missing(gate: Gate, rule: str) -> GateResult:
    message = (
        f"the evaluation has no number at {gate.metric!r}: check the path in the spec and what the pipeline's evaluation writes"
    )
    return GateResult(metric=gate.metric, rule=rule, value=None, champion=None, passed=False, message=message)
