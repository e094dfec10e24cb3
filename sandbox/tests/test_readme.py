"""What the README shows is what runs."""

from __future__ import annotations

from pathlib import Path

SANDBOX = Path(__file__).parent.parent


def test_given_the_readmes_example_when_it_is_held_against_the_one_that_runs_then_they_are_the_same() -> None:
    shown = (SANDBOX / "README.md").read_text().partition("```python\n")[2].partition("```")[0]
    assert shown in (SANDBOX / "examples" / "test_my_model.py").read_text()
    assert "def test_" in shown
