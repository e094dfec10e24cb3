from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]
PRODUCT = [ROOT / "worker.py", *(file for room in ("slipway", "workflows", "activities") for file in (ROOT / room).rglob("*.py"))]


def test_given_the_product_when_its_classes_are_counted_then_no_two_have_the_same_name() -> None:
    classes = Counter(
        node.name for file in PRODUCT for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.ClassDef)
    )

    assert [name for name, count in classes.items() if count > 1] == []
