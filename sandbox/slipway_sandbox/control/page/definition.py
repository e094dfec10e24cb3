"""Reads from a pipeline's definition which step needs which."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from slipway_sandbox.control.page.graph import Edge, Graph

REFERENCE = re.compile(r"Steps\.([^.\[]+)")
BRANCHES = {"IfSteps": "True", "ElseSteps": "False"}
"""The members of a condition's arguments that hold steps, and the outcome that these wait for."""
JsonObject = Mapping[str, Any]


def members(value: JsonObject, name: str) -> JsonObject:
    """The members of an object inside another; none where it is missing or null."""
    return value.get(name) or {}


def graph_of(steps: Sequence[JsonObject]) -> Graph:
    """The steps of a definition, those in branches among them, and which needs which."""
    types: dict[str, str] = {}
    edges: list[Edge] = []
    for step, condition, outcome in walk(steps):
        name = step["Name"]
        types[name] = step.get("Type", "")
        if condition:
            edges.append(Edge(condition, name, outcome))
        edges += [Edge(needed, name) for needed in sorted(needs_of(step)) if needed not in (name, condition)]
    return Graph(types, tuple(edge for edge in dict.fromkeys(edges) if edge.source in types))


def walk(steps: Sequence[JsonObject], condition: str = "", outcome: str = "") -> Iterator[tuple[JsonObject, str, str]]:
    """Every step, with the condition and the outcome that it waits for."""
    for step in steps:
        yield step, condition, outcome
        if step.get("Type") == "Condition":
            arguments = members(step, "Arguments")
            for name, branch in BRANCHES.items():
                yield from walk(arguments.get(name) or [], step["Name"], branch)


def needs_of(step: JsonObject) -> set[str]:
    """The steps that one depends on, by name or by what it reads of them. What is in a condition's branches is theirs."""
    arguments = {name: value for name, value in members(step, "Arguments").items() if name not in BRANCHES}
    depends_on: list[str] = step.get("DependsOn") or []
    named = {name.partition(".")[0] for name in depends_on}
    return named | set(references({**step, "Arguments": arguments}))


def references(value: object) -> Iterator[str]:
    """The steps that an expression reads."""
    if isinstance(value, dict):
        found = cast("dict[str, object]", value)
        path = found.get("Get")
        match = REFERENCE.match(path) if isinstance(path, str) else None
        if match:
            yield match[1]
        for item in found.values():
            yield from references(item)
    elif isinstance(value, list):
        for item in cast("list[object]", value):
            yield from references(item)
