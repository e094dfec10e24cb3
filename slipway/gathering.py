"""Asks for many things at the same time, but not for all of them at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, TypeVar

A = TypeVar("A")
B = TypeVar("B")


async def gather_bounded(function: Callable[[A], Awaitable[B]], items: Iterable[A], at_once: int) -> list[B]:
    """The results for some items, in their order.

    Args:
        function: What is asked of each.
        items: The items.
        at_once: How many are asked at the same time.

    Raises:
        Exception: The first error of `function`. What was asked of the other items is cancelled.
    """
    gate = asyncio.Semaphore(at_once)

    async def one(item: A) -> B:
        async with gate:
            return await function(item)

    return await gather_all(*map(one, items))


async def gather_all(*steps: Coroutine[Any, Any, A]) -> list[A]:
    """The results of steps that run at the same time, in their order.

    Raises:
        Exception: The first error. The other steps are cancelled, where `asyncio.gather` lets them go on with nobody waiting.
    """
    tasks = [asyncio.ensure_future(step) for step in steps]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()


async def both(first: Awaitable[A], second: Awaitable[B]) -> tuple[A, B]:
    """The results of two steps that run at the same time. Both have ended then, also where one fails.

    Raises:
        BaseException: The error of the first, or else of the second.
    """
    one, other = await asyncio.gather(first, second, return_exceptions=True)
    if isinstance(one, BaseException):
        raise one
    if isinstance(other, BaseException):
        raise other
    return one, other
