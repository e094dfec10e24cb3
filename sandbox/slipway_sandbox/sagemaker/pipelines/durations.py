"""Durations as a step's `CacheConfig` writes them: ISO 8601, in either case, with or without the `P` (`P30D`, `30d`, `T16m`)."""

from __future__ import annotations

import re
from datetime import timedelta

_DURATION = re.compile(
    r"p?(?:(?P<years>\d{1,6})y)?(?:(?P<months>\d{1,6})m)?(?:(?P<weeks>\d{1,6})w)?(?:(?P<days>\d{1,6})d)?"
    r"(?:t(?:(?P<hours>\d{1,6})h)?(?:(?P<minutes>\d{1,6})m)?(?:(?P<seconds>\d{1,6})s)?)?",
    re.IGNORECASE,
)
_SECONDS = {
    "years": 365 * 86400,
    "months": 30 * 86400,
    "weeks": 7 * 86400,
    "days": 86400,
    "hours": 3600,
    "minutes": 60,
    "seconds": 1,
}


def parse_duration(text: str) -> timedelta:
    """How long a duration is; a year has 365 days, a month 30.

    Raises:
        ValueError: It is none.
    """
    found = _DURATION.fullmatch(text)
    parts = {unit: int(count) for unit, count in found.groupdict().items() if count is not None} if found else {}
    if not parts:
        raise ValueError(f"'{text}' is not a duration in ISO 8601")
    return timedelta(seconds=sum(count * _SECONDS[unit] for unit, count in parts.items()))
