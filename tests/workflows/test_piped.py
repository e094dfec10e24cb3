"""A promotion whose task piped runs: what is asked for, what an operator may name, and what an abort looks for."""

from __future__ import annotations

from datetime import timedelta

import pytest
from temporalio.client import Client, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from slipway.api import LedgerState, OperatorCommand, Outcome, StageName
from slipway.temporal.start import Handle, send_update, start_promotion
from tests.support.waiting import summary_of, until_asked, until_parked
from tests.support.world import World, needs_person, request

TASK = "arn:aws:ecs:us-east-1:222222222222:task/ml/abc"


async def start(client: Client, world: World) -> Handle:
    world.leave_task_to_piped()
    handle, _ = await start_promotion(client, request(), world.task_queue)
    return handle


async def test_given_a_task_of_piped_when_it_is_promoted_then_slipway_registers_and_runs_nothing(
    client: Client, world: World
) -> None:
    status = await until_asked(await start(client, world))
    [find] = world.asked("find_task")
    [follow] = world.asked("follow_task")
    assert (find.commit, find.within, find.former, find.named) == ("b" * 40, timedelta(minutes=30), None, "")
    assert (follow.task.arn, follow.by_piped) == (status.task, True)
    assert not {"register_task_definition", "run_task", "stop_task"} & set(world.names)
    assert summary_of(status, StageName.task) == f"exit codes: pipeline 0; piped ran it for {'b' * 12}"


async def test_given_a_worker_that_asks_pipecd_when_the_task_is_found_then_the_stage_names_the_witness(
    client: Client, world: World
) -> None:
    world.pipecd_says = "deployment d1 SUCCESS by PipeCD"
    status = await until_asked(await start(client, world))
    assert summary_of(status, StageName.task).endswith(f"piped ran it for {'b' * 12}; deployment d1 SUCCESS by PipeCD")


async def test_given_a_task_that_failed_when_it_is_retried_then_it_is_told_which_one_and_nothing_is_stopped(
    client: Client, world: World
) -> None:
    world.fail("follow_task", needs_person("exit code 1"))
    handle = await start(client, world)
    failed = (await until_parked(handle, StageName.task)).task
    await send_update(handle, "retry", OperatorCommand(by="ana"))
    await until_asked(handle)
    first, again = world.asked("find_task")
    assert (first.former, again.former.arn) == (None, failed)
    assert "stop_task" not in world.names


async def test_given_a_task_that_the_platform_ended_when_it_is_followed_then_the_stage_parks_and_none_is_run(
    client: Client, world: World
) -> None:
    world.ended_by_platform = ["SpotInterruption"]
    status = await until_parked(await start(client, world), StageName.task)
    assert status.waiting_for
    assert status.waiting_for.failure
    assert status.waiting_for.failure.answered == "the platform ended it: SpotInterruption"
    assert status.waiting_for.failure.remedy.startswith("sync the application in PipeCD and retry")


async def test_given_two_tasks_when_an_operator_names_one_then_that_is_asked_for_once_and_kept_as_a_notice(
    client: Client, world: World
) -> None:
    world.fail("find_task", needs_person("piped ran 2"), needs_person("of another image"))
    handle = await start(client, world)
    await until_parked(handle, StageName.task)
    await send_update(handle, "retry", OperatorCommand(by="ana", task=TASK))
    await until_parked(handle, StageName.task)
    await send_update(handle, "retry", OperatorCommand(by="ana"))
    status = await until_asked(handle)
    assert [find.named for find in world.asked("find_task")] == ["", TASK, ""]
    assert any(f"ana (claimed) named {TASK}" in notice for notice in status.notices)


async def test_given_another_stage_that_is_parked_when_an_operator_names_a_task_then_the_retry_is_refused(
    client: Client, world: World
) -> None:
    world.fail("find_execution", needs_person("none"))
    handle = await start(client, world)
    await until_parked(handle, StageName.pipeline)
    with pytest.raises(WorkflowUpdateFailedError) as caught:
        await send_update(handle, "retry", OperatorCommand(by="ana", task=TASK))
    assert isinstance(caught.value.cause, ApplicationError)
    assert "a task is named where piped runs it and the task stage is parked" in caught.value.cause.message


@pytest.mark.parametrize("piped_runs", [True, False])
async def test_given_a_wait_for_piped_when_it_is_aborted_then_what_piped_has_run_by_then_is_looked_for_and_stopped(
    client: Client, world: World, piped_runs: bool
) -> None:
    world.fail("find_task", needs_person("none yet"))
    handle = await start(client, world)
    await until_parked(handle, StageName.task)
    world.piped_runs = piped_runs
    await send_update(handle, "abort", OperatorCommand(by="ana"))
    status = await handle.result()
    assert status.outcome is Outcome.aborted
    assert [find.for_undo for find in world.asked("find_task")] == [False, True]
    entry = next(entry for entry in status.ledger if entry.inverse == "stop the task")
    assert entry.state is (LedgerState.undone if piped_runs else LedgerState.kept)
    assert len(world.asked("stop_task")) == piped_runs
