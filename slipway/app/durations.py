"""Durations as people write them: `30s`, `10m`, `72h`, `2d`."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, WithJsonSchema

from slipway.app.rules import when_reading

PATTERN = r"^[0-9]{1,6}[smhd]$"
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def parse_duration(text: str) -> timedelta:
    """The duration that a text such as `10m` stands for.

    Raises:
        ValueError: The text is not a whole number followed by s, m, h or d.
    """
    if not re.fullmatch(PATTERN, text, re.ASCII):
        raise ValueError(f"{text!r} is not a duration; write a whole number and a unit, such as 30s, 10m, 72h or 2d")
    return timedelta(seconds=int(text[:-1]) * _SECONDS[text[-1]])


def format_duration(duration: timedelta) -> str:
    """The duration in the largest unit that keeps it whole; parts of a second are dropped."""
    seconds = int(duration.total_seconds())
    unit = next((unit for unit in ("d", "h", "m") if seconds and seconds % _SECONDS[unit] == 0), "s")
    return f"{seconds // _SECONDS[unit]}{unit}"


def _from_text(value: object) -> timedelta:
    if isinstance(value, timedelta):
        return value
    if isinstance(value, str):
        return parse_duration(value)
    raise ValueError(f"{value!r} is not a duration; write a whole number and a unit, such as 30s, 10m, 72h or 2d")


Duration = Annotated[
    timedelta,
    BeforeValidator(_from_text),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": PATTERN, "examples": ["30s", "10m", "72h", "2d"]}),
]
"""A model's field that is written `10m` and read as a timedelta."""


def between(least: str, most: str) -> AfterValidator:
    """The bounds of a duration, both included."""
    lower, upper = parse_duration(least), parse_duration(most)

    def check(value: timedelta) -> timedelta:
        if not lower <= value <= upper:
            raise ValueError(f"must be from {least} to {most}")
        return value

    return when_reading(check, f"{least} to {most}")
