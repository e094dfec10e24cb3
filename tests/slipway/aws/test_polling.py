from __future__ import annotations

import asyncio
import dataclasses
import itertools
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from temporalio import activity
from temporalio.api.failure.v1 import Failure
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.exceptions import ApplicationError, CancelledError
from temporalio.testing import ActivityEnvironment
from temporalio.worker import ActivityInboundInterceptor, ActivityOutboundInterceptor, ExecuteActivityInput

from slipway.aws.polling import Answers, Poller, one_by_one
from slipway.errors import NeedsPersonError, RefusedError, SlipwayError, TransientError
from slipway.temporal.failures import report_of
from slipway.temporal.interceptor import SlipwayInterceptor


class Source:
    """Counts up for each key, and notes what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.errors: list[SlipwayError] = []
        self.broken: dict[str, SlipwayError] = {}
        self._numbers = itertools.count(1)

    async def __call__(self, keys: Collection[str]) -> Answers[int]:
        self.asked.append(list(keys))
        if self.errors:
            raise self.errors.pop(0)
        number = next(self._numbers)
        return {key: self.broken.get(key, number) for key in keys}


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
    poller = Poller(source, 0.01)

    async def work() -> None:
        await asyncio.gather(*(first(poller, f"task-{number % 50}") for number in range(500)))

    await in_activity(work)
    assert len(source.asked) == 1
    assert len(source.asked[0]) == 50


async def test_given_more_keys_than_a_call_takes_when_they_are_followed_then_they_go_in_batches() -> None:
    source = Source()
    poller = Poller(source, 0.01, batch=100)

    async def work() -> None:
        await asyncio.gather(*(first(poller, f"task-{number}") for number in range(250)))

    await in_activity(work)
    assert [len(keys) for keys in source.asked] == [100, 100, 50]


async def test_given_a_follower_when_rounds_go_by_then_it_sees_each_state() -> None:
    source = Source()
    assert await in_activity(lambda: first(Poller(source, 0.001), "one", rounds=3)) == 3


async def test_given_nobody_who_follows_when_time_goes_by_then_nothing_is_asked() -> None:
    source = Source()
    poller = Poller(source, 0.001)

    async def work() -> int:
        await first(poller, "one")
        asked = len(source.asked)
        await asyncio.sleep(0.05)
        return len(source.asked) - asked

    assert await in_activity(work) == 0


async def test_given_a_throttle_when_it_passes_then_followers_never_hear_of_it() -> None:
    source = Source()
    source.errors = [TransientError("looking", "Rate exceeded")] * 3
    assert await in_activity(lambda: first(Poller(source, 0.001), "one")) == 1
    assert len(source.asked) == 4


async def test_given_an_outage_when_it_lasts_then_followers_are_told() -> None:
    source = Source()
    source.errors = [TransientError("looking", "no route")] * 9
    with pytest.raises(TransientError, match="no route"):
        await in_activity(lambda: first(Poller(source, 0.001), "one"))
    assert len(source.asked) == 5


async def test_given_a_denial_when_a_round_meets_it_then_followers_are_told_at_once() -> None:
    source = Source()
    source.errors = [NeedsPersonError("looking", "AccessDenied", "allow it")]
    with pytest.raises(NeedsPersonError):
        await in_activity(lambda: first(Poller(source, 0.001), "one"))


async def test_given_one_key_that_fails_when_others_are_followed_then_only_its_follower_is_told() -> None:
    source = Source()
    source.broken = {"bad": RefusedError("looking", "gone", "leave it")}
    poller = Poller(source, 0.001)

    async def work() -> list[Any]:
        return list(await asyncio.gather(first(poller, "good"), first(poller, "bad"), return_exceptions=True))

    good, bad = await in_activity(work)
    assert good == 1
    assert isinstance(bad, RefusedError)


async def test_given_one_key_that_always_fails_transiently_when_others_are_followed_then_they_have_their_states() -> None:
    source = Source()
    source.broken = {"bad": TransientError("looking", "InternalFailure")}
    poller = Poller(source, 0.001)

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
    poller = Poller(source, 0.001)

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

    poller = Poller(one_by_one(describe), 0.0001)
    seen: list[str] = []

    async def work() -> str:
        return await poller.until("one", done=lambda _: len(seen) == 3, tell=seen.append)

    assert await in_activity(work) == "one"


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long each pause between two rounds is to be; each is only as long as followers need to come back."""
    asked: list[float] = []
    sleep = asyncio.sleep

    async def note(seconds: float) -> None:
        asked.append(seconds)
        await sleep(0.01)

    monkeypatch.setattr(asyncio, "sleep", note)
    return asked


