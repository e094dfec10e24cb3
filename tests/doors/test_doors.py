"""What strangers send to a live promotion: whatever it is, it is refused in one short line, and the promotion lives."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from temporalio.client import Client, WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.common import RawValue
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.exceptions import ApplicationError

from slipway.api import AppRef, Decision, OperatorCommand, Outcome, PromotionStatus
from slipway.decisions.document import DecisionDocument
from slipway.temporal.connect import PROMOTION, ROLLOUT
from slipway.temporal.payloads import data_converter
from slipway.temporal.start import Handle, promotion, send_update, start_promotion
from tests.support.keys import document, subject_of
from tests.support.payloads import STRANGE, of, raw
from tests.support.waiting import until, until_asked
from tests.support.workflow_tasks import failed_tasks
from tests.support.world import EVIDENCE, World, refused, request, working

COMMANDS = ("approve", "reject", "retry", "abort")
STATUS_LIMIT = 256_000
REFUSAL_LIMIT = 300
ABORT = OperatorCommand(by="ana", reason="enough")


async def waiting(client: Client, world: World) -> Handle:
    handle, _ = await start_promotion(client, request(), world.task_queue)
    await until_asked(handle)
    return handle


async def refusal_of_update(handle: Handle, name: str, payloads: Sequence[RawValue]) -> str:
    with pytest.raises(WorkflowUpdateFailedError) as caught:
        await handle.execute_update(name, args=payloads, rpc_timeout=timedelta(seconds=20))  # pyright: ignore[reportUnknownMemberType] -- the SDK's own type is partial
    assert isinstance(caught.value.cause, ApplicationError)
    return caught.value.cause.message


def notice(status: PromotionStatus) -> str:
    """The last notice, without its time."""
    return status.notices[-1].partition(" ")[2]


async def size_of(status: PromotionStatus) -> int:
    return sum(payload.ByteSize() for payload in await data_converter.encode([status]))


@pytest.mark.parametrize("payloads", STRANGE.values(), ids=STRANGE)
async def test_given_anything_when_it_comes_by_update_or_signal_then_it_is_refused_and_the_promotion_can_be_aborted(
    client: Client, world: World, payloads: Sequence[RawValue]
) -> None:
    handle = await waiting(client, world)
    for name in COMMANDS:
        text = await refusal_of_update(handle, name, payloads)
        assert len(text) <= REFUSAL_LIMIT
        assert text.isprintable()
    for count, name in enumerate(COMMANDS, start=1):
        await handle.signal(name, args=payloads)
        status = await until(handle, lambda status, count=count: len(status.notices) == count, "a notice")
        assert notice(status).startswith(f"the signal {name} was refused: ")
        assert len(notice(status)) <= REFUSAL_LIMIT
        assert notice(status).isprintable()
    await send_update(handle, "abort", ABORT)
    status = await handle.result()
    assert status.outcome is Outcome.aborted
    assert await size_of(status) < STATUS_LIMIT
    assert failed_tasks(await handle.fetch_history()) == []


REASONS = {
    "two": "it takes one JSON object, not 2 inputs",
    "1.9 MB of evidence": "and at most 16000 are read",
    "binary/null": "its input looks like",
    "no JSON": "its input is not JSON",
    "a long evidence": "evidence: String should have at most 128 characters",
    "an escape in the name": "by: must be one line without invisible characters",
    "1,000 members": "; and 999 more",
}


@pytest.mark.parametrize(("kind", "said"), REASONS.items())
async def test_given_a_refused_signal_then_the_notice_says_why(client: Client, world: World, kind: str, said: str) -> None:
    handle = await waiting(client, world)
    await handle.signal("approve", args=STRANGE[kind])
    status = await until(handle, lambda status: bool(status.notices), "a notice")
    assert said in notice(status)
    await handle.terminate()


async def test_given_long_reasons_again_and_again_then_status_and_result_stay_small(client: Client, world: World) -> None:
    handle = await waiting(client, world)
    widest = "\U0001f600" * 1_000
    for _ in range(60):
        await handle.signal("approve", {"by": "\U0001f600" * 128, "evidence": "\U0001f600" * 128, "reason": widest})
        await handle.signal("reject", args=STRANGE["1,000 members"])
    await send_update(handle, "abort", OperatorCommand(by="\U0001f600" * 128, reason=widest))
    status = await handle.result()
    assert status.outcome is Outcome.aborted
    assert await size_of(status) < STATUS_LIMIT


async def test_given_a_typed_client_when_it_decides_then_it_counts(client: Client, world: World) -> None:
    typed = await Client.connect(client.service_client.config.target_host, data_converter=pydantic_data_converter)
    handle = promotion(typed, (await waiting(client, world)).id)
    await send_update(handle, "approve", Decision(by="ana", evidence=EVIDENCE))
    assert (await handle.result()).outcome is Outcome.promoted


# --- Starts ---


async def started(client: Client, world: World, payloads: Sequence[Any], workflow_id: str | None = None) -> Handle:
    workflow_id = workflow_id or f"app-{uuid4()}"
    await client.start_workflow(PROMOTION, args=payloads, id=workflow_id, task_queue=world.task_queue)
    return promotion(client, workflow_id)


async def then_it_was_refused(handle: Handle, world: World) -> PromotionStatus:
    status = await asyncio.wait_for(handle.result(), 30)
    assert status.outcome is Outcome.refused
    assert len(status.reason) <= REFUSAL_LIMIT + len("the start was refused: ")
    assert world.calls == []
    assert failed_tasks(await handle.fetch_history()) == []
    return status


@pytest.mark.parametrize("payloads", STRANGE.values(), ids=STRANGE)
async def test_given_a_start_that_is_no_request_then_it_ends_as_refused(
    client: Client, world: World, payloads: Sequence[RawValue]
) -> None:
    status = await then_it_was_refused(await started(client, world, payloads), world)
    assert status.reason.startswith("the start was refused: ")


WRONG_MEMBERS: dict[str, dict[str, Any]] = {
    "no attempt": {"attempt": 0},
    "no app": {"app": None},
    "a repository that is none": {"app": {"repository": "ext::sh -c evil"}},
    "a folder outside": {"app": {"repository": "file:///repositories/app.git", "folder": "../.."}},
    "a requester of two lines": {"requested_by": "eve\n# Approved by ana"},
    "a long commit": {"commit": "c" * 10_000},
    "a state": {"carried": {"outcome": "promoted", "stages": {}}},
}


@pytest.mark.parametrize("members", WRONG_MEMBERS.values(), ids=WRONG_MEMBERS)
async def test_given_a_request_with_a_wrong_member_then_it_ends_as_refused(
    client: Client, world: World, members: dict[str, Any]
) -> None:
    asked = request()
    payload = of(json.loads(asked.model_dump_json()) | members)
    await then_it_was_refused(await started(client, world, [payload], asked.promotion_id), world)


async def test_given_another_workflow_id_than_the_requests_then_it_is_refused_without_an_effect(
    client: Client, world: World
) -> None:
    asked = request()
    status = await then_it_was_refused(await started(client, world, [asked], f"mine-{uuid4()}"), world)
    assert status.reason.startswith(f"the workflow id of this promotion is {asked.promotion_id}, but it was started as mine-")


async def test_given_members_of_a_later_release_when_it_is_started_then_it_runs(client: Client, world: World) -> None:
    asked = request(app=AppRef(repository="file:///repositories/app.git", folder="apps/other"))
    payload = of(json.loads(asked.model_dump_json()) | {"of_a_later_release": True})
    handle = await started(client, world, [payload], asked.promotion_id)
    await until_asked(handle)
    await handle.terminate()


# --- Rollouts by hand ---


@pytest.mark.parametrize("payloads", STRANGE.values(), ids=STRANGE)
async def test_given_a_rollout_that_is_none_when_it_is_started_then_it_fails_once(
    client: Client, world: World, payloads: Sequence[RawValue]
) -> None:
    with pytest.raises(WorkflowFailureError) as caught:
        await asyncio.wait_for(rolled_out_by_hand(client, world, payloads), 30)
    assert isinstance(caught.value.cause, ApplicationError)
    assert caught.value.cause.non_retryable
    assert world.calls == []


async def test_given_a_rollout_by_hand_when_it_is_started_then_it_is_refused(client: Client, world: World) -> None:
    handle = await waiting(client, world)
    await send_update(handle, "approve", Decision(by="ana", evidence=EVIDENCE))
    await handle.result()
    history = await client.get_workflow_handle(f"{handle.id}-screening-prod-us-east-1").fetch_history()
    [recorded] = history.events[0].workflow_execution_started_event_attributes.input.payloads
    before = len(world.calls)
    with pytest.raises(WorkflowFailureError) as caught:
        await asyncio.wait_for(rolled_out_by_hand(client, world, [RawValue(recorded)]), 30)
    assert f"a rollout is started by its promotion {handle.id}, not by hand" in str(caught.value.cause)
    assert len(world.calls) == before


async def rolled_out_by_hand(client: Client, world: World, payloads: Sequence[RawValue]) -> None:
    queue = f"{world.task_queue}-rollouts"
    await client.execute_workflow(ROLLOUT, args=payloads, id=f"by-hand-{uuid4()}", task_queue=queue)


# --- Generated ---

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=20), inner, max_size=4),
    max_leaves=10,
)
MEMBERS = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("by", "evidence", "reason", "app", "image", "attempt", "carried", "plan"), JSON)
)
ENCODINGS = st.sampled_from(
    ["json/plain", "binary/null", "binary/plain", "json/protobuf", "binary/protobuf", "binary/encrypted", "", "\u2028"]
)


def decision_of_size(size: int) -> RawValue:
    return of({"by": "ana", "evidence": "e" * size})


TIMES = st.sampled_from(["0001-01-01T00:00:00Z", "2026-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2026-13-01T00:00:00Z"])
OF_A_DOCUMENT = {
    **dict.fromkeys(DecisionDocument.model_fields, JSON),
    **dict.fromkeys(("issued", "expires"), TIMES | JSON),
    "kind": st.sampled_from(COMMANDS) | JSON,
}
SIGNATURES = st.sampled_from(["", "s" * 8_000, "s" * 8_001, "-----BEGIN SSH SIGNATURE-----\nAA==\n-----END SSH SIGNATURE-----\n"])


@dataclass(frozen=True)
class Forged:
    """A signed command whose document is right for the promotion that it is thrown at, but for some members."""

    changes: dict[str, Any]
    signature: Any
    more: dict[str, Any]

    def payload(self, subject: Mapping[str, Any]) -> RawValue:
        """What is sent."""
        members = json.loads(document(subject).canonical()) | self.changes
        text = json.dumps(members, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return of({"document": text, "signature": self.signature, **self.more})


FORGED = st.builds(
    Forged,
    changes=st.fixed_dictionaries({}, optional=OF_A_DOCUMENT),
    signature=SIGNATURES | JSON,
    more=st.fixed_dictionaries({}, optional={"by": JSON, "evidence": JSON, "of a later release": JSON}),
)
NESTED = st.recursive(JSON, lambda inner: st.fixed_dictionaries({"document": inner}), max_leaves=3)
SIGNED = st.fixed_dictionaries({"document": NESTED | st.text(max_size=200)}, optional={"signature": SIGNATURES | JSON})


def signed_of_size(document_size: int, signature_size: int) -> RawValue:
    return of({"document": '"' * document_size, "signature": "s" * signature_size})


SIZES = st.builds(signed_of_size, st.sampled_from([15_999, 16_000, 16_001, 300_000]), st.sampled_from([7_999, 8_000, 8_001]))
PAYLOADS = st.lists(
    st.builds(of, MEMBERS | JSON | SIGNED)
    | FORGED
    | SIZES
    | st.builds(raw, st.binary(max_size=200), ENCODINGS)
    | st.builds(decision_of_size, st.sampled_from([128, 129, 16_000, 300_000])),
    max_size=3,
)
ONE = st.lists(FORGED | SIZES, min_size=1, max_size=1)
"""As a command has it: one payload, which may be signed."""
Thrown = RawValue | Forged


@asynccontextmanager
async def alive(address: str) -> AsyncGenerator[tuple[Client, World, Handle]]:
    """A promotion that waits for approval, and where nobody's signature is good."""
    client = await Client.connect(address, data_converter=data_converter)
    world = World(task_queue=f"test-{uuid4()}")
    world.evidence = ""
    world.fail("identify_person", *(refused("the signature is damaged") for _ in range(1_000)))
    async with working(client, world):
        yield client, world, await waiting(client, world)


