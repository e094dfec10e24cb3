"""A test that hangs must not keep the others from ending."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

# Each runs other tests in a process of its own, and waits until one of them has hung for long enough.
pytestmark = pytest.mark.timeout(120)

CONFTEST = Path(__file__).parents[1] / "conftest.py"
SETTINGS = "[pytest]\ntimeout = 30\nhang_patience = 2\n"
FAILS_AND_HANGS_AFTERWARDS = """
import pytest, threading

@pytest.fixture
def stuck():
    yield
    threading.Event().wait()

def test_stuck(stuck):
    raise AssertionError
"""
TAKES_NO_NOTICE_OF_ITS_TIMEOUT = """
import pytest, time

@pytest.mark.timeout(1)
def test_stuck():
    while True:
        try:
            time.sleep(60)
        except BaseException:
            continue
"""


@pytest.fixture(params=[FAILS_AND_HANGS_AFTERWARDS, TAKES_NO_NOTICE_OF_ITS_TIMEOUT], ids=["in its teardown", "in its call"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Two tests, one of which hangs."""
    shutil.copy(CONFTEST, tmp_path)
    (tmp_path / "pytest.ini").write_text(SETTINGS)
    (tmp_path / "test_it.py").write_text(f"{request.param}\ndef test_after():\n    pass\n")
    return tmp_path


def test_given_a_test_that_hangs_then_its_process_says_where_and_another_one_goes_on(folder: Path) -> None:
    command = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:asyncio", "-n", "1")
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=50)
    assert "1 passed" in done.stdout
    assert "crashed while running 'test_it.py::test_stuck'" in done.stdout
    assert "in stuck" in done.stderr or "in test_stuck" in done.stderr
