"""Who sent a signal, by the principals on a history's events."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from temporalio.api.common.v1 import Payload, Payloads, Principal
from temporalio.api.enums.v1 import EventType, WorkflowTaskFailedCause
from temporalio.api.history.v1 import (
    HistoryEvent,
    WorkflowExecutionSignaledEventAttributes,
    WorkflowTaskFailedEventAttributes,
)
from temporalio.client import Client
from temporalio.common import RawValue

from slipway.errors import NeedsPersonError
from slipway.temporal.payloads import data_converter
from slipway.temporal.principals import is_of, payload_sha256, principal_among, principal_of

APPROVAL = {"by": "ana", "evidence": "3bb787f270e95e42", "reason": "recall is up"}
SENT = payload_sha256(APPROVAL)


async def signal(event_id: int, principal: str, payload: Any = APPROVAL, name: str = "approve") -> HistoryEvent:
    kind, _, subject = principal.partition(":")
    return HistoryEvent(
        event_id=event_id,
        principal=Principal(type=kind, name=subject) if principal else None,
        workflow_execution_signaled_event_attributes=WorkflowExecutionSignaledEventAttributes(
            signal_name=name, input=Payloads(payloads=await data_converter.encode([payload]))
        ),
    )


async def found_among(*events: HistoryEvent, upto: int | None = None, sha256: str = SENT) -> str:
    async def each() -> AsyncIterator[HistoryEvent]:
        for event in events:
            yield event

    return await principal_among(each(), data_converter, signal="approve", sha256=sha256, upto=upto)


async def test_given_a_signal_of_ana_when_others_sent_other_signals_then_its_principal_is_ana() -> None:
    events = [
        await signal(9, "jwt:bo", {**APPROVAL, "reason": "other"}),
        await signal(8, "jwt:ana"),
        await signal(7, "jwt:eve", name="reject"),
        HistoryEvent(event_id=6, principal=Principal(type="jwt", name="worker")),
    ]
    assert await found_among(*events) == "jwt:ana"


async def test_given_members_in_another_order_and_with_spaces_when_it_is_looked_for_then_it_is_found() -> None:
    raw = b'{ "reason": "recall is up",\n "evidence":"3bb787f270e95e42", "by":"ana" }'
    payload = Payload(metadata={"encoding": b"json/plain"}, data=raw)
    event = await signal(8, "jwt:ana")
    event.workflow_execution_signaled_event_attributes.input.payloads[0].CopyFrom(payload)
    assert await found_among(event) == "jwt:ana"


async def test_given_two_people_who_sent_the_same_when_it_is_looked_for_then_it_is_nobodys() -> None:
    assert not await found_among(await signal(9, "jwt:ana"), await signal(8, "jwt:mallory"))
    assert not await found_among(await signal(9, "jwt:ana"), await signal(8, ""))
    assert await found_among(await signal(9, "jwt:ana"), await signal(8, "jwt:ana")) == "jwt:ana"


async def test_given_a_copy_that_came_after_it_was_handled_when_it_is_looked_for_then_the_copy_does_not_count() -> None:
    assert await found_among(await signal(9, "jwt:mallory"), await signal(8, "jwt:ana"), upto=8) == "jwt:ana"
    assert not await found_among(await signal(9, "jwt:mallory"), upto=8)


async def test_given_a_signal_from_before_a_reset_when_it_is_looked_for_then_it_is_not_taken_for_one_of_whoever_reset() -> None:
    started = HistoryEvent(event_id=9, event_type=EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED)
    reset = HistoryEvent(
        event_id=4,
        event_type=EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED,
        workflow_task_failed_event_attributes=WorkflowTaskFailedEventAttributes(
            cause=WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW
        ),
    )
    assert not await found_among(started, await signal(6, "jwt:ana"), reset)
    assert await found_among(await signal(10, "jwt:ana"), started, await signal(6, "jwt:eve"), reset) == "jwt:ana"
    assert await found_among(started, await signal(6, "jwt:eve"), reset, await signal(2, "jwt:ana")) == "jwt:ana"


async def test_given_a_server_that_stamps_nothing_when_it_is_looked_for_then_there_is_none() -> None:
    assert not await found_among(await signal(8, ""))


@pytest.mark.parametrize("payload", [RawValue(Payload(data=b"\xff")), b"\xff", "not sent", None, [APPROVAL]])
async def test_given_something_else_than_was_sent_when_it_is_looked_for_then_nothing_is_found(payload: Any) -> None:
    assert not await found_among(await signal(8, "jwt:ana"), sha256=payload_sha256(payload))


def test_given_a_payload_that_is_no_json_then_it_has_no_checksum() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    assert {payload_sha256(RawValue(Payload(data=b"{}"))), payload_sha256({1, 2}), payload_sha256(deep)} == {""}


@pytest.mark.parametrize(
    ("principal", "name", "is_theirs"),
    [
        ("jwt:ana", "ana", True),
        ("jwt:Ana", " ana", True),
        ("jwt:auth0|7:ana", "auth0|7:ana", True),
        ("jwt:anamaria", "ana", False),
        ("temporal:internal", "internal", False),
        ("jwt:", "", False),
        ("", "", False),
        ("ana", "ana", False),
    ],
)
def test_given_a_principal_and_a_name_then_they_are_one_person_if_the_subject_is_that_name(
    principal: str, name: str, is_theirs: bool
) -> None:
    assert is_of(principal, name) is is_theirs


async def test_given_a_server_without_an_authorizer_when_a_signal_is_looked_for_then_it_has_no_principal(client: Client) -> None:
    handle = await client.start_workflow("Any", id="principals-none", task_queue="nobody-polls")
    await handle.signal("approve", APPROVAL)
    assert not await principal_of(client, handle.id, handle.result_run_id or "", signal="approve", sha256=SENT)
    await handle.terminate()


@pytest.mark.parametrize("run_id", ["", "0193a2b4-0000-7000-8000-000000000000", "no run"])
async def test_given_a_run_that_is_not_there_when_its_signal_is_looked_for_then_a_person_is_told(
    client: Client, run_id: str
) -> None:
    with pytest.raises(NeedsPersonError, match="looking for who sent the signal approve to principals-missing"):
        await principal_of(client, "principals-missing", run_id, signal="approve", sha256=SENT)
