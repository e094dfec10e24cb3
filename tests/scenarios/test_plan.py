"""A plan says what the promotion then does: the same accounts, image and files, planned first and promoted afterwards."""

from __future__ import annotations

from typing import Any

import pytest

from demo.team import FOLDER
from slipway.api import Outcome, StageName
from tests.support.scenario import Scenario, effects
from tests.support.waiting import until_parked

pytestmark = pytest.mark.timeout(240)
ALARMS = "alarms: [screening-5xx, screening-latency]"


def variant_of(scenario: Scenario) -> dict[str, Any]:
    sagemaker, endpoint = scenario.team.client("sagemaker"), scenario.team.endpoint
    config = sagemaker.describe_endpoint(EndpointName=endpoint)["EndpointConfigName"]
    return dict(sagemaker.describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"][0])


async def test_given_an_image_when_it_is_planned_and_promoted_then_both_stop_at_the_same_and_do_the_same(
    scenario: Scenario, good_image: str
) -> None:
    scenario.given_its_file("promotion.yaml", ALARMS, "alarms: [screening-5xx, no-such-alarm]")
    before = effects(scenario)
    refused = await scenario.planned(good_image, code=2)
    [finding] = refused.refusals
    assert "no-such-alarm" in finding.what
    await scenario.when_ci_starts(good_image)
    status = await until_parked(scenario.handle, StageName.image)
    assert status.waiting_for
    assert status.waiting_for.failure
    assert finding.line in status.waiting_for.failure.answered.splitlines()
    assert effects(scenario) == before
    assert scenario.handle.id == refused.promotion
    scenario.given_its_file("promotion.yaml", "alarms: [screening-5xx, no-such-alarm]", ALARMS)
    plan = await scenario.planned(good_image, code=0)
    await scenario.when_an_operator_says("retry")
    await scenario.when_ana_approves()
    status = await scenario.then_it_ends(Outcome.promoted)
    assert plan.image
    assert plan.taskdef
    assert plan.task
    assert plan.approval
    repository = plan.image.target.partition("@")[0].rpartition("/")[2]
    described = scenario.team.client("ecr").describe_images(repositoryName=repository, imageIds=[{"imageTag": plan.image.tag}])
    assert described["imageDetails"][0]["imageDigest"] == plan.image.target.rpartition("@")[2]
    [file] = plan.taskdef.files
    assert file.after in scenario.team.remote.read(f"{FOLDER}/{file.file}")
    assert plan.task.action == "register"
    assert len(scenario.done("ecs.RegisterTaskDefinition")) == 1
    assert (status.task_definition or "").rpartition("/")[2] == f"{plan.task.family}:1"
    [target] = plan.rollout
    served = variant_of(scenario)
    for change in target.changes:
        member = change.field.removeprefix(f"ProductionVariants[{served['VariantName']}].")
        if member in served and not change.after.startswith("("):
            assert str(served[member]) in {change.after, f"{change.after}.0"}
    assert target.action == "create"
    again = await scenario.planned(good_image, code=0)
    assert again.task
    assert again.image
    assert (again.image.action, again.task.action, again.task.changes) == ("already there", "reuse", ())
    assert (again.rollout[0].action, again.rollout[0].champion) == ("update", status.package)
    assert again.approval
    assert any("champion" in bar.message for bar in again.approval.gates)
