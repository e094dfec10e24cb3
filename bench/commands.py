"""What starting a command costs, beside a Python that only imports Temporal's client: CPU time, turn by turn."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

RUNS = 5
BINARIES = Path(sys.executable).parent
BASE = "import_temporal"


def start_costs(root: Path) -> dict[str, float]:
    """CPU seconds of each command, and their ratios to the import. The least of some runs: what else runs only ever adds."""
    commands = {
        BASE: [sys.executable, "-c", "import temporalio.client"],
        "slipway_help": [str(BINARIES / "slipway"), "--help"],
        "slipway_version": [str(BINARIES / "slipway"), "--version"],
        "slipway_lint": [str(BINARIES / "slipway"), "lint", str(root / "pipecd")],
        "sandbox_help": [str(BINARIES / "slipway-sandbox"), "--help"],
    }
    # With bytecode, as installed programs have it; the first run of each writes it.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    for command in commands.values():
        cpu_seconds(command, environment)
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(RUNS):
        for name, command in commands.items():
            seconds[name].append(cpu_seconds(command, environment))
    least = {name: min(taken) for name, taken in seconds.items()}
    ratios = {f"{name}_to_import_ratio": round(value / least[BASE], 2) for name, value in least.items() if name != BASE}
    return {f"{name}_cpu_seconds": round(value, 3) for name, value in least.items()} | ratios


def cpu_seconds(command: list[str], environment: Mapping[str, str]) -> float:
    """User and system time of a command that succeeds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, env=environment, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
