"""Evaluates an alarm's metrics: statistics, metric math, and the state that follows."""

from __future__ import annotations

import ast
import operator
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from slipway_sandbox.sagemaker.hosting.metrics import NAMESPACE, Metric, dimensions_of

INITIAL_REASON = "Unchecked: Initial alarm creation"
COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "GreaterThanThreshold": operator.gt,
    "GreaterThanOrEqualToThreshold": operator.ge,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}
STATISTICS: dict[str, Callable[[Sequence[float]], float]] = {
    "Sum": sum,
    "Average": statistics.fmean,
    "Minimum": min,
    "Maximum": max,
    "SampleCount": len,
}
OPERATORS: dict[type[ast.AST], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: lambda left, right: left / right,
    ast.Pow: lambda left, right: left**right,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
"""Metric math's operators, which are spelled as Python's."""
FUNCTIONS: dict[str, Callable[[Sequence[float]], float]] = {"SUM": sum, "AVG": statistics.fmean, "MIN": min, "MAX": max}
Point = float | None
"""A period's value; None where there is no data."""
Values = Callable[[Metric, int], Sequence[float]]
"""The values of a metric in the period of that number: 0 is the newest."""


class UnknownExpressionError(Exception):
    """Metric math that is not evaluated here."""


def judge(alarm: dict[str, Any], points: Sequence[Point]) -> str | None:
    """The state that follows from an alarm's periods.

    Args:
        alarm: The alarm as DescribeAlarms shows it.
        points: The values of its last `EvaluationPeriods` periods.

    Returns:
        `ALARM`, `OK`, `INSUFFICIENT_DATA`, or None where the state is to stay as it is.
    """
    treatment = alarm.get("TreatMissingData") or "missing"
    if not any(point is not None for point in points) and treatment in ("ignore", "missing"):
        return None if treatment == "ignore" else "INSUFFICIENT_DATA"
    compare = COMPARISONS[alarm["ComparisonOperator"]]
    breaching = sum(treatment == "breaching" if point is None else compare(point, alarm["Threshold"]) for point in points)
    needed = alarm.get("DatapointsToAlarm") or alarm["EvaluationPeriods"]
    return "ALARM" if breaching >= needed else "OK"


def statistic(name: str, values: Sequence[float]) -> Point:
    """A statistic of a period's values, extended ones (`p90`, `tm95`) too; None where there are no values."""
    if not values:
        return None
    if name in STATISTICS:
        return STATISTICS[name](values)
    ordered = sorted(values)
    share = float(name.lstrip("ptm")) / 100
    if name.startswith("tm"):
        return statistics.fmean(ordered[: max(1, int(len(ordered) * share))])
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def is_known_statistic(name: str) -> bool:
    """Whether a statistic can be worked out here."""
    return name in STATISTICS or name.removeprefix("tm").removeprefix("p").replace(".", "", 1).isdecimal()


def is_ours(alarm: dict[str, Any]) -> bool:
    """Whether this alarm watches metrics that are known here: invocations, clients' own, or math on them."""
    if alarm.get("ComparisonOperator") not in COMPARISONS:
        return False
    if alarm.get("Metrics"):
        stats = [query["MetricStat"] for query in alarm["Metrics"] if "MetricStat" in query]
        known = all(is_known_statistic(stat["Stat"]) for stat in stats)
        return bool(stats) and known and all(_is_measured(stat["Metric"]["Namespace"]) for stat in stats)
    return _is_measured(alarm.get("Namespace", "")) and is_known_statistic(statistic_of(alarm))


def _is_measured(namespace: str) -> bool:
    """Whether values of the namespace come by here. Clients cannot put any into one of AWS's own."""
    return namespace == NAMESPACE or not namespace.startswith("AWS/")


def statistic_of(alarm: dict[str, Any]) -> str:
    """The statistic of an alarm on one metric."""
    return alarm.get("ExtendedStatistic") or alarm.get("Statistic") or ""


def period_of(alarm: dict[str, Any]) -> int:
    """The seconds of an alarm's period; of metric math, its longest metric's."""
    stats = [query["MetricStat"] for query in alarm.get("Metrics", ()) if "MetricStat" in query]
    return max((stat["Period"] for stat in stats), default=alarm.get("Period", 60))


def points_of(alarm: dict[str, Any], values: Values) -> list[Point]:
    """The value of each of an alarm's periods, the newest first.

    Raises:
        UnknownExpressionError: Its metric math is not evaluated here.
    """
    periods = range(alarm["EvaluationPeriods"])
    if alarm.get("Metrics"):
        return [_math(alarm["Metrics"], number, values) for number in periods]
    metric, name = _metric(alarm), statistic_of(alarm)
    return [statistic(name, values(metric, number)) for number in periods]


def _metric(described: Mapping[str, Any]) -> Metric:
    """The metric of an alarm, or of one of its queries."""
    dimensions = dimensions_of(described.get("Dimensions") or ())
    return Metric(described.get("Namespace", ""), described["MetricName"], dimensions)


def named(dimensions: Sequence[dict[str, str]]) -> dict[str, str]:
    """Dimensions by name."""
    return {item["Name"]: item["Value"] for item in dimensions}


def _math(queries: Sequence[dict[str, Any]], number: int, values: Values) -> Point:
    """The value, in one period, of the query that returns data."""
    known: dict[str, Point] = {}
    for query in queries:
        if "MetricStat" in query:
            stat = query["MetricStat"]
            known[query["Id"]] = statistic(stat["Stat"], values(_metric(stat["Metric"]), number))
    expressions = {query["Id"]: query["Expression"] for query in queries if "Expression" in query}
    result = next(query["Id"] for query in queries if query.get("ReturnData", True))
    return _value(result, known, expressions, frozenset())


def _value(name: str, known: Mapping[str, Point], expressions: Mapping[str, str], open_names: frozenset[str]) -> Point:
    if name in known:
        return known[name]
    if name not in expressions or name in open_names:
        raise UnknownExpressionError(name)
    try:
        tree = ast.parse(expressions[name], mode="eval")
    except (SyntaxError, ValueError, RecursionError) as error:
        raise UnknownExpressionError(expressions[name]) from error

    def look_up(other: str) -> Point:
        return _value(other, known, expressions, open_names | {name})

    return _evaluate(tree.body, look_up)


def _evaluate(node: ast.expr, look_up: Callable[[str], Point]) -> Point:
    match node:
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.Name(id=name):
            return look_up(name)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return _combine(operator.sub, 0.0, _evaluate(operand, look_up))
        case ast.BinOp(left=left, op=by, right=right) | ast.Compare(left=left, ops=[by], comparators=[right]) if (
            type(by) in OPERATORS
        ):
            return _combine(OPERATORS[type(by)], _evaluate(left, look_up), _evaluate(right, look_up))
        case ast.Call(func=ast.Name(id="FILL"), args=[filled, ast.Constant(value=int() | float() as by)]):
            value = _evaluate(filled, look_up)
            return float(by) if value is None else value
        case ast.Call(func=ast.Name(id="IF"), args=[condition, then, otherwise]):
            return _evaluate(then if _evaluate(condition, look_up) else otherwise, look_up)
        case ast.Call(func=ast.Name(id=name), args=[ast.List(elts=parts)]) if name in FUNCTIONS:
            found = [value for value in (_evaluate(part, look_up) for part in parts) if value is not None]
            return FUNCTIONS[name](found) if found else None
        case _:
            raise UnknownExpressionError(ast.dump(node))


def _combine(by: Callable[[float, float], float], left: Point, right: Point) -> Point:
    """A point, where both sides have data and the operation has a result, as it has none for a division by zero."""
    if left is None or right is None:
        return None
    try:
        return float(by(left, right))
    except (ArithmeticError, TypeError):
        return None
