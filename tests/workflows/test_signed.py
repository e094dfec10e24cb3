"""Decisions that people sign, as a promotion takes them. Who signed is found out by an activity, which this world answers."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from slipway.api import Decision, IdentityLevel, OperatorCommand, Outcome, SignedCommand, StageName
from slipway.errors import ChangedSinceApprovalError
from slipway.temporal.failures import to_application_error
from slipway.temporal.start import Handle, send_update, start_promotion
from tests.support.keys import Keyring, document, subject_of
from tests.support.waiting import until, until_asked, until_parked
from tests.support.world import World, approval, needs_person, refused, request


@pytest.fixture
def keys(tmp_path: Path) -> Keyring:
    return Keyring(tmp_path / "keys")


@pytest.fixture
def signing(world: World) -> World:
    """A world whose policy asks for signed decisions."""
    world.identity = IdentityLevel.signed
    world.evidence = ""
    return world


async def start(client: Client, world: World) -> Handle:
    handle, _ = await start_promotion(client, request(), world.task_queue)
    return handle


async def asked(client: Client, world: World) -> Handle:
    handle = await start(client, world)
    await until_asked(handle)
    return handle


async def signed(keys: Keyring, handle: Handle, kind: str = "approve", by: str = "ana", **changes: Any) -> SignedCommand:
    return keys.sign(document(await subject_of(handle), kind, by, **changes), by)


async def refusal(handle: Handle, name: str, command: SignedCommand | Decision) -> str:
    with pytest.raises(WorkflowUpdateFailedError) as caught:
        await send_update(handle, name, command)
    assert isinstance(caught.value.cause, ApplicationError)
    return caught.value.cause.message


async def test_given_a_policy_that_asks_for_signatures_when_somebody_only_claims_a_name_then_they_are_told_to_sign(
    client: Client, signing: World
) -> None:
    handle = await asked(client, signing)
    status = await until_asked(handle)
    said = await refusal(handle, "approve", Decision(by="ana", evidence=status.evidence or ""))
    assert f"slipway approve {handle.id} --by ana --sign" in said
    assert signing.asked("identify_person") == []


async def test_given_a_signed_approval_then_the_record_has_it_and_each_effect_gets_it(
    client: Client, signing: World, keys: Keyring
) -> None:
    handle = await asked(client, signing)
    command = await signed(keys, handle, reason="looks good")
    receipt = await send_update(handle, "approve", command)
    status = await asyncio.wait_for(handle.result(), 30)
    assert receipt.text == "approved by ana (signed), 1 of 1"
    (record,) = status.decisions
    assert (record.kind, record.by, record.level, record.reason) == ("approve", "ana", IdentityLevel.signed, "looks good")
    assert (record.document, record.signature, record.fingerprint) == (command.document, command.signature, "SHA256:ana")
    assert [each.decisions for each in signing.asked("set_approval")] == [(command,)]
    assert [plan.approved.decisions for plan in signing.asked("prepare_endpoint")] == [(command,)]
    assert "approved by ana (signed)" in signing.asked("set_approval")[0].description


async def test_given_a_document_when_it_is_pasted_as_a_signal_then_it_counts(
    client: Client, signing: World, keys: Keyring
) -> None:
    handle = await asked(client, signing)
    await handle.signal("approve", (await signed(keys, handle)).model_dump())
    status = await asyncio.wait_for(handle.result(), 30)
    assert [record.level for record in status.decisions] == [IdentityLevel.signed]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"run": "5c2a4a0e-0000-4000-8000-000000000000"}, "run is 5c2a4a0e"),
        ({"promotion": "screening-of-somebody-else"}, "promotion is screening-of-somebody-else"),
        ({"namespace": "other"}, "namespace is other, not default"),
        ({"package": "arn:aws:sagemaker:us-east-1:222222222222:model-package/screening/2"}, "package is "),
        ({"evidence": "0" * 64}, "the decision is about the evidence 0000000000000000"),
        ({"targets": ["other in us-east-1"]}, "targets is other in us-east-1"),
        ({"spec_commit": "0" * 40}, "spec_commit is 0000"),
        ({"branch": "feature"}, "branch is feature, not main"),
        ({"expires": datetime(2026, 1, 2, tzinfo=UTC), "issued": datetime(2026, 1, 1, tzinfo=UTC)}, "to 2026-01-02T00:00:00Z"),
        (
            {"issued": datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)},
            "the document counts from",
        ),
    ],
)
async def test_given_a_document_about_something_else_when_it_is_sent_then_the_difference_is_told(
    client: Client, signing: World, keys: Keyring, changes: dict[str, Any], told: str
) -> None:
    handle = await asked(client, signing)
    said = await refusal(handle, "approve", await signed(keys, handle, **changes))
    assert told in said
    assert signing.asked("identify_person") == []


async def test_given_an_approval_when_it_is_sent_as_a_rejection_then_it_is_refused(
    client: Client, signing: World, keys: Keyring
) -> None:
    handle = await asked(client, signing)
    assert "the document says approve" in await refusal(handle, "reject", await signed(keys, handle))


async def test_given_a_text_that_is_no_document_when_it_is_signalled_then_a_notice_says_why(
    client: Client, signing: World
) -> None:
    handle = await asked(client, signing)
    await handle.signal("approve", {"document": "{}", "signature": "none"})
    status = await until(handle, lambda status: bool(status.notices), "a notice")
    assert "the signal approve was refused: the document cannot be read" in status.notices[-1]


async def test_given_a_signature_of_somebody_else_then_the_decision_is_refused_and_the_approver_may_still_decide(
    client: Client, signing: World, keys: Keyring
) -> None:
    signing.fail("identify_person", refused("the key SHA256:eve is not one of ana in allowed_signers"))
    handle = await asked(client, signing)
    assert "is not one of ana" in await refusal(handle, "approve", await signed(keys, handle))
    await send_update(handle, "approve", await signed(keys, handle))
    assert (await asyncio.wait_for(handle.result(), 30)).outcome is Outcome.promoted


async def test_given_two_approvers_with_one_key_then_they_are_one_person(client: Client, signing: World, keys: Keyring) -> None:
    signing.set_approval(approval(quorum=2))
    signing.keys = {"ana": "SHA256:shared", "bo": "SHA256:shared"}
    handle = await asked(client, signing)
    await send_update(handle, "approve", await signed(keys, handle))
    assert "ana approved with the same key" in await refusal(handle, "approve", await signed(keys, handle, by="bo"))


async def test_given_a_document_that_was_used_when_it_is_sent_again_then_it_is_refused(
    client: Client, signing: World, keys: Keyring
) -> None:
    signing.fail("follow_task", needs_person(), needs_person())
    handle = await start(client, signing)
    await until_parked(handle, StageName.task)
    command = await signed(keys, handle, "retry")
    await send_update(handle, "retry", command)
    await until(
        handle, lambda status: signing.names.count("follow_task") == 2 and status.waiting_for is not None, "a second fault"
    )
    assert "this document was used already" in await refusal(handle, "retry", command)


async def test_given_a_pipeline_that_found_no_execution_when_a_signed_retry_names_one_then_it_is_followed(
    client: Client, signing: World, keys: Keyring
) -> None:
    signing.fail("find_execution", needs_person("none"))
    handle = await start(client, signing)
    await until_parked(handle, StageName.pipeline)
    arn = "arn:aws:sagemaker:us-east-1:222222222222:pipeline/screening-training/execution/abc"
    await send_update(handle, "retry", await signed(keys, handle, "retry", use_execution=arn))
    await until_asked(handle)
    assert [asked.execution.arn for asked in signing.asked("follow_execution")] == [arn]


async def test_given_an_approval_that_does_not_count_at_the_effect_when_it_is_retried_then_people_are_asked_again(
    client: Client, signing: World, keys: Keyring
) -> None:
    gone = ChangedSinceApprovalError("looking whether it is approved", "the key of ana is gone", "retry asks again")
    signing.fail("set_approval", to_application_error(gone))
    handle = await asked(client, signing)
    used = await signed(keys, handle)
    await send_update(handle, "approve", used)
    await until_parked(handle, StageName.approval)
    await send_update(handle, "retry", OperatorCommand(by="bo"))
    await until_asked(handle)
    assert "this document was used already" in await refusal(handle, "approve", used)
    await send_update(handle, "approve", await signed(keys, handle))
    assert (await asyncio.wait_for(handle.result(), 30)).outcome is Outcome.promoted


async def test_given_nothing_that_can_identify_people_when_it_is_aborted_without_a_signature_then_it_is_aborted_and_recorded(
    client: Client, signing: World
) -> None:
    signing.fail("identify_person", needs_person("the repository is away"))
    handle = await asked(client, signing)
    await send_update(handle, "abort", OperatorCommand(by="ana"))
    status = await asyncio.wait_for(handle.result(), 30)
    assert (status.outcome, status.reason) == (Outcome.aborted, "aborted by ana (claimed)")
    assert [(record.kind, record.by, record.level) for record in status.decisions] == [("abort", "ana", IdentityLevel.claimed)]
