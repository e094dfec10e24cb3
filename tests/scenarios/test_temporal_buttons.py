"""What Temporal's own buttons and commands do to a promotion, on real parts: docs/operations.md promises this."""

from __future__ import annotations

import asyncio
import subprocess

import pytest

from demo.team import FOLDER
from demo.temporal import find_temporal
from slipway.api import Outcome, PromotionStatus, StageName, StageState
from slipway.temporal.connect import PROMOTION
from slipway.temporal.start import promotion
from tests.support.scenario import PATIENCE, Scenario

pytestmark = pytest.mark.timeout(240)


async def when_somebody_runs(scenario: Scenario, *arguments: str) -> None:
    """`temporal workflow …` on the promotion."""
    command = [str(find_temporal()), "workflow", *arguments, "--workflow-id", scenario.handle.id]
    where = ["--address", scenario.stack.temporal.address, "--namespace", scenario.crew.namespace]
    done = await asyncio.to_thread(subprocess.run, [*command, *where], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def config_of(scenario: Scenario) -> str:
    """What the team's endpoint serves by."""
    return scenario.team.client("sagemaker").describe_endpoint(EndpointName=scenario.team.endpoint)["EndpointConfigName"]


async def test_given_a_promoted_model_when_it_is_reset_or_started_again_under_its_id_then_it_is_refused_and_serves_on(
    scenario: Scenario, good_image: str
) -> None:
    served = await scenario.given_a_champion(good_image)
    client, head = await scenario.connect(), scenario.team.remote.log()
    [sent] = (await scenario.handle.fetch_history()).events[0].workflow_execution_started_event_attributes.input.payloads
    ended = f"WorkflowId = '{scenario.handle.id}' AND ExecutionStatus = 'Completed'"
    async with asyncio.timeout(PATIENCE):
        while not (await client.count_workflows(ended)).count:  # noqa: ASYNC110 -- the list is a moment late
            await asyncio.sleep(0.05)
    again = ("--type", PROMOTION, "--task-queue", "slipway", "--input", sent.data.decode())

    for command in (("reset", "--type", "FirstWorkflowTask", "--reason", "tried"), ("start", *again)):
        await when_somebody_runs(scenario, *command)

        status = await asyncio.wait_for(promotion(client, scenario.handle.id).result(), PATIENCE)
        assert status.outcome is Outcome.refused
        assert "this promotion has ended already (" in status.reason
        assert status.ledger == ()
    assert scenario.team.remote.log() == head
    assert config_of(scenario) == served.endpoints[-1].config
    assert [package["ModelApprovalStatus"] for package in scenario.packages()] == ["Approved"]


async def test_given_a_promotion_that_asks_when_it_is_reset_to_its_beginning_then_nothing_is_done_twice(
    scenario: Scenario, good_image: str
) -> None:
    await scenario.when_ci_starts(good_image)
    asked = await scenario.until_stage(StageName.approval, StageState.waiting)

    await when_somebody_runs(scenario, "reset", "--type", "FirstWorkflowTask", "--reason", "tried")

    again = await scenario.until_stage(StageName.approval, StageState.waiting)
    assert (again.evidence, again.task, again.execution) == (asked.evidence, asked.task, asked.execution)
    await scenario.when_ana_approves()
    await scenario.then_it_ends(Outcome.promoted)
    done = (len(scenario.commits()), len(scenario.tasks()), len(scenario.executions()), len(scenario.packages()))
    assert done == (1, 1, 1, 1)


async def test_given_a_terminated_promotion_when_it_is_reset_to_its_last_task_then_it_is_back_and_can_be_aborted(
    scenario: Scenario, good_image: str
) -> None:
    before = scenario.team.remote.read(f"{FOLDER}/taskdef.yaml")
    await scenario.when_ci_starts(good_image)
    await scenario.until_stage(StageName.approval, StageState.waiting)
    await when_somebody_runs(scenario, "terminate", "--reason", "tried")

    await when_somebody_runs(scenario, "reset", "--type", "LastWorkflowTask", "--reason", "bring it back")

    await scenario.until_stage(StageName.approval, StageState.waiting)
    await scenario.when_an_operator_says("abort")
    status: PromotionStatus = await scenario.then_it_ends(Outcome.aborted)
    assert all(entry.note for entry in status.ledger)
    assert scenario.team.remote.read(f"{FOLDER}/taskdef.yaml") == before
    assert [package["ModelApprovalStatus"] for package in scenario.packages()] == ["Rejected"]
