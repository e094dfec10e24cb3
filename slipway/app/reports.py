"""The numbers of an evaluation report: JSON that the pipeline's image writes, and so a stranger's.

A report is read as a whole or refused; what is shown of it is a part.
"""

from __future__ import annotations

import heapq
import json
import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, cast

REPORT_LIMIT = 4 * 1_024 * 1_024
"""The most bytes of one report."""
DEPTH_LIMIT = 32
PATH_LIMIT = 256
"""The longest path that a gate can name. Longer ones are passed over."""
NUMBERS_LIMIT = 100_000
_DIGITS_LIMIT = 60


def parse_report(body: bytes) -> Mapping[str, Any]:
    """A report of which every number can be read.

    Raises:
        ValueError: It is no JSON object, or too large; the text says what is allowed.
    """
    if len(body) > REPORT_LIMIT:
        raise ValueError(f"it has more than {REPORT_LIMIT:,} bytes")
    try:
        report = json.loads(body, parse_int=float)  # of 5,000 digits, too
    except RecursionError as error:
        raise ValueError(f"it is nested too deeply; allowed: {DEPTH_LIMIT} levels") from error
    except ValueError as error:
        raise ValueError(f"it is not JSON: {error}") from error
    if not isinstance(report, dict):
        raise ValueError("it is not a JSON object")  # noqa: TRY004 -- the file is wrong, not the program
    return cast("Mapping[str, Any]", report)


def numbers_of(report: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Every number of a nested report with its dotted path.

    Raises:
        ValueError: It is nested too deeply, or has too many numbers.
    """
    for count, found in enumerate(_walk(report, "", 1)):
        if count >= NUMBERS_LIMIT:
            raise ValueError(f"it has more than {NUMBERS_LIMIT:,} numbers")
        yield found


def kept(numbers: Iterable[tuple[str, float]], named: Collection[str], spare: int) -> dict[str, float]:
    """The numbers at the named paths, and as many others as are spared, first by name."""
    found: dict[str, float] = {}

    def others() -> Iterator[tuple[str, float]]:
        for path, number in numbers:
            if path in named:
                found[path] = number
            else:
                yield path, number

    rest = heapq.nsmallest(spare, others())
    return dict(sorted((dict(rest) | found).items()))


def as_number(value: Any) -> float | None:
    """A finite number, or text that is one: the registry keeps customer metadata as text. NaN is no measurement."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    if isinstance(value, str) and len(value) > _DIGITS_LIMIT:
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _walk(report: Mapping[str, Any], prefix: str, depth: int) -> Iterator[tuple[str, float]]:
    if depth > DEPTH_LIMIT:
        raise ValueError(f"it is nested too deeply; allowed: {DEPTH_LIMIT} levels")
    for key, value in report.items():
        if len(prefix) + len(key) > PATH_LIMIT or not key.isprintable():
            continue
        path = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _walk(cast("Mapping[str, Any]", value), f"{path}.", depth + 1)
        elif (number := as_number(value)) is not None:
            yield path, number
