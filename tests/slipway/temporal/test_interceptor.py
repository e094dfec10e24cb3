from __future__ import annotations

import asyncio
import dataclasses
from datetime import timedelta
from typing import Any

import httpx
import pytest
from temporalio import activity
from temporalio.api.failure.v1 import Failure
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.exceptions import ApplicationError, CancelledError
from temporalio.testing import ActivityEnvironment
from temporalio.worker import ActivityInboundInterceptor, ActivityOutboundInterceptor, ExecuteActivityInput

from slipway.api import Message
from slipway.errors import NeedsPersonError, RefusedError, TransientError
from slipway.temporal.connect import PROMOTION, ROLLOUT, WATCH
from slipway.temporal.failures import report_of
from slipway.temporal.interceptor import SlipwayInterceptor

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


async def intercepted(work: Any, *args: Any, **info: Any) -> list[tuple[Any, ...]]:
    """Runs a body under the interceptor, with the input of an activity; returns the heartbeats."""
    outside = Outside()
    inbound = SlipwayInterceptor(beat_every=0.01).intercept_activity(Body(work))
    inbound.init(outside)
    environment = ActivityEnvironment()
    of_a_promotion: dict[str, Any] = {"workflow_type": PROMOTION, "workflow_id": "app-1"}
    environment.info = dataclasses.replace(environment.info, **(of_a_promotion | info))
    await environment.run(inbound.execute_activity, ExecuteActivityInput(work, args, None, {}))
    return outside.heartbeats


class Asked(Message):
    """An input that names its promotion."""

    promotion_id: str = "app-1"


class Planned(Message):
    """An input whose plan names its promotion."""

    plan: Asked = Asked()


STRANGERS: dict[str, tuple[dict[str, Any], Message]] = {
    "no workflow": ({"workflow_type": None, "workflow_id": None}, Message()),
    "a workflow of another type": ({"workflow_type": "Other"}, Message()),
    "another promotion": ({"workflow_id": "app-2"}, Asked()),
    "another promotion, for its rollout": ({"workflow_id": "app-2"}, Planned()),
    "a promotion under an id of a rollout": ({"workflow_id": "app-1-endpoint"}, Asked()),
    "the watch of a branch": ({"workflow_type": WATCH, "workflow_id": "watch-app-main"}, Message()),
    "a rollout of another promotion": ({"workflow_type": ROLLOUT, "workflow_id": "app-2-endpoint"}, Planned()),
    "a rollout under the promotion's id": ({"workflow_type": ROLLOUT, "workflow_id": "app-1"}, Planned()),
}


@pytest.mark.parametrize(("info", "asked"), STRANGERS.values(), ids=STRANGERS)
async def test_given_a_stranger_when_it_asks_for_an_activity_then_it_is_refused_before_it_runs(
    info: dict[str, Any], asked: Message
) -> None:
    async def work(outbound: ActivityOutboundInterceptor) -> None:
        pytest.fail("it ran")

    with pytest.raises(ApplicationError, match=r"only .* may") as caught:
        await intercepted(work, asked, activity_type="set_approval", **info)
    assert (caught.value.type, caught.value.non_retryable) == ("Refused", True)


@pytest.mark.parametrize(
    ("info", "asked"),
    [
        ({}, Message()),
        ({}, Asked()),
        ({}, Planned()),
        ({"workflow_type": ROLLOUT, "workflow_id": "app-1-endpoint-us-east-1"}, Planned()),
    ],
)
async def test_given_the_promotion_or_its_rollout_when_it_asks_for_an_activity_then_it_runs(
    info: dict[str, Any], asked: Message
) -> None:
    ran: list[bool] = []

    async def work(outbound: ActivityOutboundInterceptor) -> None:
        ran.append(True)

    await intercepted(work, asked, **info)
    assert ran == [True]


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


async def test_given_frequent_looks_that_see_the_same_when_they_are_told_then_it_is_sent_once() -> None:
    async def work(outbound: ActivityOutboundInterceptor) -> None:
        for said in ("half", "half", "whole", "whole"):
            outbound.heartbeat(said)

    assert await intercepted(work) == [("half",), ("whole",)]


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


@pytest.mark.parametrize("error", [RefusedError("reading", "found \ud800", "correct it"), ValueError("\udcff is no number")])
async def test_given_an_error_with_half_a_surrogate_pair_when_an_activity_raises_it_then_it_can_be_sent(error: Exception) -> None:
    async def work(outbound: ActivityOutboundInterceptor) -> None:
        raise error

    with pytest.raises(ApplicationError) as caught:
        await intercepted(work)
    sent = Failure()
    await pydantic_data_converter.encode_failure(caught.value, sent)
    assert "�" in sent.message


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
