"""The paths of the sandbox's own APIs."""

from __future__ import annotations

from collections.abc import Mapping

from werkzeug.routing import Rule


def rules(prefix: str, table: Mapping[str, str]) -> list[Rule]:
    """The routing rules for a table of endpoints by `<method> <path>`.

    Args:
        prefix: What all paths begin with.
        table: Such as `{"GET /<name>": "show"}`.
    """
    made: list[Rule] = []
    for asked, endpoint in table.items():
        method, _, path = asked.partition(" ")
        made.append(Rule(f"{prefix}{path}", endpoint=endpoint, methods=[method]))
    return made
