"""The numbers of an evaluation report: JSON that the pipeline's image writes, and so a stranger's.

A report is read as a whole or refused; what is shown of it is a part.
"""

from __future__ import annotations

import difflib
import heapq
import itertools
import json
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from slipway.app.metric_paths import values_at
from slipway.text import one_line

REPORT_LIMIT = 4 * 1_024 * 1_024
"""The most bytes of one report."""
DEPTH_LIMIT = 32
PATH_LIMIT = 256
"""The longest path that a gate can name. Longer ones are passed over."""
NUMBERS_LIMIT = 100_000
"""Numbers that are looked at for show and for a name that is nearly right. A gate's metric is looked up in the whole report."""
_DIGITS_LIMIT = 60
_SHOWN = 40
"""Characters of a text that stands where a number was looked for."""
_KEYS_SHOWN = 5
_COMPARED_LIMIT = 300
"""Names that a wrong one is compared with letter by letter."""


@dataclass(frozen=True)
class Measurements:
    """What a model's reports say: the metrics that gates name, and some of the others for show."""

    numbers: Mapping[str, float] = field(default_factory=dict[str, float])
    faults: Mapping[str, str] = field(default_factory=dict[str, str])
    """By the path of a metric that a gate names and that is no number: what is there instead, as `is NaN`."""
    nearest: Mapping[str, str] = field(default_factory=dict[str, str])
    """By the path of a metric that is not there: the name that was probably meant."""

    def problem(self, path: str) -> str:
        """Why there is no number at a path, as the end of a sentence about the model."""
        if fault := self.faults.get(path):
            return f"has no number there: it {fault}"
        near = self.nearest.get(path)
        return f"has no such metric; did you mean {near!r}?" if near else "has no such metric"


def measure(report: Mapping[str, Any], named: Collection[str], spare: int) -> Measurements:
    """What one report says. The metrics that gates name are looked up in all of it.

    Args:
        report: The report as it was parsed.
        named: The paths that gates name.
        spare: How many other numbers are kept for show.

    Raises:
        ValueError: The report is nested too deeply.
    """
    names = dict(numbers_of(report))
    numbers = kept(names.items(), (), spare)
    faults: dict[str, str] = {}
    nearest: dict[str, str] = {}
    for path in named:
        values = list(values_at(report, path))
        found = next((number for value in values if (number := as_number(value)) is not None), None)
        if found is not None:
            numbers[path] = found
        elif values:
            faults[path] = fault_of(values[0])
        elif near := nearest_name(path, names):
            nearest[path] = near
    return Measurements(numbers, faults, nearest)


def together(parts: Sequence[Measurements], named: Collection[str], spare: int) -> Measurements:
    """What several reports of one model say: a later one wins, a number always does."""
    numbers: dict[str, float] = {}
    faults: dict[str, str] = {}
    suggested: dict[str, list[str]] = {}
    for part in parts:
        numbers |= part.numbers
        faults |= part.faults
        for path, near in part.nearest.items():
            suggested.setdefault(path, []).append(near)
    nearest = {path: found for path, near in suggested.items() if (found := nearest_name(path, near))}
    missing = {path: fault for path, fault in faults.items() if path not in numbers}
    return Measurements(kept(numbers.items(), named, spare), missing, nearest)


def fault_of(value: Any) -> str:
    """What is wrong with a value that is no number, as the end of a sentence."""
    match value:
        case None:
            return "is null"
        case bool():
            return f"is {str(value).lower()}, not a number"
        case list():
            return f"is a list of {len(cast('list[Any]', value))}, not a number: say which item, as [0]"
        case Mapping():
            keys = list(cast("Mapping[str, Any]", value))
            shown = ", ".join(one_line(str(key)[:_SHOWN]) for key in keys[:_KEYS_SHOWN])
            return f"is an object, not a number: it has {shown or 'nothing'}{', …' if len(keys) > _KEYS_SHOWN else ''}"
        case _:
            return _fault_of_scalar(value)


def _fault_of_scalar(value: Any) -> str:
    try:
        number = float(value) if len(str(value)) <= _DIGITS_LIMIT else 0
    except (ValueError, OverflowError):
        number = 0
    if not math.isfinite(number):
        return "is NaN" if math.isnan(number) else "is infinite"
    text = str(value)
    return f"is the text {text[:_SHOWN] + ('…' if len(text) > _SHOWN else '')!r}, not a number"


def nearest_name(path: str, names: Iterable[str]) -> str | None:
    """The name that was probably meant: the shortest that has all keys of the path, or else one that is written alike."""
    present = list(names)
    keys = path.split(".")
    longest = max(keys, key=len)
    whole = [name for name in present if longest in name and set(keys) <= set(name.split("."))]
    if whole:
        return min(whole, key=lambda name: (len(name), name))
    beside = [name for name in present if name.startswith(f"{keys[0]}.")] or present
    return next(iter(difflib.get_close_matches(path, beside[:_COMPARED_LIMIT], n=1)), None)


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
    """The numbers of a nested report with their dotted paths: the first `NUMBERS_LIMIT` of them.

    Raises:
        ValueError: It is nested too deeply.
    """
    return itertools.islice(_walk(report, "", 1), NUMBERS_LIMIT)


def kept(numbers: Collection[tuple[str, float]], named: Collection[str], spare: int) -> dict[str, float]:
    """The numbers at the named paths, and as many others as are spared, first by name."""
    found = {path: number for path, number in numbers if path in named}
    rest = heapq.nsmallest(spare, ((path, number) for path, number in numbers if path not in named))
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
