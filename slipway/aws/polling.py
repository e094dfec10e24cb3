"""Waiting for many things at little cost: one poller asks for all that are followed, and tells each follower.

A follower is a coroutine in an activity; it holds no thread. Truth is a Describe: nothing here trusts events.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from typing import Generic, TypeVar

from temporalio import activity

from slipway.errors import SlipwayError, TransientError

log = logging.getLogger(__name__)

V = TypeVar("V")
Answers = Mapping[str, V | SlipwayError]
Describe = Callable[[Collection[str]], Awaitable[Answers[V]]]

BATCH = 100
PATIENCE = 5
"""Rounds in a row that may fail before followers hear of it; their activities' retry policies take over then."""
LONGEST_BACKOFF = 60.0
"""Seconds between rounds at the most, while AWS slows the worker down."""


class Poller(Generic[V]):
    """Asks for the state of everything that is followed, in batches, as long as anything is.

    Args:
        describe: Asks for some keys at once. It answers each with a state, or with an error that belongs to that key alone, and
            raises an error that befalls all of them.
        interval: Seconds between two rounds.
        batch: Keys that one call may ask for.
    """

    def __init__(self, describe: Describe[V], interval: float, batch: int = BATCH) -> None:
        self._describe = describe
        self._interval = interval
        self._batch = batch
        self._waiting: dict[str, set[asyncio.Future[V]]] = {}
        self._polling: asyncio.Task[None] | None = None
        self._failures = 0

    async def follow(self, key: str) -> AsyncIterator[V]:
        """The state of one thing, round after round, for as long as it is asked for.

        Raises:
            SlipwayError: The key's own error, or one that persists for all.
            TransientError: The worker shuts down; another one carries on.
        """
        while True:
            yield await self._next(key)

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

    def _start(self) -> None:
        if self._polling is None or self._polling.done():
            # Of no activity's context: the poller serves many, and outlives the one that started it.
            self._polling = asyncio.get_running_loop().create_task(self._poll(), context=contextvars.Context())

    async def _poll(self) -> None:
        while self._waiting:
            await self._round()
            # A follower that was just told comes back for the next state; one that has seen enough does not.
            await asyncio.sleep(self._pause())

    async def _round(self) -> None:
        keys = sorted(self._waiting)
        for start in range(0, len(keys), self._batch):
            some = keys[start : start + self._batch]
            try:
                answers = await self._describe(some)
            except TransientError as error:
                self._failures += 1
                log.debug("a round of polling failed: %s", error)
                if self._failures >= PATIENCE:
                    self._tell_all(some, error)
                return
            except Exception as error:  # noqa: BLE001 -- whatever it is, followers must hear of it, else they wait for ever
                self._tell_all(some, error)
                continue
            self._failures = 0
            for key, answer in answers.items():
                self._tell(key, answer)

    def _pause(self) -> float:
        return min(self._interval * 2**self._failures, max(LONGEST_BACKOFF, self._interval))

    def _tell_all(self, keys: Collection[str], error: Exception) -> None:
        for key in keys:
            self._tell(key, error)

    def _tell(self, key: str, answer: V | Exception) -> None:
        for future in self._waiting.pop(key, set()):
            if future.done():
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)


class Pollers(Generic[V]):
    """One poller for each place: an account's role, a region, a cluster.

    Args:
        make: The way to ask at a place.
        interval: Seconds between two rounds.
        batch: Keys that one call may ask for.
    """

    def __init__(self, make: Callable[..., Describe[V]], interval: float, batch: int = BATCH) -> None:
        self._make = make
        self._interval = interval
        self._batch = batch
        self._pollers: dict[tuple[str | None, ...], Poller[V]] = {}

    def at(self, *place: str | None) -> Poller[V]:
        """The poller of a place."""
        if place not in self._pollers:
            self._pollers[place] = Poller(self._make(*place), self._interval, self._batch)
        return self._pollers[place]


def one_by_one(describe: Callable[[str], Awaitable[V]], at_once: int = 8) -> Describe[V]:
    """A way to ask for many things of which AWS describes one at a time.

    An error of one key is that key's alone, unless it is transient: then AWS is out of order for all.
    """

    async def describe_all(keys: Collection[str]) -> Answers[V]:
        gate = asyncio.Semaphore(at_once)

        async def describe_one(key: str) -> V | SlipwayError:
            async with gate:
                try:
                    return await describe(key)
                except TransientError:
                    raise
                except SlipwayError as error:
                    return error

        return dict(zip(keys, await asyncio.gather(*map(describe_one, keys)), strict=True))

    return describe_all
