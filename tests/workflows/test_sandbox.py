"""Temporal's sandbox checks every workflow file: none of them is passed through, and all else that is Slipway's is."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

FILES = sorted(Path(__file__).parents[2].joinpath("workflows").glob("*.py"))
OURS = ("slipway", "activities", "workflows")


def imports(tree: ast.AST, *, passed: bool = False) -> Iterator[tuple[str, bool]]:
    """The project's own modules that are imported, and whether the sandbox passes them through."""
    for node in ast.iter_child_nodes(tree):
        inside = passed or (isinstance(node, ast.With) and "imports_passed_through" in ast.unparse(node.items[0]))
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in OURS:
            yield node.module, inside
        yield from imports(node, passed=inside)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_given_a_workflow_file_when_it_imports_then_only_what_is_no_workflow_is_passed_through(file: Path) -> None:
    for module, passed in imports(ast.parse(file.read_text())):
        assert passed is not module.startswith("workflows"), f"{file.name} imports {module}"
