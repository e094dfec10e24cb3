"""How a poller looks at what is followed: each thing in detail, or a list that says where something changed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Hashable, Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from slipway.errors import NeedsPersonError

log = logging.getLogger(__name__)

V = TypeVar("V")
V_co = TypeVar("V_co", covariant=True)
Answers = Mapping[str, V | Exception]
Describe = Callable[[Collection[str]], Awaitable[Answers[V]]]

BATCH = 100
AT_ONCE = 8
"""Calls in flight at the same time, where each describes one thing."""
IN_TURN = 10
"""Things that are described in a round although the list shows no change: their progress is on no list."""


class Source(Protocol[V_co]):
    """How things are looked at."""

    async def look(self, keys: Collection[str]) -> Answers[V_co]:
        """Each of some things in detail: its state, or an error that is its own."""
        ...

    async def glance(self, keys: Collection[str]) -> Answers[V_co]:
        """Whether anything is new about all that is followed. What has no news may have no answer.

        Raises:
            SlipwayError: Nothing could be found out.
        """
        ...


class Described(Generic[V]):
    """Things that are described each time.

    Args:
        describe: Describes some keys at once. It answers each key with a state, or with an error that belongs to that key alone.
            It raises if the whole batch failed.
        batch: Keys that one call may ask for.
    """

    def __init__(self, describe: Describe[V], batch: int = BATCH) -> None:
        self._describe = describe
        self._batch = batch

    async def look(self, keys: Collection[str]) -> Answers[V]:
        """Describe them all. The error of a batch that failed is the error of each of its keys."""
        answers: dict[str, V | Exception] = {}
        ordered = list(keys)
        for start in range(0, len(ordered), self._batch):
            answers |= await self._answers(ordered[start : start + self._batch])
        return answers

    async def glance(self, keys: Collection[str]) -> Answers[V]:
        """The same: nothing cheaper is known."""
        return await self.look(keys)

    async def _answers(self, keys: Collection[str]) -> Answers[V]:
        try:
            return await self._describe(keys)
        except Exception as error:  # noqa: BLE001 -- whatever it is, followers must hear of it, else they wait for ever
            return dict.fromkeys(keys, error)


def one_by_one(describe: Callable[[str], Awaitable[V]], at_once: int = AT_ONCE) -> Describe[V]:
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


@dataclass(frozen=True)
class Listing:
    """What a list shows of things: for each a mark, which is another one as soon as something changed."""

    marks: Mapping[str, Hashable]
    whole: bool
    """Whether all there is was listed, so that what is missing is gone."""


class Listed(Generic[V]):
    """Things of which a list shows which changed, a hundred a call. Only those are described, and a few in turn.

    Where the list is denied, each thing is described in each round, as costly as that is.

    Args:
        describe: Describes one thing.
        list_marks: Lists what changed, given what is known of the things that are followed.
        mark_of: The mark that the list shows of a state.
        is_at_rest: Whether nothing is under way in a state. What is followed all the same comes first in turn.
    """

    def __init__(
        self,
        describe: Callable[[str], Awaitable[V]],
        list_marks: Callable[[Mapping[str, V]], Awaitable[Listing]],
        mark_of: Callable[[V], Hashable],
        is_at_rest: Callable[[V], bool],
    ) -> None:
        self._described = Described(one_by_one(describe))
        self._list = list_marks
        self._mark_of = mark_of
        self._is_at_rest = is_at_rest
        self._known: dict[str, V] = {}
        """By key: its state when it was looked at last, the longest ago first."""
        self._denied = False

    async def look(self, keys: Collection[str]) -> Answers[V]:
        """Describe them all."""
        answers = await self._described.look(keys)
        for key, answer in answers.items():
            self._known.pop(key, None)
            if not isinstance(answer, Exception):
                self._known[key] = answer
        return answers

    async def glance(self, keys: Collection[str]) -> Answers[V]:
        """Describe what is not known yet, what changed, and some of the rest in turn.

        Raises:
            SlipwayError: It cannot be listed what changed.
        """
        followed = set(keys)
        self._known = {key: state for key, state in self._known.items() if key in followed}
        changed = await self._changed()
        unknown = [key for key in keys if key not in self._known]
        rest = [key for key in self._known if key not in changed]
        in_turn = sorted(rest, key=lambda key: not self._is_at_rest(self._known[key]))[:IN_TURN]
        return await self.look([*unknown, *changed, *in_turn])

    async def _changed(self) -> list[str]:
        """The keys that a list shows otherwise than they were known."""
        if not self._known:
            return []
        if not self._denied:
            try:
                listing = await self._list(self._known)
            except NeedsPersonError as error:
                self._denied = True
                log.warning("%s; everything that is followed there is described one by one meanwhile", error)
            else:
                return [key for key, state in self._known.items() if self._is_other(key, state, listing)]
        return list(self._known)

    def _is_other(self, key: str, state: V, listing: Listing) -> bool:
        if key in listing.marks:
            return listing.marks[key] != self._mark_of(state)
        return listing.whole