async def test_given_one_key_that_fails_when_others_answer_then_the_rounds_are_not_slowed_down(pauses: list[float]) -> None:
    source = Source()
    source.broken = {"bad": TransientError("looking", "Rate exceeded")}
    poller = Poller(source, 15)

    async def work() -> None:
        bad = asyncio.ensure_future(first(poller, "bad"))
        await first(poller, "good", rounds=4)
        bad.cancel()

    await in_activity(work)
    assert set(pauses) == {15}


async def test_given_an_outage_when_every_key_fails_then_the_rounds_are_further_and_further_apart(pauses: list[float]) -> None:
    source = Source()
    source.errors = [TransientError("looking", "no route")] * 3

    await in_activity(lambda: first(Poller(source, 15), "one"))
    assert pauses[:3] == [30, 60, 60]


async def test_given_a_deadline_that_is_over_when_a_state_is_not_done_then_that_state_ends_the_wait() -> None:
    poller = Poller(Source(), 60)
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
        await first(Poller(Source(), 60), "one", rounds=2)

    with pytest.raises(TransientError, match="shuts down"):
        await environment.run(work)


KEPT_BY_TEMPORAL = 4_096
"""Bytes of a failure that is tried again (the server's limit.mutableStateActivityFailureSize.error)."""


class Body(ActivityInboundInterceptor):
    """The activity itself, at the end of the chain of interceptors."""

    def __init__(self, work: Any) -> None:
        self._work = work
        self.heartbeats: list[tuple[Any, ...]] = []

    def init(self, outbound: ActivityOutboundInterceptor) -> None:
        self.outbound = outbound

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002, ARG002
        return await self._work(self.outbound)


class Outside(ActivityOutboundInterceptor):
    """What leaves the process."""

    def __init__(self) -> None:
        self.heartbeats: list[tuple[Any, ...]] = []

    def heartbeat(self, *details: Any) -> None:
        self.heartbeats.append(details)


async def intercepted(work: Any, **info: Any) -> list[tuple[Any, ...]]:
    """Runs a body under the interceptor; returns the heartbeats."""
    outside = Outside()
    inbound = SlipwayInterceptor(beat_every=0.01).intercept_activity(Body(work))
    inbound.init(outside)
    environment = ActivityEnvironment()
    environment.info = dataclasses.replace(environment.info, **info)
    await environment.run(inbound.execute_activity, ExecuteActivityInput(work, [], None, {}))
    return outside.heartbeats


async def test_given_an_activity_that_says_nothing_when_it_runs_then_it_beats_by_itself() -> None:
    async def work(outbound: ActivityOutboundInterceptor) -> None:
        assert activity.info().activity_id
        await asyncio.sleep(0.05)

    assert len(await intercepted(work)) >= 3


async def test_given_progress_when_the_next_sign_of_life_is_sent_then_the_progress_is_in_it() -> None:
    async def work(outbound: ActivityOutboundInterceptor) -> None:
        outbound.heartbeat("half")
        await asyncio.sleep(0.05)

    assert (await intercepted(work))[-1] == ("half",)


async def test_given_progress_of_an_earlier_attempt_when_the_next_one_beats_then_it_is_kept() -> None:
    async def work(outbound: ActivityOutboundInterceptor) -> None:
        await asyncio.sleep(0.03)

    assert (await intercepted(work, heartbeat_details=["before"]))[0] == ("before",)


@pytest.mark.parametrize(
    ("error", "type_", "non_retryable"),
    [
        (TransientError("t", "a", retry_after=timedelta(seconds=7)), "Transient", False),
        (NeedsPersonError("t", "a", "r"), "NeedsPerson", True),
        (RefusedError("t", "a", "r"), "Refused", True),
        (httpx.ConnectError("no route"), "Transient", False),
    ],
)
async def test_given_an_error_when_an_activity_raises_it_then_its_workflow_reads_the_end(
    error: Exception, type_: str, non_retryable: bool
) -> None:
    async def work(outbound: ActivityOutboundInterceptor) -> None:
        raise error

    with pytest.raises(ApplicationError) as caught:
        await intercepted(work)
    assert (caught.value.type, caught.value.non_retryable) == (type_, non_retryable)


