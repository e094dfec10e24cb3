"""What Temporal shows of a promotion, and what that costs."""

from __future__ import annotations

import json
import re

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import Client

from slipway.api import Decision, IdentityLevel, OperatorCommand, StageName
from slipway.temporal import search_attributes as attributes
from slipway.temporal.start import send_update, start_promotion
from tests.support.waiting import until_asked, until_parked
from tests.support.world import EVIDENCE, World, approval, needs_person, request
from workflows.view import fitting

EVENTS = 186
BYTES = 100_000


async def details(client: Client, promotion_id: str) -> str:
    metadata = await client.get_workflow_handle(promotion_id).query("__temporal_workflow_metadata", result_type=WorkflowMetadata)
    return metadata.current_details


async def test_given_a_happy_promotion_then_its_history_stays_in_its_budget(client: Client, world: World) -> None:
    handle, _ = await start_promotion(client, request(), world.task_queue)
    await until_asked(handle)
    await send_update(handle, "approve", Decision(by="ana", evidence=EVIDENCE))
    await handle.result()
    child = client.get_workflow_handle(f"{handle.id}-screening-prod-us-east-1")
    events = [event for each in (handle, child) for event in (await each.fetch_history()).events]
    size = sum(event.ByteSize() for event in events)
    assert len(events) <= EVENTS, f"{len(events)} events"
    assert size <= BYTES, f"{size} bytes"


async def test_given_a_waiting_promotion_then_the_details_say_who_can_unblock_it_and_how(client: Client, world: World) -> None:
    handle, _ = await start_promotion(client, request(), world.task_queue)
    await until_asked(handle)
    page = await details(client, handle.id)
    assert "### Waiting for approval (0 of 1) since" in page
    assert "Who can unblock it: **ana, bo**" in page
    assert f"slipway approve {handle.id} --by <you> \\\n    --evidence {EVIDENCE}" in page
    assert f'{{"by": "<your name>", "evidence": "{EVIDENCE}", "reason": ""}}' in page
    found = (await handle.describe()).typed_search_attributes
    assert found.get(attributes.STATE) == "waiting"
    assert found.get(attributes.STAGE) == "approval"
    assert found.get(attributes.WAITING_FOR) == "approval"
    assert found.get(attributes.TARGETS) == ["screening-prod"]
    assert found.get(attributes.APP) == "screening"
    await handle.terminate()


async def test_given_claimed_decisions_then_the_details_say_what_that_means(client: Client, world: World) -> None:
    handle, _ = await start_promotion(client, request(), world.task_queue)
    await until_asked(handle)
    page = await details(client, handle.id)
    assert "whoever reaches the namespace can write any name" in page
    assert "--sign" not in page
    await handle.terminate()


async def test_given_a_policy_that_asks_for_signatures_then_the_details_have_the_commands_that_make_one(
    client: Client, world: World
) -> None:
    world.identity = IdentityLevel.signed
    handle, _ = await start_promotion(client, request(), world.task_queue)
    await until_asked(handle)
    page = await details(client, handle.id)
    assert f"slipway approve {handle.id} --by <you> \\\n    --evidence {EVIDENCE} \\\n    --sign\n" in page
    assert (
        f"```\nslipway decision {handle.id} --kind approve \\\n    --by <you> > decision.json\n"
        "ssh-keygen -Y sign -n slipway-decision -f <your key> decision.json\n"
        "slipway decision --attach decision.json\n```"
    ) in page
    assert "send the signal of the same kind, `approve` or `reject`, with what the last command printed" in page
    assert '"by": "<your name>"' not in page
    await handle.terminate()


async def test_given_a_decision_then_the_details_and_the_result_have_it_with_its_level(client: Client, world: World) -> None:
    world.set_approval(approval(quorum=2))
    handle, _ = await start_promotion(client, request(), world.task_queue)
    await until_asked(handle)
    await send_update(handle, "approve", Decision(by="ana", evidence=EVIDENCE, reason="recall is up"))
    page = await details(client, handle.id)
    assert re.search(r"Decisions\n\n- .* UTC approved by ana \(claimed\), evidence sha256:eeeeeeeee: recall is up\n", page)
    await send_update(handle, "abort", OperatorCommand(by="bo", reason="wrong data"))
    ended = await handle.result()
    assert [(each.kind, each.by, each.level) for each in ended.decisions] == [
        ("approve", "ana", "claimed"),
        ("abort", "bo", "claimed"),
    ]


async def test_given_a_stage_that_parks_where_decisions_are_signed_then_a_claimed_signal_still_ends_the_wait(
    client: Client, world: World
) -> None:
    world.identity = IdentityLevel.signed
    world.fail("write_image", needs_person())
    handle, _ = await start_promotion(client, request(), world.task_queue)
    await until_parked(handle, StageName.taskdef)
    page = await details(client, handle.id)
    assert f'slipway retry {handle.id} --by <you> \\\n    --reason "…" \\\n    --sign\n' in page
    assert '{"by": "<your name>", "reason": ""}' in page
    assert f"slipway decision {handle.id} --kind retry" in page
    await handle.terminate()


async def test_given_evidence_then_the_details_have_each_gate_and_champion_and_the_command_that_shows_all(
    client: Client, world: World
) -> None:
    handle, _ = await start_promotion(client, request(), world.task_queue)
    await until_asked(handle)
    page = await details(client, handle.id)
    assert "- accuracy: challenger 0.95, champion -, min 0.9: met\n- champion of screening-prod: none" in page
    assert f"```\nslipway evidence {handle.id}\n```" in page
    await handle.terminate()


async def test_given_a_parked_promotion_then_the_details_say_what_was_tried_and_what_to_do(client: Client, world: World) -> None:
    world.fail("write_image", needs_person())
    handle, _ = await start_promotion(client, request(), world.task_queue)
    await until_parked(handle, StageName.taskdef)
    page = await details(client, handle.id)
    assert "- tried: doing something\n- answered: AccessDeniedException: not allowed\n- do: allow it, then retry" in page
    assert f"slipway retry {handle.id}" in page
    await handle.terminate()


async def test_given_any_step_then_it_has_a_summary(client: Client, world: World) -> None:
    handle, _ = await start_promotion(client, request(), world.task_queue)
    await until_asked(handle)
    kinds = {EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED, EventType.EVENT_TYPE_TIMER_STARTED}
    scheduled = [event for event in (await handle.fetch_history()).events if event.event_type in kinds]
    assert scheduled
    assert all(event.user_metadata.HasField("summary") for event in scheduled)
    await handle.terminate()


@pytest.mark.parametrize(("number", "length"), [(50, 63), (1_000, 4), (50, 1)])
def test_given_many_targets_when_they_are_made_searchable_then_they_fit_into_an_attribute(number: int, length: int) -> None:
    kept = fitting(f"{index:x}".rjust(length, "a") for index in range(number))
    assert len(json.dumps(kept, ensure_ascii=False, separators=(",", ":")).encode()) <= 2_048
    assert (kept[-1] == "…") == (len(kept) < number)
