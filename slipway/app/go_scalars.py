"""Plain scalars of YAML as piped reads them: by go-yaml 2, and as text where ECS's API wants text.

Slipway registers the text that was written. This is for saying where piped would register another one, and for numbers and truth
values, which are read as piped does.
"""

from __future__ import annotations

import math
import re
import struct

Scalar = str | int | float | bool | None
_TRUE = frozenset(["y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"])
_FALSE = frozenset(["n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"])
_NULL = frozenset(("", "~", "null", "Null", "NULL"))
_NUMBER_LIKE = re.compile(r"[-+.0-9]")
_SPECIAL = re.compile(r"(?P<sign>[-+]?)\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_TIMESTAMP = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt ][0-9:.]+(Z|[-+][0-9:]+)?)?")
_INTEGER = re.compile(
    r"(?P<sign>[-+]?)"
    r"(0[xX](?P<hex>[0-9a-fA-F]+)|0[bB](?P<bin>[01]+)|0[oO]?(?P<oct>[0-7]+)|(?P<dec>0|[1-9][0-9]*))"
)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_BETWEEN_DIGITS = re.compile(r"(?<=[0-9])_(?=[0-9])")
_BASES = {"hex": 16, "bin": 2, "oct": 8, "dec": 10}
_INT64 = range(-(2**63), 2**64)
_LARGEST_PLAIN_EXPONENT = 6
_SMALLEST_PLAIN_EXPONENT = -4
LONGEST = 400
"""More digits than any finite number has that is written out."""


def resolve(written: str) -> Scalar:
    """The value that go-yaml 2 takes a plain scalar for."""
    if written in _NULL:
        return None
    if written in _TRUE or written in _FALSE:
        return written in _TRUE
    if not _NUMBER_LIKE.match(written) or len(written) > LONGEST:
        return written
    return _number(written)


def _number(written: str) -> Scalar:
    if special := _SPECIAL.fullmatch(written):
        return math.nan if special["sign"] is None else math.copysign(math.inf, -1 if special["sign"] == "-" else 1)
    if _TIMESTAMP.fullmatch(written):
        return written
    # Behind a digit or a sign go-yaml drops all underscores; behind a point Go itself takes those between digits.
    plain = _BETWEEN_DIGITS.sub("", written) if written.startswith(".") else written.replace("_", "")
    integer = _INTEGER.fullmatch(plain)
    if integer and (value := _integer(integer)) in _INT64 and not (value > _INT64[-1] // 2 and integer["sign"]):
        return value
    if _FLOAT.fullmatch(plain) and math.isfinite(float(plain)):
        return float(plain)
    return written


def _integer(match: re.Match[str]) -> int:
    base, digits = next((base, digits) for name, base in _BASES.items() if (digits := match[name]) is not None)
    return int(f"{match['sign']}{digits}", base)


def as_text(value: Scalar) -> str:
    """The text that piped makes of a value where text is wanted."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case float():
            return _format(value)
        case _:
            return str(value)


def _format(value: float) -> str:
    """Go's `strconv.FormatFloat(value, 'g', -1, 32)`: the shortest text of the nearest 32-bit number."""
    single = _single(value)
    if math.isnan(single):
        return "NaN"
    if math.isinf(single):
        return "+Inf" if single > 0 else "-Inf"
    digits = next(text for width in range(17) if _single(float(text := f"{single:.{width}e}")) == single)
    mantissa, _, power = digits.partition("e")
    exponent = int(power)
    if single and not _SMALLEST_PLAIN_EXPONENT <= exponent < _LARGEST_PLAIN_EXPONENT:
        return f"{mantissa}e{exponent:+03d}"
    decimals = max(len(mantissa.lstrip("-").replace(".", "")) - 1 - exponent, 0)
    return f"{float(digits):.{decimals}f}"


def _single(value: float) -> float:
    try:
        return struct.unpack("f", struct.pack("f", value))[0]
    except OverflowError:
        return math.copysign(math.inf, value)
