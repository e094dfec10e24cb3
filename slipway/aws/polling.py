"""Waiting for many things at little cost: one poller describes everything that is followed, and tells each follower.

A follower is a coroutine in an activity; it holds no thread. Only what a Describe call answers counts; events are not trusted.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import UTC, datetime
from typing import Generic, TypeVar

from temporalio import activity

from slipway.errors import TransientError

log = logging.getLogger(__name__)

V = TypeVar("V")
Answers = Mapping[str, V | Exception]
Describe = Callable[[Collection[str]], Awaitable[Answers[V]]]

BATCH = 100
PATIENCE = 5
"""Rounds in a row in which a key may fail before its followers get the error; their activities' retry policies take over then."""
LONGEST_BACKOFF = 60.0
"""The longest pause between two rounds, in seconds, while AWS answers nothing."""


def _tell_nobody(state: object) -> None:
    del state


class Poller(Generic[V]):
    """Describes everything that is followed, in batches, as long as anything is followed.

    Args:
        describe: Describes some keys at once. It answers each key with a state, or with an error that belongs to that key alone.
            It raises if the whole batch failed.
        interval: Seconds between two rounds.
        batch: Keys that one call may ask for.
    """

    def __init__(self, describe: Describe[V], interval: float, batch: int = BATCH) -> None:
        self._describe = describe
        self._interval = interval
        self._batch = batch
        self._waiting: dict[str, set[asyncio.Future[V]]] = {}
        self._polling: asyncio.Task[None] | None = None
        self._failures: dict[str, int] = {}
        """By key: rounds in a row in which it failed."""
        self._failed_rounds = 0
        """Rounds in a row in which every key failed: AWS is out of order then, and one failing key is no sign of that."""

    async def until(
        self,
        key: str,
        *,
        done: Callable[[V], bool],
        deadline: datetime | None = None,
        tell: Callable[[V], None] = _tell_nobody,
    ) -> V:
        """Follow one thing, round after round.

        Args:
            key: What to follow.
            done: Whether a state ends the wait.
            deadline: When the wait ends in any case; none for no end.
            tell: Told each state, as for a heartbeat.

        Returns:
            The first state that is done, or the first one after the deadline. The caller asks `done` which it is.

        Raises:
            SlipwayError: The key's own error; a transient one only if it persists.
            TransientError: The worker shuts down; another worker carries on.
        """
        while True:
            state = await self._next(key)
            tell(state)
            if done(state) or (deadline is not None and datetime.now(UTC) >= deadline):
                return state

    async def _next(self, key: str) -> V:
        future: asyncio.Future[V] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, set()).add(future)
        self._start()
        shutdown = asyncio.ensure_future(activity.wait_for_worker_shutdown())
        try:
            await asyncio.wait({future, shutdown}, return_when=asyncio.FIRST_COMPLETED)
            if not future.done():
                shutdown.result()
                raise TransientError(f"following {key}", "this worker shuts down", "another worker carries on by itself")
            return future.result()
        finally:
            shutdown.cancel()
            future.cancel()
            self._forget(key, future)

    def _forget(self, key: str, future: asyncio.Future[V]) -> None:
        waiting = self._waiting.get(key, set())
        waiting.discard(future)
        if not waiting:
            self._waiting.pop(key, None)
            self._failures.pop(key, None)

    def _start(self) -> None:
        if self._polling is None or self._polling.done():
            # Run in an empty context: this task serves many activities and outlives the one that started it.
            self._polling = asyncio.get_running_loop().create_task(self._poll(), context=contextvars.Context())

    async def _poll(self) -> None:
        while self._waiting:
            await self._round()
            # A follower that was just told comes back for the next state; one that has seen enough does not.
            await asyncio.sleep(self._pause())

    async def _round(self) -> None:
        keys = sorted(self._waiting)
        failed = 0
        for start in range(0, len(keys), self._batch):
            answers = await self._answers(keys[start : start + self._batch])
            for key, answer in answers.items():
                if isinstance(answer, TransientError):
                    failed += 1
                    self._count_failure(key, answer)
                else:
                    self._failures.pop(key, None)
                    self._tell(key, answer)
        self._failed_rounds = self._failed_rounds + 1 if failed == len(keys) else 0

    async def _answers(self, keys: Collection[str]) -> Answers[V]:
        """The answer to each key; the error of a batch that failed is the error of each of its keys."""
        try:
            return await self._describe(keys)
        except Exception as error:  # noqa: BLE001 -- whatever it is, followers must hear of it, else they wait for ever
            return dict.fromkeys(keys, error)

    def _count_failure(self, key: str, error: TransientError) -> None:
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        log.debug("a look at %s failed, %d in a row: %s", key, failures, error)
        if failures >= PATIENCE:
            del self._failures[key]
            self._tell(key, error)

    def _pause(self) -> float:
        return min(self._interval * 2**self._failed_rounds, max(LONGEST_BACKOFF, self._interval))

    def _tell(self, key: str, answer: V | Exception) -> None:
        for future in self._waiting.pop(key, set()):
            if future.done():
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)


class Pollers(Generic[V]):
    """One poller for each scope: an account's role, a region, a cluster.

    Args:
        make: Gives the way to describe what is in a scope.
        interval: Seconds between two rounds.
        batch: Keys that one call may ask for.
    """

    def __init__(self, make: Callable[..., Describe[V]], interval: float, batch: int = BATCH) -> None:
        self._make = make
        self._interval = interval
        self._batch = batch
        self._pollers: dict[tuple[str | None, ...], Poller[V]] = {}

    def at(self, *scope: str | None) -> Poller[V]:
        """The poller of a scope."""
        if scope not in self._pollers:
            self._pollers[scope] = Poller(self._make(*scope), self._interval, self._batch)
        return self._pollers[scope]


def one_by_one(describe: Callable[[str], Awaitable[V]], at_once: int = 8) -> Describe[V]:
    """A way to describe many things of which AWS describes one at a time. An error of one key is that key's alone."""

    async def describe_all(keys: Collection[str]) -> Answers[V]:
        gate = asyncio.Semaphore(at_once)

        async def describe_one(key: str) -> V | Exception:
            async with gate:
                try:
                    return await describe(key)
                except Exception as error:  # noqa: BLE001 -- it is the answer to this key, and no reason to lose the others
                    return error

        async with asyncio.TaskGroup() as group:
            tasks = {key: group.create_task(describe_one(key)) for key in keys}
        return {key: task.result() for key, task in tasks.items()}

    return describe_all
