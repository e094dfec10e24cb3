"""Evaluate metric gates, champion vs challenger. A gate that is not met is a result, not an error."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict

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
    gates: Iterable[Gate], challenger: Mapping[str, Any], champion: Mapping[str, Any] | None = None
) -> tuple[GateResult, ...]:
    """Evaluates every rule of every gate on a challenger's metrics, in the order of the spec.

    Args:
        gates: The rules.
        challenger: Its metrics: an evaluation report as it was written, or a flat mapping from dotted paths to numbers.
        champion: The metrics of what is served now; none where nothing is.
    """
    return tuple(result for gate in gates for result in _evaluate(gate, challenger, champion))


def metric_value(metrics: Mapping[str, Any], path: str) -> float | None:
    """The number at a dotted path, or none.

    A key may contain dots itself, so every way to cut the path is tried, the longest key first. Text that is a number counts:
    the registry keeps customer metadata as text. NaN and infinities are no measurement.
    """
    if path in metrics and (number := _number(metrics[path])) is not None:
        return number
    parts = path.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        inner: Any = metrics.get(".".join(parts[:cut]))
        if isinstance(inner, Mapping):
            found = metric_value(inner, ".".join(parts[cut:]))  # pyright: ignore[reportUnknownArgumentType]
            if found is not None:
                return found
    return None


def flatten_metrics(report: Mapping[str, Any]) -> dict[str, float]:
    """Every number of a nested report by its dotted path."""
    flat: dict[str, float] = {}
    _flatten(report, "", flat)
    return flat


def _flatten(report: Mapping[str, Any], prefix: str, flat: dict[str, float]) -> None:
    for key, value in report.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping):
            _flatten(value, f"{path}.", flat)  # pyright: ignore[reportUnknownArgumentType]
        elif (number := _number(value)) is not None:
            flat[path] = number


def _evaluate(gate: Gate, challenger: Mapping[str, Any], champion: Mapping[str, Any] | None) -> Sequence[GateResult]:
    value = metric_value(challenger, gate.metric)
    champion_value = metric_value(champion, gate.metric) if champion is not None else None
    results: list[GateResult] = []
    if gate.min is not None:
        results.append(_absolute(gate, f"min {gate.min:.10g}", value, gate.min, lambda number, bound: number >= bound))
    if gate.max is not None:
        results.append(_absolute(gate, f"max {gate.max:.10g}", value, gate.max, lambda number, bound: number <= bound))
    if gate.max_regression is not None:
        results.append(
            _relative(gate, f"maxRegression {gate.max_regression:.10g}", value, champion, champion_value, -gate.max_regression)
        )
    if gate.min_improvement is not None:
        results.append(
            _relative(gate, f"minImprovement {gate.min_improvement:.10g}", value, champion, champion_value, gate.min_improvement)
        )
    return results


def _absolute(gate: Gate, rule: str, value: float | None, bound: float, holds: Callable[[float, float], bool]) -> GateResult:
    if value is None:
        return _missing(gate, rule)
    passed = holds(value, bound)
    message = f"{value:.10g} meets {rule}" if passed else f"{value:.10g} does not meet {rule}"
    return GateResult(metric=gate.metric, rule=rule, value=value, champion=None, passed=passed, message=message)


def _relative(
    gate: Gate,
    rule: str,
    value: float | None,
    champion: Mapping[str, Any] | None,
    champion_value: float | None,
    least_gain: float,
) -> GateResult:
    if value is None:
        return _missing(gate, rule)
    if champion_value is None:
        # A champion without the metric must not block every later challenger.
        message = "no champion to compare with" if champion is None else "the champion has no such metric to compare with"
        return GateResult(metric=gate.metric, rule=rule, value=value, champion=None, passed=True, message=message)
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


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
