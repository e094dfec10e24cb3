"""Evaluate metric gates, champion vs challenger.

A rule that is not met is a result, and so is a metric that cannot be read: neither is an error here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict

from slipway.app.reports import Measurements
from slipway.app.spec import Gate
from slipway.text import pluralize

FAULTS_SHOWN = 5
NAMES_SIZE = 300
"""Characters of the names of metrics that are there."""


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
    problem: str = ""
    """Why the rule could not be held against the model; then it neither passed nor was it missed."""

    @property
    def missed(self) -> bool:
        """Whether a number does not meet the rule."""
        return not self.passed and not self.problem


@dataclass(frozen=True)
class Rival:
    """A champion that the challenger is held against."""

    name: str
    """As `the champion screening/6`."""
    measured: Measurements = field(default_factory=Measurements)
    unmeasured: str = ""
    """Why nothing is known of its metrics."""


class GateBar(BaseModel):
    """What one rule asks of a model that does not exist yet."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    metric: str
    rule: str
    """As `min 0.9` or `maxRegression 0.01`."""
    champion: float | None = None
    """The champion's, where the rule compares and there is one."""
    bar: float | None = None
    """The value that decides; none where there is nothing to compare with."""
    message: str = ""
    """As `must be at least 0.87 (champion 0.88, maxRegression 0.01)`."""
    problem: str = ""
    """Why no model could be held against the rule."""


def bars_of(gates: Iterable[Gate], rivals: Sequence[Rival]) -> tuple[GateBar, ...]:
    """What every rule of every gate will ask of a challenger, in the order of the spec. Where champions differ, each has its bar.

    Args:
        gates: The rules.
        rivals: What is served now.
    """
    found = [bar for gate in gates for rival in (rivals or (None,)) for bar in _bars(gate, rival)]
    return tuple(dict.fromkeys(found))


def _bars(gate: Gate, rival: Rival | None) -> Iterator[GateBar]:
    for rule, value in (("min", gate.min), ("max", gate.max)):
        if value is not None:
            yield GateBar(
                metric=gate.metric, rule=f"{rule} {value:.10g}", bar=value, message=_must_be(value, at_least=rule == "min")
            )
    for name, least_gain in _relative_rules(gate):
        yield _relative_bar(gate, _relative_rule(name, least_gain), least_gain, rival)


def _relative_bar(gate: Gate, rule: str, least_gain: float, rival: Rival | None) -> GateBar:
    if rival is None:
        return GateBar(metric=gate.metric, rule=rule, message=f"{rule}: no champion to compare with, so it will be met")
    champion = rival.measured.numbers.get(gate.metric)
    if champion is None:
        problem = rival.unmeasured or f"{rival.name} {rival.measured.problem(gate.metric)}"
        if gate.unmeasured_champion == "pass":
            return GateBar(metric=gate.metric, rule=rule, message=f"not compared (unmeasuredChampion: pass): {problem}")
        return GateBar(metric=gate.metric, rule=rule, message="cannot be read", problem=problem)
    higher = gate.direction == "higher"
    bar = champion + least_gain if higher else champion - least_gain
    message = f"{_must_be(bar, at_least=higher)} (champion {champion:.10g}, {rule})"
    return GateBar(metric=gate.metric, rule=rule, champion=champion, bar=bar, message=message)


def _must_be(value: float, *, at_least: bool) -> str:
    return f"must be at {'least' if at_least else 'most'} {value:.10g}"


def evaluate_gates(gates: Iterable[Gate], challenger: Measurements, rival: Rival | None = None) -> tuple[GateResult, ...]:
    """Evaluates every rule of every gate on a challenger's metrics, in the order of the spec.

    Args:
        gates: The rules.
        challenger: Its metrics.
        rival: What is served now; none where nothing is.
    """
    return tuple(result for gate in gates for result in _evaluate(gate, challenger, rival))


def unreadable(results: Iterable[GateResult]) -> tuple[str, ...]:
    """Every gate that could not be held against the model, with its rules: each fault once."""
    gates: dict[str, dict[str, list[str]]] = {}
    for result in results:
        if result.problem:
            gates.setdefault(result.problem, {}).setdefault(result.metric, []).append(result.rule)
    return tuple(f"{'; '.join(map(_rules_of, found.items()))}: {problem}" for problem, found in gates.items())


def _rules_of(gate: tuple[str, Sequence[str]]) -> str:
    metric, rules = gate
    return f"{metric} ({', '.join(dict.fromkeys(rules))})"


