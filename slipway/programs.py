"""Runs other programs: one that does not end in time does not outlive its caller, and neither does what it started."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncGenerator
from typing import Any

ENDS_WITHIN = 5.0
"""Seconds until a program that was killed is waited for no longer."""
_CHUNK = 65_536


async def start(*command: str, **options: Any) -> asyncio.subprocess.Process:
    """Starts a program with pipes, in a process group of its own.

    git starts ssh and others, which have its pipes too. Where git alone is killed, they go on, and the pipes stay open.

    Args:
        command: The program and its arguments.
        options: Of `asyncio.create_subprocess_exec`, where they are others.

    Raises:
        OSError: It cannot be started; FileNotFoundError: it is not on the PATH.
    """
    pipe = asyncio.subprocess.PIPE
    chosen: dict[str, Any] = {"stdin": pipe, "stdout": pipe, "stderr": pipe, **options, "start_new_session": True}
    return await asyncio.create_subprocess_exec(*command, **chosen)


async def output_of(process: asyncio.subprocess.Process, stdin: bytes | None, within: float) -> tuple[bytes, bytes]:
    """Waits for a program, and kills it where that takes too long or the caller is cancelled.

    Args:
        process: It was started with `start`.
        stdin: What it reads.
        within: Seconds.

    Returns:
        What it wrote to standard output and standard error.

    Raises:
        TimeoutError: It had not ended in time.
    """
    async with no_longer_than(process, within):
        return await process.communicate(stdin)


@contextlib.asynccontextmanager
async def no_longer_than(process: asyncio.subprocess.Process, within: float) -> AsyncGenerator[None]:
    """For as long as a program is needed. It is killed where that takes too long, fails or is cancelled.

    Args:
        process: It was started with `start`.
        within: Seconds.

    Raises:
        TimeoutError: It took too long.
    """
    try:
        async with asyncio.timeout(within):
            yield
    except BaseException:
        await _kill(process)
        raise


async def _kill(process: asyncio.subprocess.Process) -> None:
    # macOS says that a group whose processes have all ended is not permitted.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(ENDS_WITHIN):
            # It counts as ended once its output is read.
            await asyncio.gather(_read_out(process.stdout), _read_out(process.stderr), process.wait())


async def _read_out(stream: asyncio.StreamReader | None) -> None:
    while stream and await stream.read(_CHUNK):
        pass