async def throw(address: str, volleys: list[tuple[str, str, list[Thrown]]], starts: list[list[Thrown]]) -> None:
    async with alive(address) as (client, world, handle):
        subject = await subject_of(handle)
        for way, name, thrown in volleys:
            payloads = made(thrown, subject)
            if way == "signal":
                await handle.signal(name, args=payloads)
            else:
                assert len(await refusal_of_update(handle, name, payloads)) <= REFUSAL_LIMIT
        assert (await handle.query("status", result_type=PromotionStatus)).outcome is None
        for start in starts:
            begun = await started(client, world, made(start, subject))
            assert (await begun.result()).outcome is Outcome.refused
        await send_update(handle, "abort", ABORT)
        status = await handle.result()
        assert (status.outcome, status.reason) == (Outcome.aborted, "aborted by ana (claimed): enough")
        assert await size_of(status) < STATUS_LIMIT
        assert failed_tasks(await handle.fetch_history()) == []


def made(thrown: list[Thrown], subject: Mapping[str, Any]) -> list[RawValue]:
    return [each.payload(subject) if isinstance(each, Forged) else each for each in thrown]


WAYS = st.sampled_from(["signal", "update"])
VOLLEYS = st.lists(
    st.tuples(WAYS, st.sampled_from(COMMANDS[:3]), PAYLOADS) | st.tuples(WAYS, st.sampled_from(COMMANDS), ONE),
    min_size=10,
    max_size=14,
)
STARTS = st.lists(PAYLOADS, min_size=3, max_size=3)