def explain_unreadable(results: Sequence[GateResult], names: Iterable[str]) -> str:
    """Which gates could not be held against the model, why, and what metrics there are.

    Args:
        results: The results of all gates.
        names: The challenger's metrics.
    """
    faults = unreadable(results)
    lines = [f"gate {fault}" for fault in faults[:FAULTS_SHOWN]]
    if len(faults) > FAULTS_SHOWN:
        lines.append(f"and {pluralize(len(faults) - FAULTS_SHOWN, 'fault')} more: `slipway evidence` has them all")
    if any(result.problem and result.value is None for result in results):
        lines.append(f"the challenger's metrics: {_some_of(names)}")
    return "\n".join(lines)


def _some_of(names: Iterable[str]) -> str:
    shown: list[str] = []
    rest = sorted(names)
    while rest and sum(map(len, shown)) + len(rest[0]) <= NAMES_SIZE:
        shown.append(rest.pop(0))
    more = [f"{len(rest)} more"] if rest else []
    return ", ".join([*shown, *more]) or "none"


def _evaluate(gate: Gate, challenger: Measurements, rival: Rival | None) -> Sequence[GateResult]:
    value = challenger.numbers.get(gate.metric)
    rules = [rule for rule, _ in _bounds(gate)] + [_relative_rule(*rule) for rule in _relative_rules(gate)]
    if value is None:
        problem = f"the challenger {challenger.problem(gate.metric)}"
        return [_unreadable(gate, rule, None, problem) for rule in rules]
    absolute = [_absolute(gate, rule, value, passed=holds(value)) for rule, holds in _bounds(gate)]
    relative = [_relative(gate, name, least_gain, value, rival) for name, least_gain in _relative_rules(gate)]
    return [*absolute, *relative]


def _bounds(gate: Gate) -> Iterator[tuple[str, Callable[[float], bool]]]:
    """The rules that do not compare."""
    if (least := gate.min) is not None:
        yield f"min {least:.10g}", lambda number: number >= least
    if (greatest := gate.max) is not None:
        yield f"max {greatest:.10g}", lambda number: number <= greatest


def _relative_rules(gate: Gate) -> Iterator[tuple[str, float]]:
    """The rules that compare, with the least gain over the champion that each asks for."""
    if gate.max_regression is not None:
        yield "maxRegression", -gate.max_regression
    if gate.min_improvement is not None:
        yield "minImprovement", gate.min_improvement


def _relative_rule(name: str, least_gain: float) -> str:
    return f"{name} {abs(least_gain):.10g}"


def _absolute(gate: Gate, rule: str, value: float, *, passed: bool) -> GateResult:
    shown = f"{value:.10g}"
    if not passed and rule.endswith(f" {shown}"):
        shown = repr(value)  # it differs in a digit behind those that are usually shown
    message = f"{shown} meets {rule}" if passed else f"{shown} does not meet {rule}"
    return GateResult(metric=gate.metric, rule=rule, value=value, champion=None, passed=passed, message=message)


def _relative(gate: Gate, name: str, least_gain: float, value: float, rival: Rival | None) -> GateResult:
    rule = _relative_rule(name, least_gain)
    if rival is None:
        return _not_compared(gate, rule, value, "no champion to compare with")
    champion = rival.measured.numbers.get(gate.metric)
    if champion is None:
        problem = rival.unmeasured or f"{rival.name} {rival.measured.problem(gate.metric)}"
        if gate.unmeasured_champion == "pass":
            return _not_compared(gate, rule, value, f"not compared (unmeasuredChampion: pass): {problem}")
        return _unreadable(gate, rule, value, f"{problem} (with unmeasuredChampion: pass, the gate passes)")
    gain = value - champion if gate.direction == "higher" else champion - value
    # 0.96 - 0.95 is slightly below 0.01 in binary floating point; the rule is met all the same.
    passed = gain >= least_gain or math.isclose(gain, least_gain, rel_tol=1e-9, abs_tol=1e-12)
    comparison = f"{value:.10g} against the champion's {champion:.10g} ({gate.direction} is better)"
    message = f"{comparison} meets {rule}" if passed else f"{comparison} does not meet {rule}"
    return GateResult(metric=gate.metric, rule=rule, value=value, champion=champion, passed=passed, message=message)


def _not_compared(gate: Gate, rule: str, value: float, why: str) -> GateResult:
    return GateResult(metric=gate.metric, rule=rule, value=value, champion=None, passed=True, message=why)


def _unreadable(gate: Gate, rule: str, value: float | None, problem: str) -> GateResult:
    return GateResult(
        metric=gate.metric, rule=rule, value=value, champion=None, passed=False, message="cannot be read", problem=problem
    )
