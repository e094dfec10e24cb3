"""The worker is killed right after an effect on the outside; what the retry finds is not done again."""

from __future__ import annotations

from functools import partial

import pytest

from slipway.messages import Outcome, StageName, StageState
from tests.support.scenario import Scenario, hold_pushes

pytestmark = pytest.mark.timeout(240)

EFFECTS = [
    pytest.param("registry", "PutManifest", id="image: the manifest is in the target repository"),
    pytest.param("ecs", "RegisterTaskDefinition", id="task: the task definition is registered"),
    pytest.param("ecs", "RunTask", id="task: the task runs"),
    pytest.param("sagemaker", "ListPipelineExecutionSteps", id="pipeline: the execution is followed"),
]
EFFECTS_AFTER_APPROVAL = [
    pytest.param("sagemaker", "UpdateModelPackage", id="approval: the package is approved"),
    pytest.param("sagemaker", "CreateModel", id="rollout: the model is made"),
    pytest.param("sagemaker", "CreateEndpointConfig", id="rollout: the endpoint config is made"),
    pytest.param("sagemaker", "CreateEndpoint", id="rollout: the endpoint is made"),
]


def assert_everything_was_done_once(scenario: Scenario) -> None:
    """One commit, one task, one execution, one package, one approval, one endpoint: by git, AWS and the sandbox's call log."""
    assert len(scenario.commits()) == 1
    assert len(scenario.tasks()) == 1
    assert len(scenario.executions()) == 1
    assert len(scenario.packages()) == 1
    once = ("ecs.RegisterTaskDefinition", "sagemaker.UpdateModelPackage", "sagemaker.CreateEndpointConfig")
    assert {name: len(scenario.done(name)) for name in once} == dict.fromkeys(once, 1)
    assert len(scenario.done("sagemaker.CreateEndpoint")) == 1
    assert not scenario.done("sagemaker.UpdateEndpoint")


@pytest.mark.parametrize(("service", "operation"), EFFECTS)
async def test_given_a_worker_killed_right_after_an_effect_when_another_takes_over_then_nothing_is_done_twice(
    scenario: Scenario, good_image: str, service: str, operation: str
) -> None:
    await scenario.when_the_worker_is_killed_after(service, operation, partial(scenario.when_ci_starts, good_image))
    await scenario.when_ana_approves()
    await scenario.then_it_ends(Outcome.promoted)
    assert_everything_was_done_once(scenario)


@pytest.mark.parametrize(("service", "operation"), EFFECTS_AFTER_APPROVAL)
async def test_given_a_worker_killed_after_the_approval_when_another_takes_over_then_nothing_is_done_twice(
    scenario: Scenario, good_image: str, service: str, operation: str
) -> None:
    await scenario.when_ci_starts(good_image)
    await scenario.until_stage(StageName.approval, StageState.waiting)
    await scenario.when_the_worker_is_killed_after(service, operation, scenario.when_ana_approves)
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
