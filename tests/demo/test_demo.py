"""The demo as a person runs it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.oci_layout import locked
from demo.team import ROOT
from slipway.api import Outcome

FOLDER = ROOT / "build" / "demo"
PATIENCE = 150.0
CTRL_C = b"\x03"

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(autouse=True)
def alone() -> Iterator[None]:
    """There is one demo at a time in a checkout, and tests run side by side."""
    FOLDER.parent.mkdir(exist_ok=True)
    with locked(FOLDER.parent / "demo-test.lock"):
        yield


def demo(**environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "demo"],
        env={**os.environ, "KEEP": "", "BAD": "", "LAUNCHER": "", "CLAIMED": "", **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )


class Terminal:
    """Somebody's terminal, in which make runs a recipe.

    Args:
        makefile: Its only target is run.
    """

    def __init__(self, makefile: Path) -> None:
        self._ours, theirs = os.openpty()
        self.shown = ""
        # A session of its own with the terminal as its controlling one, as a login has.
        command = ["setsid", "--ctty", "--wait", "make", "--no-print-directory", "-f", str(makefile)]
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)

    def type(self, keys: bytes) -> None:
        os.write(self._ours, keys)

    def until(self, text: str) -> str:
        """All that was shown, as soon as the text is in it."""
        deadline = time.monotonic() + PATIENCE
        while text not in self.shown:
            assert time.monotonic() < deadline, f"timeout after {PATIENCE:.0f} s waiting for {text!r} in:\n{self.shown}"
            assert self._read(), f"it ended without {text!r}:\n{self.shown}"
        return self.shown

    def end(self) -> int:
        """The exit code, when it has ended by itself."""
        while self._read():
            pass
        return self.process.wait(PATIENCE)

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()
        os.close(self._ours)

    def _read(self) -> bool:
        if not select.select([self._ours], [], [], 1)[0]:
            return self.process.poll() is None
        with contextlib.suppress(OSError):  # that is how a terminal says that nobody has it any more
            self.shown += os.read(self._ours, 65536).decode(errors="replace")
            return True
        return False


@pytest.fixture
def kept_demo(tmp_path: Path) -> Iterator[Terminal]:
    """`make demo KEEP=1` without the set-up."""
    makefile = tmp_path / "Makefile"
    makefile.write_text(f".PHONY: demo\ndemo:\n\t@KEEP=1 BAD= CLAIMED= DEMO_APPROVE= exec {sys.executable} -u -m demo\n")
    terminal = Terminal(makefile)
    yield terminal
    terminal.close()


def test_given_no_terminal_when_the_demo_runs_then_the_endpoint_answers_and_the_result_says_how() -> None:
    done = demo()
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads((FOLDER / "result.json").read_text())
    assert done.stdout.splitlines()[-1] == f"promotion {result['id']}: {Outcome.promoted}"
    assert "make demo KEEP=1 leaves them up" in done.stdout
    assert [stage["state"] for stage in result["stages"]] == ["done"] * 6
    assert json.loads(result["answer"])["predictions"]
    (decision,) = result["decisions"]
    assert (decision["by"], decision["level"]) == ("ana", "signed")
    shown = re.sub(r"\s+", " ", done.stdout)
    assert f"approved by ana (signed, key {decision['fingerprint']})" in shown
    assert "1 of 1 decision signed and good; nothing is wrong" in done.stdout
    assert result["aws_calls"]["ecs.RunTask"] == 1


@pytest.mark.slow
def test_given_a_piped_that_runs_the_task_when_the_demo_runs_then_slipway_runs_none_and_the_endpoint_answers() -> None:
    done = demo(LAUNCHER="pipecd")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "piped ran it for" in done.stdout
    result = json.loads((FOLDER / "result.json").read_text())
    assert result["outcome"] == Outcome.promoted
    assert json.loads(result["answer"])["predictions"]
    assert result["aws_calls"]["ecs.RunTask"] == 1


def test_given_an_unknown_launcher_when_the_demo_runs_then_the_known_ones_are_told() -> None:
    done = demo(LAUNCHER="argo")
    assert done.returncode == 2
    assert "LAUNCHER=argo is not known; it is one of: slipway, pipecd" in done.stdout


@pytest.mark.slow
def test_given_claimed_decisions_when_the_demo_runs_then_that_is_marked() -> None:
    done = demo(CLAIMED="1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "CLAIMED=1: decisions are not signed" in done.stdout
    assert "approved by ana (claimed)" in done.stdout
    assert "the names are claimed: there is no signature to verify" in done.stdout
    assert [each["level"] for each in json.loads((FOLDER / "result.json").read_text())["decisions"]] == ["claimed"]


@pytest.mark.slow
def test_given_a_demo_that_is_kept_when_another_terminal_decides_then_it_goes_on_until_ctrl_c(kept_demo: Terminal) -> None:
    asked = kept_demo.until("Approve this model? [y/n]")
    assert re.search(r"export TEMPORAL_ADDRESS=127.0.0.1:\d+", asked)
    assert re.search(r"http://127.0.0.1:\d+/_sandbox/", asked)
    evidence = re.search(r"Evidence ([0-9a-f]{16})", asked)
    promotion = re.search(r"workflows/(screening-[0-9a-f]{12})/", asked)
    assert evidence, asked
    assert promotion, asked
    # Another terminal, with what the demo wrote down for it.
    script = f". {FOLDER}/env.sh && slipway approve {promotion[1]} --evidence {evidence[1]}"
    elsewhere = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
    assert elsewhere.returncode == 0, elsewhere.stdout + elsewhere.stderr
    assert "approved by ana (signed), 1 of 1" in elsewhere.stdout
    kept_demo.until("decided elsewhere")
    kept_demo.until(": promoted\r\n")
    kept_demo.type(CTRL_C)
    code = kept_demo.end()
    assert code == 0, kept_demo.shown
    assert kept_demo.shown.rstrip().endswith("everything is stopped")
    assert "make: ***" not in kept_demo.shown


def test_given_an_unknown_kind_of_bad_when_the_demo_runs_then_it_names_those_it_knows() -> None:
    done = demo(BAD="luck")
    assert done.returncode == 2
    assert "accuracy, task, rollout" in done.stdout
