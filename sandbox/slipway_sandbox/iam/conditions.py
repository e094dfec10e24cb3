"""A statement's conditions, operator by operator."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from slipway_sandbox.iam.text import Context, fits

ARN_PARTS = 6
Test = Callable[[str, str, Context], bool]
"""Whether a value of the call is what a policy wants."""


def holds(operator: str, wanted: Mapping[str, Sequence[str]], context: Context) -> bool:
    """Whether a block such as `"StringLike": {"s3:prefix": ["data/*"]}` is fulfilled."""
    return all(_key_holds(operator, key.lower(), values, context) for key, values in wanted.items())


def _key_holds(operator: str, key: str, wanted: Sequence[str], context: Context) -> bool:
    found = context.get(key)
    if operator == "Null":
        return (not found) is (wanted[0] == "true")
    many, _, plain = operator.rpartition(":")
    name = plain.removesuffix("IfExists")
    negated = "Not" in name
    if not found:
        # ForAllValues is fulfilled by no value at all, and what must not be something is so when it is absent.
        return plain.endswith("IfExists") or many == "ForAllValues" or (negated and many != "ForAnyValue")
    test = OPERATORS.get(name.replace("Not", ""))
    if test is None:
        return False
    results = [any(test(value, pattern, context) for pattern in wanted) is not negated for value in found]
    # A key with several values and no ForAllValues or ForAnyValue: each negated test has to hold, one of the others.
    return all(results) if many == "ForAllValues" or (negated and not many) else any(results)


def _equals(value: str, wanted: str, context: Context) -> bool:
    return fits(_escaped(wanted), value, context)


def _equals_ignoring_case(value: str, wanted: str, context: Context) -> bool:
    return _equals(value.lower(), wanted.lower(), context)


def _like(value: str, wanted: str, context: Context) -> bool:
    return fits(wanted, value, context)


def _arn_like(value: str, wanted: str, context: Context) -> bool:
    """Each of an ARN's six parts is matched by itself, so that no wildcard reaches over a colon."""
    if wanted == "*":
        return True
    patterns, parts = wanted.split(":", ARN_PARTS - 1), value.split(":", ARN_PARTS - 1)
    return len(patterns) == len(parts) and all(
        _like(part, pattern, context) for part, pattern in zip(parts, patterns, strict=True)
    )


def _boolean(value: str, wanted: str, _context: Context) -> bool:
    return value.lower() == wanted.lower()


def _address(value: str, wanted: str, _context: Context) -> bool:
    try:
        return ipaddress.ip_address(value) in ipaddress.ip_network(wanted, strict=False)
    except ValueError:
        return False


def _numeric(compare: Callable[[float, float], bool]) -> Test:
    def test(value: str, wanted: str, _context: Context) -> bool:
        try:
            return compare(float(value), float(wanted))
        except ValueError:
            return False

    return test


def _date(compare: Callable[[float, float], bool]) -> Test:
    def test(value: str, wanted: str, _context: Context) -> bool:
        try:
            return compare(_moment(value), _moment(wanted))
        except ValueError:
            return False

    return test


def _moment(text: str) -> float:
    if text.replace(".", "", 1).isdecimal():
        return float(text)
    found = datetime.fromisoformat(text)
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _escaped(text: str) -> str:
    """Wildcards as the characters that they are: StringEquals knows none."""
    if "*" not in text and "?" not in text:
        return text
    pieces = text.split("${")
    head = _literal(pieces[0])
    return head + "".join("${" + variable + "}" + _literal(rest) for variable, _, rest in (p.partition("}") for p in pieces[1:]))


def _literal(text: str) -> str:
    return "".join(f"${{{letter}}}" if letter in "*?" else letter for letter in text)


def _ordered(make: Callable[[Callable[[float, float], bool]], Test], kind: str) -> dict[str, Test]:
    return {
        f"{kind}Equals": make(lambda value, wanted: value == wanted),
        f"{kind}LessThan": make(lambda value, wanted: value < wanted),
        f"{kind}LessThanEquals": make(lambda value, wanted: value <= wanted),
        f"{kind}GreaterThan": make(lambda value, wanted: value > wanted),
        f"{kind}GreaterThanEquals": make(lambda value, wanted: value >= wanted),
    }


OPERATORS: dict[str, Test] = {
    "StringEquals": _equals,
    "StringEqualsIgnoreCase": _equals_ignoring_case,
    "StringLike": _like,
    "ArnEquals": _arn_like,
    "ArnLike": _arn_like,
    "Bool": _boolean,
    "BinaryEquals": lambda value, wanted, _context: value == wanted,
    "IpAddress": _address,
    **_ordered(_numeric, "Numeric"),
    **_ordered(_date, "Date"),
}
"""By their name without `Not`, which turns each around."""
