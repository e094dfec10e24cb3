"""The worker is killed right after an effect on the outside; what the retry finds is not done again."""

from __future__ import annotations

from functools import partial

import pytest

from slipway.api import Outcome, StageName, StageState
from tests.support.scenario import Scenario, hold_pushes

pytestmark = pytest.mark.timeout(400)

BEFORE_THE_APPROVAL = (
    ("registry", "PutManifest"),
    ("ecs", "RegisterTaskDefinition"),
    ("ecs", "RunTask"),
    ("sagemaker", "ListPipelineExecutionSteps"),
)
AFTER_THE_APPROVAL = (
    ("sagemaker", "UpdateModelPackage"),
    ("sagemaker", "CreateModel"),
    ("sagemaker", "CreateEndpointConfig"),
    ("sagemaker", "CreateEndpoint"),
)


def assert_everything_was_done_once(scenario: Scenario) -> None:
    """One commit, one task, one execution, one package, one approval, one endpoint: by git, AWS and the sandbox's call log."""
    assert len(scenario.commits()) == 1
    assert len(scenario.tasks()) == 1
    assert len(scenario.executions()) == 1
    assert len(scenario.packages()) == 1
    once = ("ecs.RegisterTaskDefinition", "sagemaker.CreateEndpointConfig")
    assert {name: len(scenario.done(name)) for name in once} == dict.fromkeys(once, 1)
    # Approved, and recorded as what serves.
    assert len(scenario.done("sagemaker.UpdateModelPackage")) == 2
    assert len(scenario.done("sagemaker.CreateEndpoint")) == 1
    assert not scenario.done("sagemaker.UpdateEndpoint")


async def test_given_workers_killed_right_after_each_effect_when_others_take_over_then_nothing_is_done_twice(
    scenario: Scenario, good_image: str
) -> None:
    await scenario.when_the_worker_is_killed_after_each(BEFORE_THE_APPROVAL, partial(scenario.when_ci_starts, good_image))
    await scenario.when_ana_approves()
    await scenario.then_it_ends(Outcome.promoted)
    assert_everything_was_done_once(scenario)


async def test_given_workers_killed_after_each_effect_of_the_rollout_when_others_take_over_then_nothing_is_done_twice(
    scenario: Scenario, good_image: str
) -> None:
    await scenario.when_ci_starts(good_image)
    await scenario.until_stage(StageName.approval, StageState.waiting)
    await scenario.when_the_worker_is_killed_after_each(AFTER_THE_APPROVAL, scenario.when_ana_approves)
    await scenario.then_it_ends(Outcome.promoted)
    assert_everything_was_done_once(scenario)


async def test_given_a_worker_killed_right_after_its_push_when_another_takes_over_then_there_is_one_commit(
    scenario: Scenario, good_image: str
) -> None:
    remote = scenario.team.remote.path
    gate = hold_pushes(remote)
    await scenario.when_ci_starts(good_image)
    await scenario.until((remote / "pushed").exists, "the push")
    scenario.crew.worker.kill()
    gate.unlink()
    scenario.crew.start_worker()
    await scenario.when_ana_approves()
    await scenario.then_it_ends(Outcome.promoted)
    assert_everything_was_done_once(scenario)


async def test_given_temporal_killed_while_people_decide_when_it_is_back_then_the_promotion_goes_on(
    scenario: Scenario, good_image: str
) -> None:
    await scenario.when_ci_starts(good_image)
    await scenario.until_stage(StageName.approval, StageState.waiting)
    scenario.stack.temporal.process.kill()
    scenario.stack.temporal.start()
    await scenario.when_ana_approves()
    await scenario.then_it_ends(Outcome.promoted)
    assert_everything_was_done_once(scenario)
