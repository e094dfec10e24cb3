"""The commands that people are told to type."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAKEFILE = (ROOT / "Makefile").read_text()


def test_given_the_makefile_then_its_phony_names_are_its_targets_and_each_says_what_it_does() -> None:
    phony = re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    described = re.findall(r"^([a-z]+):.*## \S", MAKEFILE, re.MULTILINE)
    assert phony == [" ".join(described)]


@pytest.mark.parametrize(
    ("given", "left_out"),
    [((), True), (("ALL=1",), False), (("ARGS=tests/scenarios",), False)],
    ids=["nothing", "all", "some by name"],
)
def test_given_what_is_asked_for_when_tests_are_run_then_the_slow_ones_are_left_out_unless_they_are_meant(
    given: tuple[str, ...], left_out: bool
) -> None:
    # Those of the make that runs this test are not meant.
    environment = {name: value for name, value in os.environ.items() if name not in {"ALL", "ARGS", "MAKEFLAGS", "MAKEOVERRIDES"}}
    recipe = subprocess.run(
        ["make", "--dry-run", "test", *given], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert ('-m "not slow"' in recipe.stdout) is left_out
