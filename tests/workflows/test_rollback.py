"""The way back to a model that was approved before, and what a rollout leaves on record."""

from __future__ import annotations

import pytest
from temporalio.client import Client

from activities.endpoints.cleaning import CleanedUp
from slipway.api import (
    Decision,
    Evidence,
    LedgerState,
    OperatorCommand,
    Outcome,
    PromotionRequest,
    Rollback,
    StageName,
    StageState,
)
from slipway.app.spec import KEPT_CONFIGS
from slipway.temporal.start import Handle, send_update, start_promotion
from tests.support.waiting import until_asked, until_parked
from tests.support.world import EVIDENCE, World, approval, needs_person, refused, request

TRAINS = {"copy_image", "write_image", "run_task", "find_execution", "find_model_package", "create_model_package"}


def way_back(**changes: object) -> PromotionRequest:
    """A rollback of an application that no other test has."""
    asked = request()
    app = asked.app.model_copy(update={"folder": f"apps/screening-{asked.digest[-8:]}"})
    return PromotionRequest(
        app=app, image="", requested_by="cy", rollback=Rollback.model_validate({"reason": "recall fell", **changes})
    )


async def start(client: Client, world: World, asked: PromotionRequest) -> Handle:
    return (await start_promotion(client, asked, world.task_queue))[0]


async def decide(handle: Handle, kind: str = "approve") -> None:
    await until_asked(handle)
    await send_update(handle, kind, Decision(by="ana", evidence=EVIDENCE))


async def test_given_a_rollback_when_it_is_approved_then_the_package_is_served_and_nothing_is_trained_or_written(
    client: Client, world: World
) -> None:
    handle = await start(client, world, way_back(version=1))
    await decide(handle)
    status = await handle.result()
    assert status.outcome is Outcome.promoted
    assert not TRAINS & set(world.names)
    assert "set_approval" not in world.names
    assert world.asked("update_endpoint")[0].plan.package.version == 1
    assert [stage.state for stage in status.stages] == [StageState.done] * 6
    assert status.rollback
    assert status.rollback.reason == "recall fell"


async def test_given_a_rollback_that_waits_then_the_evidence_says_what_it_is_for(client: Client, world: World) -> None:
    handle = await start(client, world, way_back(endpoint="screening-prod"))
    await until_asked(handle)
    evidence = await handle.query("evidence", result_type=Evidence)
    assert evidence.purpose == "rollback of screening-prod to version 2: recall fell"
    await send_update(handle, "abort", OperatorCommand(by="ana"))
    await handle.result()


@pytest.mark.parametrize("kind", ["reject", "abort"])
async def test_given_a_rollback_that_does_not_happen_then_its_package_stays_approved(
    client: Client, world: World, kind: str
) -> None:
    handle = await start(client, world, way_back())
    await until_asked(handle)
    command = Decision(by="ana", evidence=EVIDENCE) if kind == "reject" else OperatorCommand(by="ana")
    await send_update(handle, kind, command)
    assert (await handle.result()).outcome in {Outcome.rejected, Outcome.aborted}
    assert "withdraw_approval" not in world.names
    assert "revert_image" not in world.names


async def test_given_a_rollback_whose_model_does_not_answer_then_what_served_before_is_put_back(
    client: Client, world: World
) -> None:
    world.smoke_error = "ModelError: 500"
    handle = await start(client, world, way_back())
    await decide(handle)
    status = await handle.result()
    assert status.outcome is Outcome.rolled_back
    assert [entry.state for entry in status.ledger] == [LedgerState.undone]
    assert "record_served" not in world.names


async def test_given_no_package_to_go_back_to_then_it_is_refused(client: Client, world: World) -> None:
    world.fail("find_former_package", refused("no approved version is older"))
    status = await (await start(client, world, way_back())).result()
    assert status.outcome is Outcome.refused
    assert "no approved version is older" in status.reason


async def test_given_a_target_that_the_spec_does_not_have_then_it_is_refused(client: Client, world: World) -> None:
    world.fail("read_app", refused("the spec's targets are screening-prod"))
    status = await (await start(client, world, way_back(endpoint="other"))).result()
    assert status.outcome is Outcome.refused


async def test_given_a_promotion_at_its_rollout_then_a_rollback_of_the_app_waits(client: Client, world: World) -> None:
    world.fail("require_no_rollout", needs_person("screening-1 of this app is at its rollout"))
    handle = await start(client, world, way_back())
    await until_parked(handle, StageName.pipeline)
    await send_update(handle, "retry", OperatorCommand(by="ana"))
    await decide(handle)
    assert (await handle.result()).outcome is Outcome.promoted


async def test_given_the_same_way_back_twice_then_there_is_one_rollback(client: Client, world: World) -> None:
    asked = way_back()
    first, is_new = await start_promotion(client, asked, world.task_queue)
    second, is_new_again = await start_promotion(client, asked, world.task_queue)
    assert (first.id, is_new, is_new_again) == (second.id, True, False)
    await send_update(first, "abort", OperatorCommand(by="ana"))
    await first.result()


async def test_given_a_promotion_when_it_is_promoted_then_its_targets_and_its_package_carry_the_record(
    client: Client, world: World
) -> None:
    world.set_waves(("staging",), ("prod",))
    handle = await start(client, world, request())
    await decide(handle)
    await handle.result()
    assert [plan.target.endpoint for plan in world.asked("mark_endpoint")] == ["staging", "prod"]
    [record] = world.asked("record_served")
    assert (record.promotion_id, record.evidence, record.by, record.left) == (handle.id, EVIDENCE, ("ana:claimed",), ())


async def test_given_a_record_that_cannot_be_made_when_it_is_retried_then_no_target_is_rolled_out_again(
    client: Client, world: World
) -> None:
    world.set_approval(approval(mode="auto"))
    world.fail("record_served", needs_person())
    handle = await start(client, world, request())
    await until_parked(handle, StageName.rollout)
    await send_update(handle, "retry", OperatorCommand(by="ana"))
    assert (await handle.result()).outcome is Outcome.promoted
    assert len(world.asked("update_endpoint")) == 1


async def test_given_former_configs_when_a_promotion_is_done_then_its_line_says_what_was_removed(
    client: Client, world: World
) -> None:
    world.set_waves(("staging",), ("prod",))
    world.set_approval(approval(mode="auto"))
    world.cleaned = CleanedUp(configs=2, models=1)
    status = await (await start(client, world, request())).result()
    assert status.outcome is Outcome.promoted
    assert status.stages[-1].summary == "version 3 on 2 endpoints; removed 2 endpoint configs and 1 model of earlier promotions"
    [asked] = world.asked("clean_up")
    assert asked.keep == KEPT_CONFIGS
    assert [(cleaned.target.endpoint, cleaned.config) for cleaned in asked.targets] == [
        (endpoint.endpoint, endpoint.config) for endpoint in status.endpoints
    ]


async def test_given_former_configs_that_cannot_be_removed_when_a_promotion_is_done_then_it_is_promoted_all_the_same(
    client: Client, world: World
) -> None:
    world.set_approval(approval(mode="auto"))
    world.fail("clean_up", needs_person("not authorized to perform sagemaker:DeleteModel"))
    status = await (await start(client, world, request())).result()
    assert status.outcome is Outcome.promoted
    assert "former configs and models were not all removed: not authorized" in status.notices[-1]
