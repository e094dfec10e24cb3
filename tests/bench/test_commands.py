from __future__ import annotations

import os
import subprocess
import sys

import pytest

from bench.commands import cpu_seconds

BUSY = "import time\nend = time.process_time() + 0.2\nwhile time.process_time() < end: pass"


def test_given_a_program_that_computes_when_it_is_measured_then_its_cpu_time_counts() -> None:
    assert cpu_seconds([sys.executable, "-c", BUSY], os.environ) >= 0.2


def test_given_a_program_that_waits_when_it_is_measured_then_its_waiting_does_not_count() -> None:
    waiting = cpu_seconds([sys.executable, "-S", "-c", "import time; time.sleep(1)"], os.environ)
    assert waiting < 1


def test_given_a_command_that_fails_when_it_is_measured_then_that_is_no_figure() -> None:
    with pytest.raises(subprocess.CalledProcessError):
        cpu_seconds([sys.executable, "-c", "raise SystemExit(1)"], os.environ)
