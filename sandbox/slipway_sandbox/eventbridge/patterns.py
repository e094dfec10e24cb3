"""Event patterns: whether an event is what a rule waits for (EventBridge User Guide, "comparison operators")."""

from __future__ import annotations

import functools
import ipaddress
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any, cast

from slipway_sandbox.core.errors import AwsError
from slipway_sandbox.protocol import documents
from slipway_sandbox.protocol.patterns import Expression, expression, literally

Pattern = Mapping[str, Any]
ABSENT = object()
"""What is not in an event: something else than null."""
COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    "=": operator.eq,
    ">=": operator.ge,
    ">": operator.gt,
}


def matches(pattern: Pattern, event: Mapping[str, Any]) -> bool:
    """Whether an event has all that a pattern names. In a list of objects, one of them has to have it all."""
    return all(_member_matches(name, wanted, event) for name, wanted in pattern.items())


def _member_matches(name: str, wanted: Any, event: Mapping[str, Any]) -> bool:
    if name == "$or" and isinstance(wanted, list):
        return any(matches(choice, event) for choice in cast(list[Pattern], wanted))
    found = event.get(name, ABSENT)
    if isinstance(wanted, list):
        return any(_leaf_matches(found, test) for test in cast(list[Any], wanted))
    objects = cast(list[Any], found if isinstance(found, list) else [found])
    # What is missed altogether may still be what `exists: false` waits for, further down.
    return any(matches(wanted, cast(Pattern, item) if isinstance(item, dict) else {}) for item in objects)


def _leaf_matches(found: Any, test: Any) -> bool:
    if isinstance(test, dict) and "exists" in test:
        present = found is not ABSENT and not isinstance(found, dict)
        return present is test["exists"]
    if found is ABSENT:
        return False
    values = cast(list[Any], found) if isinstance(found, list) else [found]
    return any(_value_matches(value, test) for value in values)


def _value_matches(value: Any, test: Any) -> bool:
    if not isinstance(test, dict):
        return _same(value, test)
    name, wanted = next(iter(cast(dict[str, Any], test).items()))
    return OPERATORS[name](value, wanted)


def _same(value: Any, wanted: Any) -> bool:
    """Equal as JSON has it: true is no number."""
    return isinstance(value, bool) is isinstance(wanted, bool) and value == wanted


def _text(test: Callable[[str, str], bool]) -> Callable[[Any, Any], bool]:
    """An operator on texts, of which a pattern may name several, or one of any case."""

    def compare(value: Any, wanted: Any) -> bool:
        if isinstance(wanted, list):
            return any(compare(value, one) for one in cast(list[Any], wanted))
        if isinstance(wanted, dict):
            return compare(str(value).lower(), str(cast(Pattern, wanted)["equals-ignore-case"]).lower())
        return isinstance(value, str) and test(value, str(wanted))

    return compare


def _anything_but(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, dict):
        return not _value_matches(value, wanted)
    unwanted = cast(list[Any], wanted) if isinstance(wanted, list) else [wanted]
    return not any(_same(value, one) for one in unwanted)


def _numeric(value: Any, wanted: list[Any]) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return all(COMPARISONS[sign](value, bound) for sign, bound in zip(wanted[::2], wanted[1::2], strict=True))


def _in_network(value: Any, wanted: str) -> bool:
    try:
        return ipaddress.ip_address(value) in ipaddress.ip_network(wanted, strict=False)
    except ValueError:
        return False


@functools.lru_cache(maxsize=1024)
def _wildcard(pattern: str) -> Expression:
    """`*` for any characters; a backslash before it takes that meaning away."""
    pieces = re.findall(r"\\[\\*]|.", pattern, re.DOTALL)
    return expression("".join(".*" if piece == "*" else literally(piece[-1]) for piece in pieces))


OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "prefix": _text(str.startswith),
    "suffix": _text(str.endswith),
    "equals-ignore-case": _text(lambda value, wanted: value.lower() == wanted.lower()),
    "wildcard": _text(lambda value, wanted: _wildcard(wanted).fullmatch(value) is not None),
    "anything-but": _anything_but,
    "numeric": _numeric,
    "cidr": _in_network,
    "exists": lambda _value, wanted: wanted is True,
}


@functools.lru_cache(maxsize=1024)
def parse(text: str) -> Pattern:
    """A pattern that can be matched.

    Raises:
        AwsError: `InvalidEventPatternException`.
    """
    try:
        found = documents.parsed(text)
    except ValueError as error:
        raise _invalid("Not a valid JSON") from error
    if not isinstance(found, dict):
        raise _invalid("Filter is not an object")
    _check(cast(dict[str, Any], found))
    return cast(Pattern, found)


def _check(pattern: dict[str, Any]) -> None:
    if not pattern:
        raise _invalid("Empty objects are not allowed")
    for name, wanted in pattern.items():
        if name == "$or" and isinstance(wanted, list):
            for choice in cast(list[dict[str, Any]], wanted):
                _check(choice)
        elif isinstance(wanted, dict):
            _check(cast(dict[str, Any], wanted))
        elif not isinstance(wanted, list):
            raise _invalid(f'"{name}" must be an object or an array')
        elif not wanted:
            raise _invalid("Empty arrays are not allowed")
        else:
            for test in cast(list[Any], wanted):
                _check_test(test)


def _check_test(test: Any) -> None:
    if not isinstance(test, dict):
        return
    named = cast(dict[str, Any], test)
    if len(named) != 1:
        raise _invalid("Only one key allowed in match expression")
    name, wanted = next(iter(named.items()))
    if name not in OPERATORS:
        raise _invalid(f"Unrecognized match type {name}")
    if name == "exists" and not isinstance(wanted, bool):
        raise _invalid("exists match pattern must be either true or false.")
    if name in ("prefix", "suffix", "wildcard", "equals-ignore-case") and not isinstance(wanted, str | dict):
        raise _invalid(f"{name} match pattern must be a string")
    if name == "numeric" and not _is_numeric(wanted):
        raise _invalid("Value of numeric must be an array of comparisons and numbers.")


def _is_numeric(wanted: Any) -> bool:
    parts = cast(list[Any], wanted) if isinstance(wanted, list) else []
    return (
        len(parts) in (2, 4)
        and all(sign in COMPARISONS for sign in parts[::2])
        and all(isinstance(bound, int | float) for bound in parts[1::2])
    )


def _invalid(reason: str) -> AwsError:
    return AwsError("InvalidEventPatternException", f"Event pattern is not valid. Reason: {reason}")
