"""The part of JSONPath that batch transform knows: names, lists of names, indices, slices and `*`."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

STEP = re.compile(
    r"\.(?P<name>[A-Za-z_][\w-]*)"
    r"|\.\*|\[\s*\*\s*\]"
    r"|\[(?P<names>\s*(?:'[^']*'|\"[^\"]*\")(?:\s*,\s*(?:'[^']*'|\"[^\"]*\"))*\s*)\]"
    r"|\[(?P<places>[-\d:,\s]+)\]"
)
QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"")
PLACE = re.compile(r"\s*(?P<start>-?\d+)?\s*(?P<slice>:)?\s*(?P<end>-?\d+)?\s*")
Step = Callable[[Any], Any]


class PathError(ValueError):
    """A path that cannot be read, or that leads nowhere in the data."""


def compiled(path: str) -> Step:
    """A function that selects what the path leads to.

    Raises:
        PathError: It cannot be read.
    """
    if not path.startswith("$"):
        raise PathError(f"the JSONPath {path!r} does not begin with $")
    steps: list[Step] = []
    at = 1
    while at < len(path):
        found = STEP.match(path, at)
        if not found:
            raise PathError(f"the JSONPath {path!r} cannot be read from {path[at:]!r} on")
        steps.append(step_of(found))
        at = found.end()
    return partial(walk, steps)


def walk(steps: list[Step], value: Any) -> Any:
    """Take each step from where the last one led."""
    for step in steps:
        value = step(value)
    return value


def step_of(found: re.Match[str]) -> Step:
    """One step of a path."""
    if found["name"]:
        return partial(member, found["name"])
    if found["names"]:
        names = [first or second for first, second in QUOTED.findall(found["names"])]
        return partial(member, names[0]) if len(names) == 1 else partial(members, names)
    if found["places"]:
        places = found["places"].split(",")
        return partial(item, places[0]) if len(places) == 1 and ":" not in places[0] else partial(items, places)
    return children


def member(name: str, value: Any) -> Any:
    """A member of an object.

    Raises:
        PathError: There is none of that name.
    """
    if not isinstance(value, dict) or name not in value:
        raise PathError(f"the data has no member {name!r}")
    return value[name]  # pyright: ignore[reportUnknownVariableType]


def members(names: list[str], value: Any) -> dict[str, Any]:
    """Some members of an object, as an object."""
    return {name: member(name, value) for name in names}


def item(place: str, value: Any) -> Any:
    """One item of a list.

    Raises:
        PathError: It has no such place.
    """
    return items([place], value)[0]


def items(places: list[str], value: Any) -> list[Any]:
    """Some items of a list, as a list.

    Raises:
        PathError: It is no list, or has no such place.
    """
    if not isinstance(value, list):
        raise PathError("the data is no list")
    chosen: list[Any] = []
    for place in places:
        found = PLACE.fullmatch(place)
        if not found or not (found["start"] or found["slice"]):
            raise PathError(f"{place!r} is no place in a list")
        start = int(found["start"]) if found["start"] else None
        if found["slice"]:
            chosen += value[start : int(found["end"]) if found["end"] else None]
            continue
        try:
            chosen.append(value[start or 0])
        except IndexError as error:
            raise PathError(f"the list has no place {start}") from error
    return chosen


def children(value: Any) -> list[Any]:
    """All members of an object, or items of a list.

    Raises:
        PathError: It is neither.
    """
    match value:
        case dict():
            return list(value.values())  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        case list():
            return value  # pyright: ignore[reportUnknownVariableType]
        case _:
            raise PathError("the data has no members")
