"""Waiting for many things at little cost: one poller looks at everything that is followed, and tells each follower.

A follower is a coroutine in an activity; it holds no thread. Only what AWS answers counts; an event says only when to look.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import math
from collections import Counter
from collections.abc import Callable, Collection, Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from temporalio import activity

from slipway.aws.errors import is_throttle
from slipway.aws.looking import Answers, Source
from slipway.aws.pace import Pace
from slipway.errors import TransientError

log = logging.getLogger(__name__)

V = TypeVar("V")
Scope = tuple[str | None, ...]

PATIENCE = 5
"""Rounds in a row in which a key may fail before its followers get the error; their activities' retry policies take over then."""
LEAST_PAUSE = 1.0
"""Seconds between two looks out of turn. Events are hints of strangers: a flood of them must not become a flood of calls."""
OUT_OF_TURN = 100
"""Keys that are looked at out of turn at one time."""


def _each_for_itself(*scope: str | None) -> Scope:
    return scope


def _tell_nobody(state: object) -> None:
    del state


class Poller(Generic[V]):
    """Looks at everything that is followed, as long as anything is followed.

    Args:
        source: How it looks.
        interval: Seconds between two rounds.
        account: The pace of its account and region, which it may share: AWS slows callers down there, and not elsewhere.
    """

    def __init__(self, source: Source[V], interval: float, account: Pace | None = None) -> None:
        self._source = source
        self._own = Pace(interval)
        """Slower while every key fails: AWS is out of order then, and one failing key is no sign of that."""
        self._account = account or Pace(interval)
        self._followed: Counter[str] = Counter()
        """By key: those who follow it, also while they make something of the last state."""
        self._waiting: dict[str, set[asyncio.Future[V]]] = {}
        self._polling: asyncio.Task[None] | None = None
        self._failures: dict[str, int] = {}
        """By key: rounds in a row in which it failed."""
        self._hinted: dict[str, None] = {}
        """Keys to look at out of turn, the first hint first."""
        self._woken = asyncio.Event()
        self._looked = -math.inf
        """When the last look was, by the event loop's clock."""

    async def until(
        self,
        key: str,
        *,
        done: Callable[[V], bool],
        deadline: datetime | None = None,
        tell: Callable[[V], None] = _tell_nobody,
    ) -> V:
        """Follow one thing, round after round. The first look is at once.

        Args:
            key: What to follow.
            done: Whether a state ends the wait.
            deadline: When the wait ends in any case; none for no end.
            tell: Told each state that is new, as for a heartbeat.

        Returns:
            The first state that is done, or the first one after the deadline. The caller asks `done` which it is.

        Raises:
            SlipwayError: The key's own error; a transient one only if it persists.
            TransientError: The worker shuts down; another worker carries on.
        """
        with self.following(key):
            while True:
                state = await self.next(key, deadline)
                tell(state)
                if done(state) or (deadline is not None and datetime.now(UTC) >= deadline):
                    return state

    @contextmanager
    def following(self, key: str) -> Generator[None]:
        """In the body, hints about a thing count. The first look at it is at once."""
        self._followed[key] += 1
        self._hint(key)
        try:
            yield
        finally:
            self._unfollow(key)

    def _unfollow(self, key: str) -> None:
        self._followed[key] -= 1
        if not self._followed[key]:
            del self._followed[key]

    def hint(self, key: str) -> bool:
        """Look at a thing out of turn, if anybody follows it. Whether anybody does."""
        is_followed = key in self._followed
        if is_followed:
            self._hint(key)
        return is_followed

    def _hint(self, key: str) -> None:
        self._hinted[key] = None
        self._woken.set()

    async def next(self, key: str, deadline: datetime | None = None) -> V:
        """The next state of one thing that is followed. At the deadline it is looked at out of turn.

        Raises:
            SlipwayError: As `until`.
        """
        future: asyncio.Future[V] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, set()).add(future)
        self._start()
        shutdown = asyncio.ensure_future(activity.wait_for_worker_shutdown())
        try:
            await asyncio.wait({future, shutdown}, timeout=_left(deadline), return_when=asyncio.FIRST_COMPLETED)
            if not future.done() and not shutdown.done():
                self._hint(key)
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
        clock = asyncio.get_running_loop().time
        begun = clock()
        # What was hinted while nobody waited does not come sooner after the look before.
        await asyncio.sleep(self._looked + min(LEAST_PAUSE, self._own.seconds) - clock())
        await self._look_out_of_turn()
        while self._waiting:
            # A follower that was just told comes back for the next state; one that has seen enough does not.
            if await self._is_woken(begun + self._pause - clock()):
                await self._look_out_of_turn()
            else:
                begun = clock()
                await self._round()

    @property
    def _pause(self) -> float:
        return max(self._own.seconds, self._account.seconds)

    async def _is_woken(self, seconds: float) -> bool:
        """Wait until the next round is due, or a hint comes before. While something is wrong, hints wait for the round."""
        least = min(LEAST_PAUSE, self._own.seconds, max(seconds, 0))
        await asyncio.sleep(least)
        if self._own.is_slowed or self._account.is_slowed:
            await asyncio.sleep(max(seconds - least, 0))
            return False
        try:
            await asyncio.wait_for(self._woken.wait(), max(seconds - least, 0))
        except TimeoutError:
            return False
        return True

    async def _look_out_of_turn(self) -> None:
        keys = [key for key in self._hinted if key in self._waiting][:OUT_OF_TURN]
        self._hinted = {key: None for key in self._hinted if key in self._followed and key not in keys}
        if not self._hinted:
            self._woken.clear()
        if keys:
            self._take(await self._source.look(keys))

    async def _round(self) -> None:
        keys = sorted(self._waiting)
        self._take(await self._news_of(keys))

    async def _news_of(self, keys: Collection[str]) -> Answers[V]:
        try:
            return await self._source.glance(keys)
        except Exception as error:  # noqa: BLE001 -- whatever it is, followers must hear of it, else they wait for ever
            return dict.fromkeys(keys, error)

    def _take(self, answers: Answers[V]) -> None:
        self._looked = asyncio.get_running_loop().time()
        errors = [answer for answer in answers.values() if isinstance(answer, TransientError)]
        self._own.note(wrong=0 < len(errors) == len(answers))
        self._account.note(wrong=any(map(is_throttle, errors)))
        for key, answer in answers.items():
            if isinstance(answer, TransientError):
                self._count_failure(key, answer)
            else:
                self._failures.pop(key, None)
                self._tell(key, answer)

    def _count_failure(self, key: str, error: TransientError) -> None:
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        log.debug("a look at %s failed, %d in a row: %s", key, failures, error)
        if failures >= PATIENCE:
            del self._failures[key]
            self._tell(key, error)

    def _tell(self, key: str, answer: V | Exception) -> None:
        for future in self._waiting.pop(key, set()):
            if future.done():
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)


