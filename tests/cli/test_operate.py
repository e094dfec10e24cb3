"""`slipway retry`, `slipway abort`, and ids that lead elsewhere."""

from __future__ import annotations

import asyncio
from uuid import uuid4

from temporalio.client import Client

from slipway.api import StageName
from slipway.temporal.start import start_promotion
from tests.support.shell import Shell
from tests.support.waiting import until_asked, until_parked
from tests.support.world import World, needs_person, request


async def test_given_a_parked_stage_when_it_is_retried_and_aborted_then_each_does_so(
    shell: Shell, world: World, client: Client
) -> None:
    world.fail("write_image", needs_person(), needs_person())
    handle, _ = await start_promotion(client, request(), world.task_queue)
    await until_parked(handle, StageName.taskdef)
    retried = await shell.slipway("retry", handle.id, "--reason", "allowed now")
    assert retried.code == 0, retried.err
    assert retried.out.startswith(f"{handle.id}: ")
    await until_parked(handle, StageName.taskdef)
    aborted = await shell.slipway("abort", handle.id, "--json")
    assert aborted.lines[0]["by"] == "ana"
    assert (await handle.result()).outcome == "aborted"


async def test_given_a_pipeline_that_found_no_execution_when_one_is_named_on_the_command_line_then_it_is_followed(
    shell: Shell, world: World, client: Client
) -> None:
    world.fail("find_execution", needs_person("none"))
    handle, _ = await start_promotion(client, request(), world.task_queue)
    await until_parked(handle, StageName.pipeline)
    arn = "arn:aws:sagemaker:us-east-1:222222222222:pipeline/screening-training/execution/abc"
    retried = await shell.slipway("retry", handle.id, "--execution", arn)
    assert retried.code == 0, retried.err
    await until_asked(handle)
    assert [asked.execution.arn for asked in world.asked("follow_execution")] == [arn]
    await shell.slipway("abort", handle.id)


async def test_given_a_promotion_that_is_over_when_a_command_is_sent_then_it_is_refused(
    shell: Shell, world: World, client: Client
) -> None:
    world.accuracy = 0.5
    handle, _ = await start_promotion(client, request(), world.task_queue)
    await handle.result()
    for command in ("retry", "abort"):
        late = await shell.slipway(command, handle.id)
        assert late.code == 2
        assert "this promotion has already finished (refused)" in late.err
        assert f"`slipway status {handle.id}` shows how it ended" in late.err


async def test_given_the_id_of_a_rollout_then_every_command_leads_to_its_promotion(
    shell: Shell, world: World, client: Client
) -> None:
    world.hold("follow_endpoint")
    world.set_approval(world.spec.spec.approval.model_copy(update={"mode": "auto"}))
    handle, _ = await start_promotion(client, request(), world.task_queue)
    await asyncio.wait_for(world.entered["follow_endpoint"].wait(), 20)
    [rollout] = (await handle.describe()).raw_description.pending_children
    for command in ("status", "watch", "approve", "reject", "retry", "abort"):
        done = await shell.slipway(command, rollout.workflow_id)
        assert done.code == 2
        assert f"that is the rollout of {handle.id}" in done.err
        assert f"slipway status {handle.id}" in done.err
    world.held["follow_endpoint"].set()
    await handle.result()


async def test_given_a_workflow_that_is_no_promotion_then_the_error_says_so(shell: Shell, world: World, client: Client) -> None:
    other = await client.start_workflow("Other", id=f"other-{uuid4()}", task_queue=f"nobody-{uuid4()}")
    done = await shell.slipway("status", other.id)
    assert done.code == 2
    assert "that is no promotion, but a workflow of the type Other" in done.err
    await other.terminate()


async def test_given_an_id_that_nobody_knows_then_the_error_says_how_to_find_one(shell: Shell, world: World) -> None:
    done = await shell.slipway("status", "no-such")
    assert done.code == 1
    assert "`slipway list` shows all promotions" in done.err
