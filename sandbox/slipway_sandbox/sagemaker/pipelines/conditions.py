"""Conditions of a Condition step, over values that are evaluated already. Pure."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from slipway_sandbox.sagemaker.pipelines.evaluate import EvaluationError

ORDERS: Mapping[str, Callable[[Any, Any], bool]] = {
    "GreaterThan": operator.gt,
    "GreaterThanOrEqualTo": operator.ge,
    "LessThan": operator.lt,
    "LessThanOrEqualTo": operator.le,
}
TYPES = frozenset({"Equals", "NotEquals", "In", "NotIn", "And", "Or", "Not", *ORDERS})


def holds(condition: Mapping[str, Any]) -> bool:
    """Whether a condition is met.

    Raises:
        EvaluationError: It compares what cannot be compared, or is of no known type.
    """
    kind = condition.get("Type", "")
    match kind:
        case "Equals":
            return _equal(condition.get("LeftValue"), condition.get("RightValue"))
        case "NotEquals":
            return not _equal(condition.get("LeftValue"), condition.get("RightValue"))
        case "In":
            return _among(condition)
        case "NotIn":
            return not _among(condition)
        case "And":
            return all(holds(inner) for inner in condition.get("Conditions", ()))
        case "Or":
            return any(holds(inner) for inner in condition.get("Conditions", ()))
        case "Not":
            return not holds(cast("Mapping[str, Any]", condition.get("Condition", condition.get("Expression", {}))))
        case _:
            return _ordered(str(kind), condition.get("LeftValue"), condition.get("RightValue"))


def problems_of_all(conditions: Any) -> Iterator[str]:
    """What makes a list of conditions unreadable."""
    if not isinstance(conditions, list):
        yield f"Conditions is a list, not {conditions!r}"
        return
    for condition in cast("list[Any]", conditions):
        yield from problems_of(condition)


def problems_of(condition: Any) -> Iterator[str]:
    """What makes a condition unreadable, looking into those that it is made of. Its values need not be evaluated."""
    if not isinstance(condition, dict):
        yield f"a condition is an object, not {condition!r}"
        return
    members = cast("dict[str, Any]", condition)
    kind = members.get("Type")
    if kind not in TYPES:
        yield f"the type of a condition is one of {', '.join(sorted(TYPES))}, not {kind!r}"
    if kind in ("In", "NotIn") and not isinstance(_values(members), list):
        yield f"the values of a condition of type {kind} are a list, not {_values(members)!r}"
    if kind in ("And", "Or"):
        yield from problems_of_all(members.get("Conditions", []))
    if kind == "Not":
        yield from problems_of(members.get("Condition", members.get("Expression")))


def _among(condition: Mapping[str, Any]) -> bool:
    wanted = condition.get("QueryValue", condition.get("Value"))
    return any(_equal(wanted, value) for value in _values(condition))


def _values(condition: Mapping[str, Any]) -> Any:
    """The SDK writes `QueryValue` and `Values`, where the definition's published schema has `Value` and `In`."""
    return condition.get("Values", condition.get("In"))


def _equal(left: Any, right: Any) -> bool:
    left, right = _alike(left, right)
    # To Python, 1 and true are the same.
    return isinstance(left, bool) == isinstance(right, bool) and left == right


def _ordered(kind: str, left: Any, right: Any) -> bool:
    compare = ORDERS.get(kind)
    if compare is None:
        raise EvaluationError(f"'{kind}' is no type of condition")
    left, right = _alike(left, right)
    both_numbers = _is_number(left) and _is_number(right)
    both_texts = isinstance(left, str) and isinstance(right, str)
    if not both_numbers and not both_texts:
        raise EvaluationError(f"{left!r} and {right!r} cannot be compared by {kind}")
    return compare(left, right)


def _alike(left: Any, right: Any) -> tuple[Any, Any]:
    """Text that is compared with a number counts as the number that it spells: a property file may have either."""
    if _is_number(left) and isinstance(right, str):
        return left, _number(right)
    if isinstance(left, str) and _is_number(right):
        return _number(left), right
    return left, right


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return text