# Few examples, each of many payloads: the promotion that they are thrown at costs the most.
@pytest.mark.timeout(180)
@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(volleys=VOLLEYS, starts=STARTS)
def test_given_generated_payloads_at_each_door_then_the_promotion_lives_and_can_be_aborted(
    temporal: Any, volleys: list[tuple[str, str, list[Thrown]]], starts: list[list[Thrown]]
) -> None:
    asyncio.run(throw(temporal.address, volleys, starts))


@pytest.mark.parametrize(
    ("issued", "expires"),
    [("0001-01-01T00:00:00Z", "2026-01-01T00:00:00Z"), ("9999-12-31T23:59:58Z", "9999-12-31T23:59:59Z")],
)
async def test_given_the_first_or_the_last_time_there_is_when_it_is_in_a_document_then_it_is_refused_and_the_promotion_lives(
    client: Client, world: World, issued: str, expires: str
) -> None:
    world.evidence = ""
    handle = await waiting(client, world)
    forged = Forged({"issued": issued, "expires": expires}, "s", {})
    await handle.signal("approve", args=[forged.payload(await subject_of(handle))])
    status = await until(handle, lambda status: bool(status.notices), "a notice")
    assert "the document counts from" in notice(status)
    await send_update(handle, "abort", ABORT)
    assert (await handle.result()).outcome is Outcome.aborted
    assert failed_tasks(await handle.fetch_history()) == []
