"""What is wrong is said clearly, with what to do, and nothing is changed."""

from __future__ import annotations

import pytest

from demo.remote import BRANCH
from demo.team import FOLDER
from slipway.messages import Outcome, PromotionStatus, StageName, StageState
from tests.support.scenario import COMMIT, Scenario

pytestmark = pytest.mark.timeout(120)

ABSENT = f"sha256:{'a' * 64}"
WRITES = (
    "registry.PutManifest",
    "ecs.RegisterTaskDefinition",
    "ecs.RunTask",
    "sagemaker.UpdateModelPackage",
    "sagemaker.CreateModel",
    "sagemaker.CreateEndpoint",
)


async def assert_refused(scenario: Scenario, image: str, *words: str) -> PromotionStatus:
    """The promotion is refused in these words, and neither git nor AWS has changed."""
    head, before = scenario.team.remote.head(), {name: len(scenario.done(name)) for name in WRITES}
    await scenario.when_ci_starts(image)
    status = await scenario.then_it_ends(Outcome.refused)
    for word in words:
        assert word in status.reason
    assert scenario.team.remote.head() == head
    assert {name: len(scenario.done(name)) for name in WRITES} == before
    return status


MISTAKES = [
    pytest.param("promotion.yaml", "gates:", "gate:", ("promotion.yaml:14", "spec.gate", "gates"), id="an unknown key"),
    pytest.param("promotion.yaml", "quorum: 1", "quorum: one", ("promotion.yaml", "quorum"), id="a wrong type"),
    pytest.param("taskdef.yaml", "    image: ", "    picture: ", ("taskdef.yaml", "image"), id="a field that is missing"),
    pytest.param(
        "taskdef.yaml",
        "    image: ",
        "    image: [] # ",
        ("taskdef.yaml", "containerDefinitions[0].image", "a text"),
        id="a field that is no scalar",
    ),
    pytest.param("app.pipecd.yaml", "yamlField:", "jsonField:", ("app.pipecd.yaml", "jsonField"), id="a jsonField"),
    pytest.param("app.pipecd.yaml", "yamlField:", "HCLField:", ("app.pipecd.yaml", "HCLField"), id="an HCLField"),
]


@pytest.mark.parametrize(("file", "old", "new", "words"), MISTAKES)
async def test_given_a_mistake_in_a_file_when_a_promotion_starts_then_it_is_refused_with_the_place(
    scenario: Scenario, good_image: str, file: str, old: str, new: str, words: tuple[str, ...]
) -> None:
    scenario.given_its_file(file, old, new)
    await assert_refused(scenario, good_image, *words)


async def test_given_an_image_that_is_not_there_when_a_promotion_starts_then_it_is_refused_by_name(
    scenario: Scenario, good_image: str
) -> None:
    await assert_refused(scenario, f"{good_image.rpartition('@')[0]}@{ABSENT}", ABSENT)


async def test_given_a_repository_that_is_not_on_the_list_when_a_promotion_starts_then_it_is_refused(
    scenario: Scenario, good_image: str
) -> None:
    await scenario.when_ci_starts(good_image, repository="https://example.com/others/apps.git")
    status = await scenario.then_it_ends(Outcome.refused)
    assert "SLIPWAY_REPOSITORIES" in status.reason


async def test_given_somebody_who_is_not_listed_when_they_approve_then_they_are_refused_and_it_waits_on(
    scenario: Scenario, good_image: str
) -> None:
    await scenario.when_ci_starts(good_image)
    status = await scenario.until_stage(StageName.approval, StageState.waiting)
    done = scenario.crew.slipway("approve", scenario.handle.id, "--by", "zoe", "--evidence", str(status.evidence))
    assert done.returncode != 0
    assert "zoe" in done.stderr
    assert "ana" in done.stderr
    await scenario.until_stage(StageName.approval, StageState.waiting)
    assert not scenario.done("sagemaker.UpdateModelPackage")


async def test_given_a_target_that_is_updating_when_the_rollout_looks_then_nothing_is_changed_until_it_rests(
    scenario: Scenario, good_image: str, inaccurate_image: str
) -> None:
    await scenario.given_lenient_gates().given_a_champion(good_image)
    await scenario.when_ci_starts(inaccurate_image)
    await scenario.until_stage(StageName.approval, StageState.waiting)
    update_by_somebody_else(scenario)
    await scenario.when_ana_approves()
    parked = await scenario.until_stage(StageName.rollout, StageState.parked)
    assert parked.waiting_for
    assert parked.waiting_for.failure
    assert "Updating" in parked.waiting_for.failure.answered
    assert len(scenario.done("sagemaker.CreateModel")) == 1
    await scenario.when_an_operator_says("abort")
    await scenario.then_it_ends(Outcome.aborted)


def update_by_somebody_else(scenario: Scenario) -> None:
    """A colleague starts an update of the endpoint by hand that takes a while."""
    sagemaker = scenario.team.client("sagemaker")
    config = sagemaker.describe_endpoint(EndpointName=scenario.team.endpoint)["EndpointConfigName"]
    variants = sagemaker.describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"]
    sagemaker.create_endpoint_config(EndpointConfigName="by-hand", ProductionVariants=variants)
    sagemaker.update_endpoint(
        EndpointName=scenario.team.endpoint,
        EndpointConfigName="by-hand",
        DeploymentConfig={
            "BlueGreenUpdatePolicy": {
                "TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0},
                "TerminationWaitInSeconds": 3600,
                "MaximumExecutionTimeoutInSeconds": 28800,
            }
        },
    )


@pytest.mark.parametrize("image", ["not an image", "111111111111.dkr.ecr.us-east-1.amazonaws.com/x@sha256:short"])
def test_given_an_image_that_cannot_be_one_when_it_is_started_then_the_command_refuses_it(scenario: Scenario, image: str) -> None:
    done = scenario.crew.slipway(
        "start",
        "--repository",
        scenario.team.remote.url,
        "--branch",
        BRANCH,
        "--folder",
        FOLDER,
        "--image",
        image,
        "--commit",
        COMMIT,
    )
    assert done.returncode == 2
    assert image in done.stderr
