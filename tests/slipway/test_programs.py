from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Generator, Sequence

import pytest

from slipway.programs import output_of, start

SOON = 0.2
LATER = 20
STARTS_ANOTHER = ("sh", "-c", "sleep 600 & wait")
ENDS_BEFORE_ANOTHER = ("sh", "-c", "sleep 600 &")
SAYS_TOO_MUCH = ("sh", "-c", "yes")


class Witness:
    """A pipe that a program and all that it starts have open: it ends with the last of them."""

    def __init__(self) -> None:
        self._reads, self.writes = os.pipe()

    async def until_all_have_ended(self) -> None:
        os.close(self.writes)
        reader = asyncio.StreamReader()
        with os.fdopen(self._reads, "rb", buffering=0) as pipe:
            await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
            async with asyncio.timeout(LATER):
                assert await reader.read() == b""

    def close(self) -> None:
        for end in (self._reads, self.writes):
            with contextlib.suppress(OSError):
                os.close(end)


@pytest.fixture
def witness() -> Generator[Witness]:
    witness = Witness()
    yield witness
    witness.close()


@pytest.mark.parametrize("command", [STARTS_ANOTHER, ENDS_BEFORE_ANOTHER, SAYS_TOO_MUCH], ids=["waits", "ends", "says much"])
async def test_given_a_program_that_starts_another_when_it_takes_too_long_then_both_are_killed(
    command: Sequence[str], witness: Witness
) -> None:
    process = await start(*command, pass_fds=(witness.writes,))
    with pytest.raises(TimeoutError):
        await output_of(process, b"", SOON)
    await witness.until_all_have_ended()


async def test_given_a_program_that_starts_another_when_its_caller_is_cancelled_then_both_are_killed(witness: Witness) -> None:
    process = await start(*STARTS_ANOTHER, pass_fds=(witness.writes,))
    waiting = asyncio.create_task(output_of(process, b"", LATER))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await witness.until_all_have_ended()


async def test_given_a_program_that_ends_then_its_output_is_told() -> None:
    process = await start("sh", "-c", "cat; echo no >&2; exit 3")
    assert await output_of(process, b"yes", LATER) == (b"yes", b"no\n")
    assert process.returncode == 3