def _left(deadline: datetime | None) -> float | None:
    """Seconds until the deadline; none where there is none."""
    return max((deadline - datetime.now(UTC)).total_seconds(), 0) if deadline else None


class Pollers(Generic[V]):
    """One poller for each scope: an account's role, a region, a cluster.

    Args:
        make: Gives the way to look at what is in a scope.
        interval: Seconds between two rounds.
        account_of: What of a scope AWS slows down together: an account and a region.
    """

    def __init__(
        self, make: Callable[..., Source[V]], interval: float, account_of: Callable[..., Scope] = _each_for_itself
    ) -> None:
        self._make = make
        self._interval = interval
        self._account_of = account_of
        self._pollers: dict[Scope, Poller[V]] = {}
        self._paces: dict[Scope, Pace] = {}

    def at(self, *scope: str | None) -> Poller[V]:
        """The poller of a scope."""
        if scope not in self._pollers:
            pace = self._paces.setdefault(self._account_of(*scope), Pace(self._interval))
            self._pollers[scope] = Poller(self._make(*scope), self._interval, pace)
        return self._pollers[scope]

    def hint(self, keys: Collection[str]) -> bool:
        """Look at things out of turn, wherever they are followed. Whether anybody follows one of them."""
        return sum(poller.hint(key) for poller in self._pollers.values() for key in keys) > 0


class Polling:
    """What all pollers of a worker have in common.

    Args:
        interval: Seconds between two rounds.
    """

    def __init__(self, interval: float) -> None:
        self.interval = interval
        self._all: list[Pollers[Any]] = []

    def pollers(
        self,
        make: Callable[..., Source[V]],
        account_of: Callable[..., Scope] = _each_for_itself,
        at_most: float | None = None,
    ) -> Pollers[V]:
        """Pollers of one kind, which hints reach.

        Args:
            make: Gives the way to look at what is in a scope.
            account_of: What of a scope AWS slows down together: an account and a region.
            at_most: Seconds between two rounds of what must not wait longer.
        """
        interval = min(self.interval, at_most) if at_most else self.interval
        pollers = Pollers(make, interval, account_of)
        self._all.append(pollers)
        return pollers

    def hint(self, keys: Collection[str]) -> bool:
        """Look at things out of turn, wherever they are followed. Whether anybody follows one of them."""
        return sum(pollers.hint(keys) for pollers in self._all) > 0
