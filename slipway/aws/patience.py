"""One read of many: an activity that makes hundreds of them must not begin again at the first because one was slowed down."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from slipway.errors import TransientError

T = TypeVar("T")
PAUSES = (1.0, 2.0, 4.0, 8.0)
"""Seconds before each further try, beyond those of the client."""


async def patiently(read: Callable[[], Awaitable[T]]) -> T:
    """The result of a read, which is tried again while AWS slows the worker down.

    Args:
        read: Reads; its repetition changes nothing.

    Raises:
        SlipwayError: Its error; a transient one only if it persists.
    """
    for pause in PAUSES:
        try:
            return await read()
        except TransientError:
            await asyncio.sleep(pause)
    return await read()
