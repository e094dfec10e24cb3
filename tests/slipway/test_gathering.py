"""Several steps at the same time."""

from __future__ import annotations

import asyncio

import pytest

from slipway.gathering import both, gather_all, gather_bounded


async def test_given_two_steps_that_fail_when_they_run_together_then_the_firsts_error_counts_whichever_comes_first() -> None:
    second_failed = asyncio.Event()

    async def first() -> None:
        await second_failed.wait()
        raise ValueError("first")

    async def second() -> None:
        second_failed.set()
        raise ValueError("second")

    with pytest.raises(ValueError, match="first"):
        await both(first(), second())


async def test_given_a_step_that_fails_when_another_one_goes_on_then_its_error_comes_once_that_has_ended() -> None:
    has_ended = False

    async def first() -> None:
        raise ValueError("first")

    async def second() -> None:
        nonlocal has_ended
        await asyncio.sleep(0)
        has_ended = True

    with pytest.raises(ValueError, match="first"):
        await both(first(), second())
    assert has_ended


@pytest.mark.parametrize("bounded", [True, False])
async def test_given_many_steps_of_which_one_fails_then_its_error_comes_and_the_others_go_on_no_longer(bounded: bool) -> None:
    cancelled = list[int]()

    async def step(number: int) -> None:
        if number == 1:
            raise ValueError("second")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(number)
            raise

    with pytest.raises(ValueError, match="second"):
        await (gather_bounded(step, range(3), 3) if bounded else gather_all(*map(step, range(3))))
    await asyncio.sleep(0)
    assert cancelled == [0, 2]
