"""How a promotion ends, good and bad."""

from __future__ import annotations

import pytest

from demo.remote import BRANCH
from demo.story import with_traffic
from demo.team import FOLDER
from slipway.api import LedgerState, Outcome, StageName, StageState
from tests.support.scenario import COMMIT, Scenario

pytestmark = pytest.mark.timeout(240)


async def test_given_a_promotion_when_ci_runs_twice_then_there_is_one(scenario: Scenario, good_image: str) -> None:
    await scenario.when_ci_starts(good_image)
    first = scenario.handle.id
    await scenario.when_ci_starts(good_image)
    assert scenario.handle.id == first
    await scenario.when_ana_approves()
    await scenario.then_it_ends(Outcome.promoted)
    assert len(scenario.tasks()) == 1


async def test_given_a_model_below_the_gate_when_it_is_trained_then_it_is_refused_and_undone(
    scenario: Scenario, inaccurate_image: str
) -> None:
    before = scenario.team.remote.read(f"{FOLDER}/taskdef.yaml")
    await scenario.when_ci_starts(inaccurate_image)
    status = await scenario.then_it_ends(Outcome.refused)
    assert "accuracy" in status.reason
    assert scenario.team.remote.read(f"{FOLDER}/taskdef.yaml") == before
    assert [package["ModelApprovalStatus"] for package in scenario.packages()] == ["Rejected"]
    assert not scenario.done("sagemaker.CreateEndpoint")


async def test_given_a_gate_with_a_wrong_path_when_it_is_corrected_on_the_branch_and_retried_then_people_are_asked(
    scenario: Scenario, good_image: str
) -> None:
    right = "binary_classification_metrics.accuracy.value"
    wrong = "binary_classification_metrics.acuracy.value"
    scenario.given_its_file("promotion.yaml", right, wrong)
    await scenario.when_ci_starts(good_image)
    parked = await scenario.until_stage(StageName.approval, StageState.parked)
    assert parked.waiting_for
    assert parked.waiting_for.failure
    assert f"{wrong} (min 0.9): the challenger has no such metric; did you mean {right!r}?" in parked.waiting_for.failure.answered
    assert [package["ModelApprovalStatus"] for package in scenario.packages()] == ["PendingManualApproval"]
    scenario.given_its_file("promotion.yaml", wrong, right)
    await scenario.when_an_operator_says("retry")
    asked = await scenario.until_stage(StageName.approval, StageState.waiting)
    assert asked.spec_commit != parked.spec_commit
    assert asked.evidence_summary
    assert [gate.passed for gate in asked.evidence_summary.gates if gate.metric == right] == [True]
    await scenario.when_ana_approves()
    await scenario.then_it_ends(Outcome.promoted)
    assert len(scenario.tasks()) == 1


async def test_given_a_task_that_exits_1_when_the_operator_fixes_it_and_retries_then_it_is_promoted(
    scenario: Scenario, good_image: str
) -> None:
    scenario.team.remove_data()
    await scenario.when_ci_starts(good_image)
    parked = await scenario.until_stage(StageName.task, StageState.parked)
    assert parked.waiting_for
    assert parked.waiting_for.failure
    assert "no training data" in parked.waiting_for.failure.answered
    scenario.team.upload_data()
    await scenario.when_an_operator_says("retry")
    await scenario.when_ana_approves()
    await scenario.then_it_ends(Outcome.promoted)
    assert len(scenario.tasks()) == 2


async def test_given_a_champion_when_the_new_model_fails_under_traffic_then_the_champion_serves_on(
    scenario: Scenario, good_image: str, faulty_image: str
) -> None:
    champion = await scenario.given_a_champion(good_image)
    await scenario.when_ci_starts(faulty_image)
    await scenario.when_ana_approves()
    status, _, _ = await with_traffic(scenario.team, scenario.then_it_ends(Outcome.rolled_back))
    assert {entry.state for entry in status.ledger} <= {LedgerState.undone, LedgerState.kept}
    config = scenario.team.client("sagemaker").describe_endpoint(EndpointName=scenario.team.endpoint)["EndpointConfigName"]
    assert config == champion.endpoints[-1].config


async def test_given_a_champion_when_a_good_model_follows_then_the_endpoint_never_stops_answering(
    scenario: Scenario, good_image: str, inaccurate_image: str
) -> None:
    await scenario.given_lenient_gates().given_a_champion(good_image)
    await scenario.when_ci_starts(inaccurate_image)
    await scenario.when_ana_approves()
    status, answered, failed = await with_traffic(scenario.team, scenario.then_it_ends(Outcome.promoted))
    assert status.endpoints[-1].package == status.package
    assert (answered > 0, failed) == (True, 0)


async def test_given_a_running_pipeline_when_it_is_aborted_then_all_is_undone_the_last_first(
    scenario: Scenario, slow_image: str
) -> None:
    before = scenario.team.remote.read(f"{FOLDER}/taskdef.yaml")
    await scenario.when_ci_starts(slow_image)
    await scenario.until_stage(StageName.pipeline, StageState.running)
    await scenario.when_an_operator_says("abort")
    await scenario.then_it_ends(Outcome.aborted)
    await scenario.until(lambda: scenario.executions()[0]["PipelineExecutionStatus"] == "Stopped", "the execution to stop")
    assert scenario.team.remote.read(f"{FOLDER}/taskdef.yaml") == before


async def test_given_ci_that_waits_when_the_promotion_is_refused_then_its_exit_code_says_so(
    scenario: Scenario, inaccurate_image: str
) -> None:
    done = scenario.crew.slipway(
        *("start", "--repository", scenario.team.remote.url, "--branch", BRANCH, "--folder", FOLDER),
        *("--image", inaccurate_image, "--commit", COMMIT, "--requested-by", "ci", "--wait"),
    )
    assert done.returncode == 3, done.stderr
