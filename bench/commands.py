"""What the commands cost before they do anything, beside the import of Temporal's client: the floor of those that need it."""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from temporalio.client import Client

from bench.figures import ratio_of_pairs
from demo.stack import BINARIES, base_environment
from demo.temporal import TemporalServer
from slipway.temporal.setup import set_up

ROUNDS = 7
FLOOR = (sys.executable, "-c", "import temporalio.client")


def measure() -> dict[str, float]:
    """Seconds of processor time of each command, and the ratio to the floor, turn by turn."""
    with tempfile.TemporaryDirectory() as scratch:
        environment = base_environment(Path(scratch))
        server = TemporalServer(Path(scratch), environment)
        server.start_anywhere()
        try:
            asyncio.run(_set_up(server.address))
            # A server that listens and a promotion that it does not know: all that `status` does but to draw.
            return compare({**environment, "TEMPORAL_ADDRESS": server.address, "TEMPORAL_NAMESPACE": "default"})
        finally:
            server.process.stop()


async def _set_up(address: str) -> None:
    await set_up(await Client.connect(address))


def compare(environment: dict[str, str]) -> dict[str, float]:
    """The figures."""
    slipway = str(BINARIES / "slipway")
    commands = {"help": ("--help",), "lint": ("lint", "pipecd"), "status": ("status", "no-such-promotion")}
    floor: list[float] = []
    spent: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(ROUNDS):
        floor.append(cpu_seconds(FLOOR, environment))
        for name, arguments in commands.items():
            spent[name].append(cpu_seconds((slipway, *arguments), environment))
    figures = {"import_temporalio_client_cpu_seconds": statistics.median(floor)}
    for name, seconds in spent.items():
        figures[f"slipway_{name}_cpu_seconds"] = statistics.median(seconds)
        figures[f"slipway_{name}_to_import_temporalio_ratio"] = ratio_of_pairs(seconds, floor)
    return figures


def cpu_seconds(command: tuple[str, ...], environment: dict[str, str]) -> float:
    """What one run of a command takes of the processor."""
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, _, usage = os.wait4(process.pid, 0)
    process.returncode = 0  # it is waited for already
    return usage.ru_utime + usage.ru_stime
