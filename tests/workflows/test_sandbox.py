"""Temporal's sandbox checks every workflow file. All else that is Slipway's is passed through, and so is a promotion's state."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "workflows"
FILES = sorted(FOLDER.glob("*.py"))
STATE = sorted(FOLDER.joinpath("state").glob("*.py"))
OURS = ("slipway", "activities", "workflows")
PASSED = ("slipway", "activities", "workflows.state")
HARMLESS = {"__future__", "collections", "datetime", "enum", "typing", "pydantic", *OURS}
"""What the files of the state may import from."""


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
        assert passed is module.startswith(PASSED), f"{file.name} imports {module}"


@pytest.mark.parametrize("file", STATE, ids=lambda file: file.name)
def test_given_a_file_of_the_state_when_the_sandbox_does_not_check_it_then_it_is_data_alone(file: Path) -> None:
    tree = ast.parse(file.read_text())
    for node in ast.walk(tree):
        assert not isinstance(node, ast.Import), f"{file.name}: a whole module is imported"
        assert not isinstance(node, ast.ImportFrom) or (node.module or "").split(".")[0] in HARMLESS
        assert not isinstance(node, ast.Await | ast.AsyncFunctionDef), f"{file.name}: data waits for nothing"
        assert not (isinstance(node, ast.Attribute) and node.attr in {"now", "utcnow", "today"}), f"{file.name}: it reads a clock"
    assert all(module.startswith(PASSED) for module, _ in imports(tree)), f"{file.name} imports workflow code"
