"""A model that was promoted is taken back, by a worker that dies after each effect; and what is on record then."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from demo.images import build_pipeline_image
from demo.team import ROOT
from slipway.api import Outcome
from tests.support.scenario import Scenario

pytestmark = pytest.mark.timeout(400)

OTHER = {"maxIterations": 150}
EFFECTS_OF_A_ROLLBACK = (
    ("sagemaker", "CreateModel"),
    ("sagemaker", "CreateEndpointConfig"),
    ("sagemaker", "UpdateEndpoint"),
    ("sagemaker", "AddTags"),
    ("sagemaker", "UpdateModelPackage"),
)


@pytest.fixture
def other_image(scenario: Scenario) -> str:
    """A pipeline image that trains another good model, pushed by CI."""
    return scenario.team.push_pipeline_image(build_pipeline_image(ROOT, OTHER, "pipeline-other"), "other")


async def ask(scenario: Scenario, *arguments: str) -> list[dict[str, Any]]:
    """What a command of Slipway's answers, as JSON."""
    done = await asyncio.to_thread(scenario.crew.slipway, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


async def test_given_two_models_when_the_second_is_taken_back_by_workers_that_die_then_the_first_serves_and_all_is_on_record(
    scenario: Scenario, good_image: str, other_image: str
) -> None:
    scenario.given_lenient_gates()
    first = await scenario.given_a_champion(good_image)
    second = await scenario.given_a_champion(other_image)
    app = scenario.app
    before = {name: len(scenario.done(f"sagemaker.{name}")) for _, name in EFFECTS_OF_A_ROLLBACK}

    await scenario.when_it_is_taken_back("recall fell")
    await scenario.when_the_worker_is_killed_after_each(EFFECTS_OF_A_ROLLBACK, scenario.when_ana_approves)
    status = await scenario.then_it_ends(Outcome.promoted)

    assert [served.package for served in status.endpoints] == [first.package]
    after = {name: len(scenario.done(f"sagemaker.{name}")) for _, name in EFFECTS_OF_A_ROLLBACK}
    # A record on the package that serves, and one on the package that was left. The retry leaves the same tag once more.
    twice = {"UpdateModelPackage": 2, "AddTags": 2}
    assert {name: after[name] - before[name] for name in after} == {**dict.fromkeys(before, 1), **twice}
    assert len(scenario.done("ecs.RunTask")) == 2
    assert {package["ModelApprovalStatus"] for package in scenario.packages()} == {"Approved"}

    [target] = await ask(scenario, "history", app)
    assert (target["package"], target["drift"]) == (first.package, "")
    assert [served["promotion"] for served in target["served"]] == [status.id, second.id, first.id]
    assert [served["by"] for served in target["served"]] == [["ana:claimed"]] * 3
    again = ("--to", "1", "--reason", "again", "--requested-by", "cy", "--wait")
    refused = await asyncio.to_thread(scenario.crew.slipway, "rollback", app, *again)
    assert refused.returncode == 3
    assert "every target serves" in refused.stdout
