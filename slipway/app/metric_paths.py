"""Where a metric is in a report: keys with dots between them, or an expression of JMESPath.

Only that part of JMESPath is taken that leads to one place: its projections, functions and multiple selections can make a small
report endlessly large.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, cast

_MARKS = re.compile(r'[\["|]')
_OTHER_ROOT = re.compile(r"\$?\.|\$\[")
_TAKEN = frozenset(
    {
        "comparator",
        "current",
        "field",
        "filter_projection",
        "identity",
        "index",
        "index_expression",
        "literal",
        "pipe",
        "subexpression",
    }
)
"""Nodes of JMESPath's syntax that are taken: keys, `[0]`, `[?name=='x']` and `|`."""
_FILTERS_LIMIT = 4
"""Filters in one expression. Each goes once through a list, which may have a million items."""


def check_metric_path(path: str) -> str:
    """Checks a path as it is written in a spec.

    Raises:
        ValueError: It begins as a path of JSONPath or jq does; or it has one of `[`, `"` and `|`, and is no expression that is
            taken.
    """
    if found := _OTHER_ROOT.match(path):
        raise ValueError(f"must be a path that begins with a key, as binary_classification_metrics.auc.value: without {found[0]}")
    if _MARKS.search(path):
        _compiled(path)
    return path


def values_at(report: Any, path: str) -> Iterator[Any]:
    """Everything that a path can mean in a report, or in another JSON document.

    A key may contain dots itself, so every way to cut the path is tried, the longest key first. Then comes what it is as an
    expression.
    """
    if isinstance(report, Mapping):
        yield from _by_keys(cast("Mapping[str, Any]", report), path)
    if not _MARKS.search(path):
        return
    try:
        found = _compiled(path).search(report)
    except (ValueError, TypeError):
        return  # a spec that an older release has read; or a filter that compares a text with a number
    if found is not None:
        yield found


def _by_keys(report: Mapping[str, Any], path: str) -> Iterator[Any]:
    if path in report:
        yield report[path]
    parts = path.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        inner: Any = report.get(".".join(parts[:cut]))
        if isinstance(inner, Mapping):
            yield from _by_keys(cast("Mapping[str, Any]", inner), ".".join(parts[cut:]))


def _compiled(path: str) -> Any:
    # Imported when it is needed: commands that read no such path start without it.
    import jmespath  # noqa: PLC0415
    from jmespath.exceptions import JMESPathError  # noqa: PLC0415

    try:
        compiled = jmespath.compile(path)
    except (JMESPathError, RecursionError) as error:
        reason = str(error).partition("\n")[0].rstrip(":") or "it is nested too deeply"
        raise ValueError(f"must be a path to one number, and is no JMESPath expression: {reason}") from error
    nodes = list(_nodes(compiled.parsed))
    if nodes.count("filter_projection") > _FILTERS_LIMIT:
        raise ValueError(f"must be a path to one number, with up to {_FILTERS_LIMIT} filters")
    if unknown := sorted(set(nodes) - _TAKEN):
        kinds = ", ".join(unknown).replace("_", " ")
        raise ValueError(
            f"must be a path to one number, and has a part that is not taken ({kinds}); use keys, [0], [?name=='x'] and |"
        )
    return compiled


def _nodes(node: Any) -> Iterator[str]:
    yield node["type"]
    for child in node["children"]:
        if isinstance(child, dict):
            yield from _nodes(child)
