"""Paths into values, as definitions write them: `ModelArtifacts.S3ModelArtifacts`, `Outputs['train'].S3Uri`, `$.a[0].b`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, cast

_PART = re.compile(r"""\.?([A-Za-z0-9_-]+)|\[(\d+)\]|\[(?:'([^']*)'|"([^"]*)")\]""")
ELEMENT_NAMES = ("OutputName", "InputName", "ChannelName", "MetricName", "Name")
"""Members by which an element of a list is meant, where a path has a name in brackets: AWS turns these lists into maps."""


class PathError(ValueError):
    """A path that cannot be read, or that leads nowhere."""


def parse_path(text: str) -> tuple[str | int, ...]:
    """The members and indices that a path goes through.

    Raises:
        PathError: It is no path.
    """
    rest = text.removeprefix("$")
    parts: list[str | int] = []
    position = 0
    while position < len(rest):
        found = _PART.match(rest, position)
        if found is None:
            raise PathError(f"'{text}' is not a path")
        name, index, single, double = found.groups()
        parts.append(int(index) if index is not None else next(part for part in (name, single, double) if part is not None))
        position = found.end()
    return tuple(parts)


def follow(value: Any, path: Sequence[str | int], shown: str) -> Any:
    """What a path leads to.

    Args:
        value: Where it begins.
        path: Its parts.
        shown: The path as an error names it.

    Raises:
        PathError: It leads nowhere.
    """
    for part in path:
        value = _child(value, part, shown)
    return value


def _child(value: Any, part: str | int, shown: str) -> Any:
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        if str(part) in members:
            return members[str(part)]
    elif isinstance(value, list):
        items = cast("list[Any]", value)
        if isinstance(part, int) or part.isdecimal():
            if int(part) < len(items):
                return items[int(part)]
        else:
            named = [item for item in items if _is_named(item, part)]
            if named:
                return named[0]
    raise PathError(f"'{shown}' leads nowhere: there is no '{part}'")


def _is_named(item: Any, name: str) -> bool:
    return isinstance(item, dict) and any(cast("dict[str, Any]", item).get(key) == name for key in ELEMENT_NAMES)
