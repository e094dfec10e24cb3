"""Runs other programs: one that does not end in time does not outlive its caller."""

from __future__ import annotations

import asyncio
import contextlib


async def output_of(process: asyncio.subprocess.Process, stdin: bytes | None, within: float) -> tuple[bytes, bytes]:
    """Waits for a program, and kills it where that takes too long or the caller is cancelled.

    Args:
        process: It was started with pipes.
        stdin: What it reads.
        within: Seconds.

    Returns:
        What it wrote to standard output and standard error.

    Raises:
        TimeoutError: It had not ended in time.
    """
    try:
        async with asyncio.timeout(within):
            return await process.communicate(stdin)
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