async def test_given_a_url_with_a_signature_when_it_fails_then_the_error_does_not_tell_it() -> None:
    request = httpx.Request("GET", "https://user:secret@bucket.example.com/key?X-Amz-Signature=abc")

    async def work(outbound: ActivityOutboundInterceptor) -> None:
        raise httpx.HTTPStatusError("refused by https://x?X-Amz-Signature=abc", request=request, response=httpx.Response(403))

    with pytest.raises(ApplicationError) as caught:
        await intercepted(work)
    assert caught.value.type == "NeedsPerson"
    assert "abc" not in str(caught.value)
    assert "secret" not in str(caught.value)


async def test_given_a_programmers_mistake_when_an_activity_makes_it_then_it_is_tried_again_under_its_name() -> None:
    async def work(outbound: ActivityOutboundInterceptor) -> None:
        raise KeyError("x")

    with pytest.raises(ApplicationError) as caught:
        await intercepted(work, attempt=4)
    assert (caught.value.type, caught.value.message, caught.value.non_retryable) == ("KeyError", "KeyError: 'x'", False)


@pytest.mark.parametrize("error", [TransientError("t" * 5_000, "a" * 5_000, "r" * 5_000), ValueError("v" * 5_000)])
async def test_given_a_long_error_with_causes_when_it_is_tried_again_then_temporal_keeps_all_of_it(error: Exception) -> None:
    def fail(depth: int) -> None:
        if depth:
            try:
                fail(depth - 1)
            except OSError as below:
                raise OSError(f"level {depth}") from below
        raise OSError("at the bottom")

    async def work(outbound: ActivityOutboundInterceptor) -> None:
        try:
            fail(5)
        except OSError as cause:
            raise error from cause

    with pytest.raises(ApplicationError) as caught:
        await intercepted(work)
    failure = Failure()
    await pydantic_data_converter.encode_failure(caught.value, failure)
    assert failure.ByteSize() < KEPT_BY_TEMPORAL
    assert not failure.HasField("cause")


async def test_given_a_programmers_mistake_when_five_attempts_made_it_then_a_person_is_asked() -> None:
    async def work(outbound: ActivityOutboundInterceptor) -> None:
        raise KeyError("x")

    with pytest.raises(ApplicationError) as caught:
        await intercepted(work, attempt=5, activity_type="write_image")
    assert (caught.value.type, caught.value.non_retryable) == ("NeedsPerson", True)
    report = report_of(caught.value)
    assert (report.tried, report.answered) == ("running write_image, 5 times", "KeyError: 'x'")
    assert "the worker's log has the traceback" in report.remedy


async def test_given_a_cancellation_when_the_fifth_attempt_hears_of_it_then_it_passes_as_it_is() -> None:
    async def work(outbound: ActivityOutboundInterceptor) -> None:
        raise CancelledError

    with pytest.raises(CancelledError):
        await intercepted(work, attempt=5)


@pytest.mark.parametrize(
    ("error", "attempt", "traced"),
    [(NeedsPersonError("t", "two\nlines", "r"), 1, False), (KeyError("x"), 1, True), (KeyError("x"), 5, True)],
)
async def test_given_an_error_when_the_sdk_logs_it_then_only_an_unforeseen_one_has_its_traceback(
    caplog: pytest.LogCaptureFixture, error: Exception, attempt: int, traced: bool
) -> None:
    async def work(outbound: ActivityOutboundInterceptor) -> None:
        raise error

    try:
        await intercepted(work, attempt=attempt)
    except Exception:  # noqa: BLE001 -- as the SDK does
        activity.logger.warning("Completing activity as failed", exc_info=True)
    record = caplog.records[-1]
    assert (record.exc_info is not None) == traced
    assert not record.exc_info or record.exc_info[1] is error
    assert ("t: two lines -- r" in record.getMessage()) != traced
