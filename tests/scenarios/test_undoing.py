"""What holds up the way back: outages pass by themselves, and for the rest an operator is waited for."""

from __future__ import annotations

import asyncio

import pytest
from botocore.exceptions import ClientError

from slipway.api import LedgerState, Outcome, PromotionStatus, StageName, StageState
from tests.support.scenario import Scenario
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(240)
OUTAGE = 10_000
"""Calls that fail: more than any test makes."""
DENIED = "User is not authorized to perform: sagemaker:DeleteEndpoint on this resource"
SLEEPER = "    essential: true\n    entryPoint: [sleep, infinity]\n"


def given_an_outage(scenario: Scenario, service: str, *operations: str) -> list[int]:
    """These calls of the team answer with HTTP 500, until the faults are removed."""
    sandbox, account = scenario.stack.sandbox, scenario.team.ml_account
    return [sandbox.plant_fault(service, name, "server-error", count=OUTAGE, account=account) for name in operations]


async def when_it_has_lasted(scenario: Scenario, outage: list[int]) -> PromotionStatus:
    """The worker has tried for longer than one call's own retries; then the outage is over."""
    await scenario.until(lambda: sum(map(scenario.stack.sandbox.struck, outage)) > 6, "the calls that fail")
    status = await scenario.handle.query("status", result_type=PromotionStatus)
    for fault in outage:
        scenario.stack.sandbox.remove_fault(fault)
    return status


async def given_an_endpoint_that_is_being_made(scenario: Scenario, image: str) -> int:
    """The call that makes the endpoint is under way; its answer is held by the fault that is returned."""
    held = scenario.stack.sandbox.plant_fault("sagemaker", "CreateEndpoint", "hold-answer", account=scenario.team.ml_account)
    await scenario.when_ci_starts(image)
    await scenario.when_ana_approves()
    await scenario.until(lambda: scenario.stack.sandbox.struck(held) > 0, "CreateEndpoint")
    return held


def assert_all_is_undone(status: PromotionStatus) -> None:
    assert {entry.state for entry in status.ledger} <= {LedgerState.undone, LedgerState.kept}, status.ledger


async def test_given_an_outage_of_ecs_while_the_task_is_being_stopped_when_it_is_over_then_the_task_is_stopped_by_itself(
    scenario: Scenario, good_image: str
) -> None:
    scenario.given_its_file("taskdef.yaml", "    essential: true\n", SLEEPER)
    await scenario.when_ci_starts(good_image)
    await scenario.until_stage(StageName.task, StageState.running)
    await scenario.until(lambda: bool(scenario.done("ecs.RunTask")), "the task")
    outage = given_an_outage(scenario, "ecs", "StopTask", "DescribeTasks")
    await scenario.when_an_operator_says("abort")
    meanwhile = await when_it_has_lasted(scenario, outage)
    assert (meanwhile.outcome, meanwhile.waiting_for) == (None, None)
    status = await scenario.then_it_ends(Outcome.aborted)
    assert_all_is_undone(status)
    stopped = scenario.team.client("ecs").list_tasks(cluster="ml", desiredStatus="STOPPED")["taskArns"]
    assert stopped == scenario.tasks()


async def test_given_an_outage_and_a_missing_permission_when_a_rollout_is_aborted_then_it_waits_and_a_retry_undoes_the_rest(
    scenario: Scenario, good_image: str
) -> None:
    sandbox, account = scenario.stack.sandbox, scenario.team.ml_account
    held = await given_an_endpoint_that_is_being_made(scenario, good_image)
    outage = given_an_outage(scenario, "sagemaker", "DescribeEndpoint")
    denied = {"code": "AccessDeniedException", "message": DENIED, "count": OUTAGE}
    denial = sandbox.plant_fault("sagemaker", "DeleteEndpoint", "error", account=account, **denied)
    await scenario.when_an_operator_says("abort")
    sandbox.remove_fault(held)
    meanwhile = await when_it_has_lasted(scenario, outage)
    assert (meanwhile.outcome, meanwhile.waiting_for) == (None, None)
    parked = await until(scenario.handle, lambda status: status.waiting_for is not None, "an operator to be waited for")
    assert parked.waiting_for
    assert parked.waiting_for.failure
    assert "allow sagemaker:DeleteEndpoint to the role" in parked.waiting_for.failure.remedy

    scenario.crew.worker.kill()
    await asyncio.to_thread(scenario.crew.start_worker)
    again = await scenario.handle.query("status", result_type=PromotionStatus)
    assert (again.outcome, again.waiting_for) == (None, parked.waiting_for)

    sandbox.remove_fault(denial)
    await scenario.when_an_operator_says("retry")
    status = await scenario.then_it_ends(Outcome.aborted)
    assert_all_is_undone(status)
    with pytest.raises(ClientError, match="Could not find"):
        scenario.team.client("sagemaker").describe_endpoint(EndpointName=scenario.team.endpoint)
    reverts = [message for message in scenario.team.remote.log() if message.startswith("Revert the image")]
    assert (len(scenario.commits()), len(reverts)) == (1, 1)
