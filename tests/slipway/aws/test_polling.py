from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from temporalio.testing import ActivityEnvironment

from slipway.aws.errors import classify
from slipway.aws.looking import Answers, Described, one_by_one
from slipway.aws.polling import Poller, Pollers, Polling
from slipway.errors import NeedsPersonError, RefusedError, SlipwayError, TransientError


class Source:
    """Counts up for each key, and notes what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.times: list[float] = []
        self.errors: list[SlipwayError] = []
        self.broken: dict[str, SlipwayError] = {}
        self._numbers = itertools.count(1)

    async def __call__(self, keys: Collection[str]) -> Answers[int]:
        self.asked.append(list(keys))
        self.times.append(time.monotonic())
        if self.errors:
            raise self.errors.pop(0)
        number = next(self._numbers)
        return {key: self.broken.get(key, number) for key in keys}


def throttle() -> TransientError:
    """AWS slows the worker down."""
    answer: Any = {"Error": {"Code": "ThrottlingException", "Message": "Rate exceeded"}}
    error = classify(ClientError(answer, "DescribeEndpoint"))
    assert isinstance(error, TransientError)
    error.__cause__ = ClientError(answer, "DescribeEndpoint")
    return error


async def until_asked(source: Source, times: int) -> None:
    """Wait until the source was asked so often."""
    while len(source.asked) < times:  # noqa: ASYNC110 -- the poller tells nobody of its looks
        await asyncio.sleep(0.001)


async def first(poller: Poller[int], key: str, rounds: int = 1) -> int:
    """What the follower of a key sees at the end of some rounds."""
    seen: list[int] = []
    return await poller.until(key, done=lambda _: len(seen) == rounds, tell=seen.append)


async def in_activity(work: Any) -> Any:
    async def body() -> Any:
        return await work()

    return await ActivityEnvironment().run(body)


async def test_given_many_followers_when_they_wait_then_one_call_serves_them_all() -> None:
    source = Source()
    poller = Poller(Described(source), 0.01)

    async def work() -> None:
        await asyncio.gather(*(first(poller, f"task-{number % 50}") for number in range(500)))

    await in_activity(work)
    assert len(source.asked) == 1
    assert len(source.asked[0]) == 50


async def test_given_more_keys_than_a_call_takes_when_they_are_followed_then_they_go_in_batches() -> None:
    source = Source()
    poller = Poller(Described(source, batch=100), 0.01)

    async def work() -> None:
        await asyncio.gather(*(first(poller, f"task-{number}") for number in range(250)))

    await in_activity(work)
    assert [len(keys) for keys in source.asked] == [100, 100, 50]


async def test_given_a_follower_when_rounds_go_by_then_it_sees_each_state() -> None:
    source = Source()
    assert await in_activity(lambda: first(Poller(Described(source), 0.001), "one", rounds=3)) == 3


async def test_given_nobody_who_follows_when_time_goes_by_then_nothing_is_asked() -> None:
    source = Source()
    poller = Poller(Described(source), 0.001)

    async def work() -> int:
        await first(poller, "one")
        asked = len(source.asked)
        await asyncio.sleep(0.05)
        return len(source.asked) - asked

    assert await in_activity(work) == 0


async def test_given_a_throttle_when_it_passes_then_followers_never_hear_of_it() -> None:
    source = Source()
    source.errors = [TransientError("looking", "Rate exceeded")] * 3
    assert await in_activity(lambda: first(Poller(Described(source), 0.001), "one")) == 1
    assert len(source.asked) == 4


async def test_given_an_outage_when_it_lasts_then_followers_are_told() -> None:
    source = Source()
    source.errors = [TransientError("looking", "no route")] * 9
    with pytest.raises(TransientError, match="no route"):
        await in_activity(lambda: first(Poller(Described(source), 0.001), "one"))
    assert len(source.asked) == 5


async def test_given_a_denial_when_a_round_meets_it_then_followers_are_told_at_once() -> None:
    source = Source()
    source.errors = [NeedsPersonError("looking", "AccessDenied", "allow it")]
    with pytest.raises(NeedsPersonError):
        await in_activity(lambda: first(Poller(Described(source), 0.001), "one"))


async def test_given_one_key_that_fails_when_others_are_followed_then_only_its_follower_is_told() -> None:
    source = Source()
    source.broken = {"bad": RefusedError("looking", "gone", "leave it")}
    poller = Poller(Described(source), 0.001)

    async def work() -> list[Any]:
        return list(await asyncio.gather(first(poller, "good"), first(poller, "bad"), return_exceptions=True))

    good, bad = await in_activity(work)
    assert good == 1
    assert isinstance(bad, RefusedError)


async def test_given_one_key_that_always_fails_transiently_when_others_are_followed_then_they_have_their_states() -> None:
    source = Source()
    source.broken = {"bad": TransientError("looking", "InternalFailure")}
    poller = Poller(Described(source), 0.001)

    async def work() -> list[Any]:
        return list(await asyncio.gather(first(poller, "good", rounds=20), first(poller, "bad"), return_exceptions=True))

    good, bad = await in_activity(work)
    assert good == 20
    assert isinstance(bad, TransientError)


async def test_given_one_key_that_fails_transiently_when_it_fails_five_times_in_a_row_then_only_then_is_its_follower_told() -> (
    None
):
    source = Source()
    source.broken = {"bad": TransientError("looking", "InternalFailure")}
    poller = Poller(Described(source), 0.001)

    async def work() -> None:
        others = asyncio.ensure_future(first(poller, "good", rounds=100))
        with pytest.raises(TransientError, match="InternalFailure"):
            await first(poller, "bad")
        others.cancel()

    await in_activity(work)
    assert sum("bad" in keys for keys in source.asked) == 5


async def test_given_one_key_that_fails_now_and_then_when_it_answers_between_then_its_follower_never_hears_of_it() -> None:
    failing = itertools.cycle([True, True, True, True, False])

    async def describe(key: str) -> str:
        if next(failing):
            raise TransientError("looking", "Rate exceeded")
        return key

    poller = Poller(Described(one_by_one(describe)), 0.0001)
    seen: list[str] = []

    async def work() -> str:
        return await poller.until("one", done=lambda _: len(seen) == 3, tell=seen.append)

    assert await in_activity(work) == "one"


async def test_given_an_outage_when_every_key_fails_then_the_rounds_are_further_and_further_apart() -> None:
    source = Source()
    source.errors = [TransientError("looking", "no route")] * 3
    poller = Poller(Described(source), 0.02)

    await in_activity(lambda: first(poller, "one"))
    gaps = [later - sooner for sooner, later in itertools.pairwise(source.times)]
    assert all(gap >= least for gap, least in zip(gaps, (0.04, 0.08, 0.16), strict=True))


async def test_given_a_throttle_in_one_account_when_another_one_is_looked_at_then_only_the_first_one_is_slowed_down() -> None:
    sources = {"slow": Source(), "same account": Source(), "other": Source()}
    sources["slow"].broken = {"one": throttle()}

    def make(name: str, account: str) -> Described[int]:
        del account
        return Described(sources[name])

    def account_of(name: str, account: str) -> tuple[str]:
        del name
        return (account,)

    pollers = Pollers(make, 0.01, account_of)

    async def work() -> None:
        others = [
            asyncio.ensure_future(first(pollers.at(name, account), "one", rounds=1_000))
            for name, account in (("slow", "a"), ("same account", "a"))
        ]
        await first(pollers.at("other", "b"), "one", rounds=60)
        for other in others:
            other.cancel()

    await in_activity(work)
    asked = {name: len(source.asked) for name, source in sources.items()}
    assert asked["other"] == 60
    assert asked["slow"] < 20
    assert asked["same account"] < 20


async def test_given_a_hint_when_it_comes_between_two_rounds_then_only_what_it_is_about_is_looked_at_at_once() -> None:
    source = Source()
    poller = Poller(Described(source), 60)

    async def work() -> None:
        other = asyncio.ensure_future(first(poller, "other", rounds=2))
        follower = asyncio.ensure_future(first(poller, "one", rounds=2))
        await until_asked(source, 1)
        assert poller.hint("one")
        assert await follower == 2
        other.cancel()

    await in_activity(work)
    assert source.asked == [["other", "one"], ["one"]]


async def test_given_a_hint_about_what_nobody_follows_when_it_comes_then_nothing_is_asked() -> None:
    source = Source()
    polling = Polling(60)
    pollers = polling.pollers(lambda: Described(source))

    async def work() -> None:
        follower = asyncio.ensure_future(first(pollers.at(), "one", rounds=2))
        await until_asked(source, 1)
        assert not polling.hint({"other"})
        assert polling.hint({"other", "one"})
        await follower

    await in_activity(work)
    assert source.asked == [["one"], ["one"]]


async def test_given_a_flood_of_hints_when_they_come_then_looks_are_a_second_apart() -> None:
    source = Source()
    poller = Poller(Described(source), 60)

    async def work() -> None:
        follower = asyncio.ensure_future(first(poller, "one", rounds=3))
        while not follower.done():
            poller.hint("one")
            await asyncio.sleep(0.001)

    await in_activity(work)
    assert all(later - sooner >= 0.99 for sooner, later in itertools.pairwise(source.times))


async def test_given_a_hint_when_it_comes_while_a_follower_is_busy_then_the_next_look_is_a_second_later() -> None:
    source = Source()
    poller = Poller(Described(source), 60)

    async def work() -> None:
        with poller.following("one"):
            await poller.next("one")
            poller.hint("one")
            await poller.next("one")

    await in_activity(work)
    sooner, later = source.times
    assert later - sooner >= 0.99


async def test_given_a_deadline_when_it_comes_between_two_rounds_then_it_is_looked_at_once_more() -> None:
    source = Source()
    poller = Poller(Described(source), 60)
    deadline = datetime.now(UTC) + timedelta(seconds=0.2)

    async def work() -> int:
        return await poller.until("one", done=lambda _: False, deadline=deadline)

    assert await in_activity(work) == 2


async def test_given_a_deadline_that_is_over_when_a_state_is_not_done_then_that_state_ends_the_wait() -> None:
    poller = Poller(Described(Source()), 60)
    told: list[int] = []

    async def work() -> int:
        return await poller.until("one", done=lambda _: False, deadline=datetime.now(UTC), tell=told.append)

    assert await in_activity(work) == 1
    assert told == [1]


async def test_given_single_describes_when_some_fail_then_each_key_has_its_own_answer() -> None:
    errors = {
        "bad": NeedsPersonError("looking", "gone", "make it"),
        "slow": TransientError("looking", "busy"),
        "odd": KeyError("x"),
    }

    async def describe(key: str) -> str:
        if key in errors:
            raise errors[key]
        return key.upper()

    assert await one_by_one(describe)(["good", *errors]) == {"good": "GOOD", **errors}


async def test_given_single_describes_when_their_round_is_cancelled_then_none_of_them_runs_on() -> None:
    running: set[str] = set()
    both = asyncio.Event()

    async def describe(key: str) -> str:
        running.add(key)
        if len(running) == 2:
            both.set()
        try:
            await asyncio.sleep(60)
        finally:
            running.discard(key)
        return key

    work = asyncio.ensure_future(one_by_one(describe)(["one", "two"]))
    await both.wait()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert not running


async def test_given_a_worker_that_shuts_down_when_it_follows_then_another_may_carry_on() -> None:
    environment = ActivityEnvironment()

    async def work() -> None:
        asyncio.get_running_loop().call_later(0.01, environment.worker_shutdown)
        await first(Poller(Described(Source()), 60), "one", rounds=2)

    with pytest.raises(TransientError, match="shuts down"):
        await environment.run(work)
