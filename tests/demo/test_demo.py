"""The demo as a person runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from demo.team import ROOT
from slipway.api import Outcome


def demo(**environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "demo"],
        env={**os.environ, "KEEP": "", "BAD": "", **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )


@pytest.mark.timeout(240)
def test_given_no_terminal_when_the_demo_runs_then_the_endpoint_answers_and_the_result_says_how() -> None:
    done = demo()
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads((ROOT / "build" / "demo" / "result.json").read_text())
    assert done.stdout.splitlines()[-1] == f"promotion {result['id']}: {Outcome.promoted}"
    assert [stage["state"] for stage in result["stages"]] == ["done"] * 6
    assert json.loads(result["answer"])["predictions"]
    assert result["aws_calls"]["ecs.RunTask"] == 1


def test_given_an_unknown_kind_of_bad_when_the_demo_runs_then_it_names_those_it_knows() -> None:
    done = demo(BAD="luck")
    assert done.returncode == 2
    assert "accuracy, task, rollout" in done.stdout
