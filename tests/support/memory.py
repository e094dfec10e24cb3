"""How much memory a program takes at most."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Generator

_TELL = """
from pathlib import Path
[peak] = [line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
print(peak)
"""


def peak_of(program: str, given: str = "") -> int:
    """The most memory that a Python program took, in kB.

    `getrusage` would also count what the process that started it took.
    """
    done = subprocess.run([sys.executable, "-c", program + _TELL], input=given, capture_output=True, text=True, check=True)
    return int(done.stdout.splitlines()[-1])


@contextlib.contextmanager
def own_memory() -> Generator[Callable[[], int]]:
    """Gives the most bytes that this program's objects took in the body, beyond what they took before."""
    tracemalloc.start()
    try:
        yield lambda: tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
