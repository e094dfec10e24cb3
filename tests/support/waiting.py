"""Waits that end by a condition, or say what they waited for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from slipway.api import PromotionStatus, StageName, StageState
from slipway.temporal.start import Handle

T = TypeVar("T")
PATIENCE = 45.0
SOONEST, LATEST = 0.02, 0.25
"""Seconds between two looks, at first and at most."""


async def pause(begun: float) -> None:
    """Wait before the next look; the longer, the longer it takes already.

    A look costs those that are waited for more than the one that looks: a query is a task for Temporal and for the worker.

    Args:
        begun: When the first look was made, by the monotonic clock.
    """
    await asyncio.sleep(min(LATEST, SOONEST + (time.monotonic() - begun) / 10))


async def until(handle: Handle, condition: Callable[[PromotionStatus], bool], what: str) -> PromotionStatus:
    """The promotion's status, as soon as the condition holds for it."""
    return await answered(lambda: handle.query("status", result_type=PromotionStatus), condition, what)


async def answered(ask: Callable[[], Awaitable[T]], condition: Callable[[T], bool], what: str, patience: float = PATIENCE) -> T:
    """The first answer for which the condition holds.

    Args:
        ask: Asked again and again.
        condition: What is waited for.
        what: The same in words.
        patience: Seconds.
    """
    begun = time.monotonic()
    while True:
        answer = await ask()
        if condition(answer):
            return answer
        assert time.monotonic() < begun + patience, f"timeout after {patience:.0f} s waiting for {what}; it is {answer}"
        await pause(begun)


async def until_parked(handle: Handle, stage: StageName) -> PromotionStatus:
    def is_parked(status: PromotionStatus) -> bool:
        return state_of(status, stage) is StageState.parked

    return await until(handle, is_parked, f"{stage} to park")


async def until_asked(handle: Handle) -> PromotionStatus:
    return await until(handle, lambda status: state_of(status, StageName.approval) is StageState.waiting, "people to be asked")


def summary_of(status: PromotionStatus, stage: StageName) -> str:
    return next(report.summary for report in status.stages if report.name is stage)


def state_of(status: PromotionStatus, stage: StageName) -> StageState:
    return next(report.state for report in status.stages if report.name is stage)
