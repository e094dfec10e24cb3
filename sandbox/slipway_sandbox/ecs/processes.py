"""The processes of a container, as the host sees them: what they use, and how to run one more among them."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from slipway_sandbox.ecs import nsenter

log = logging.getLogger(__name__)

TICKS = os.sysconf("SC_CLK_TCK")
KILOBYTE = 1024
PROCESS_FILES = Path("/proc")
OWN_MEMORY = ("RssAnon:", "RssShmem:")
"""What a process has for itself; pages of files are the kernel's to drop, and count for no limit."""
FAIR_SHARE = ("Pss_Anon:", "Pss_Shmem:")
"""The same, where what processes share counts once. Slow to find out."""
TIMED_OUT = 124
"""The exit code of a command that took too long, as `timeout` has it."""


@dataclass(frozen=True)
class Usage:
    """What a container's processes use at a time."""

    processes: int
    memory: int
    """Bytes."""
    cpu_seconds: float
    largest: int
    """The process with the most memory."""


def first_process(engine: int) -> int | None:
    """A container's own first process: the only child of bubblewrap's, `engine`. None once it has ended."""
    children = children_of(engine)
    return children[0] if children else None


def usage_of(engine: int) -> Usage | None:
    """What a container uses now; None once it has ended."""
    first = first_process(engine)
    if first is None:
        return None
    family = family_of(first)
    memory = {process: memory_of(process) for process in family}
    return Usage(len(family), sum(memory.values()), sum(map(cpu_of, family)), max(memory, key=lambda each: memory[each]))


def shared_memory_of(engine: int) -> int:
    """Bytes that a container uses, where what its processes share counts once."""
    first = first_process(engine)
    return sum(_kilobytes(process, "smaps_rollup", FAIR_SHARE) for process in family_of(first)) if first else 0


def family_of(first: int) -> list[int]:
    """A process and all that descend from it."""
    family = [first]
    for process in family:
        family.extend(children_of(process))
    return family


def children_of(process: int) -> list[int]:
    """The children of all of a process's threads."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in (PROCESS_FILES / str(process) / "task").iterdir():
            found += [int(child) for child in (task / "children").read_text().split()]
    return found


def memory_of(process: int) -> int:
    """Bytes that a process has for itself; 0 once it has ended."""
    return _kilobytes(process, "status", OWN_MEMORY)


def _kilobytes(process: int, file: str, names: tuple[str, ...]) -> int:
    """The sum of some lines such as `RssAnon:  12 kB`, in bytes."""
    try:
        lines = (PROCESS_FILES / str(process) / file).read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * KILOBYTE for line in lines if line.startswith(names))


def cpu_of(process: int) -> float:
    """Seconds that a process has computed; 0 once it has ended."""
    try:
        fields = (PROCESS_FILES / str(process) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    user, system = int(fields[11]), int(fields[12])
    return (user + system) / TICKS


def kill(process: int) -> None:
    """End one process at once. One that has ended is nothing to do."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)


def run_inside(engine: int, command: Sequence[str], folder: str, variables: Mapping[str, str], timeout: float) -> int | None:
    """Run a command in a container, and wait for it.

    Args:
        engine: The process id of the container's bubblewrap.
        command: The command.
        folder: Its working directory, in the container.
        variables: All of its environment.
        timeout: True seconds that it has.

    Returns:
        The exit code, `TIMED_OUT` where it was killed for taking too long, or None where the container has ended.
    """
    first = first_process(engine)
    if first is None:
        return None
    helper = [sys.executable, "-I", "-S", nsenter.__file__, str(first), folder, *command]
    passed = b"".join(f"{name}={value}\0".encode(errors="surrogateescape") for name, value in variables.items())
    process = subprocess.Popen(
        helper, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={}, start_new_session=True
    )
    end = time.monotonic() + timeout
    with process:
        try:
            process.communicate(passed, timeout=max(0.0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            return TIMED_OUT
    if not first_process(engine):
        return None
    if process.returncode == nsenter.NOT_ENTERED:
        log.warning("%s cannot be run in the container of process %d: it cannot be entered", command[0], first)
    return process.returncode
