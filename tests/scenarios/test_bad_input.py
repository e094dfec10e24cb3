"""Bad input is refused before anything changes, and the message says what to do."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from demo.oci_layout import BuiltImage
from demo.stack import Stack
from demo.team import FOLDER
from slipway.api import Outcome, PromotionStatus, StageName, StageState
from tests.support.scenario import Scenario

pytestmark = pytest.mark.timeout(300)

FILES = ("app.pipecd.yaml", "promotion.yaml", "taskdef.yaml")
WRITES = (
    "registry.PutManifest",
    "ecs.RegisterTaskDefinition",
    "ecs.RunTask",
    "sagemaker.UpdateModelPackage",
    "sagemaker.CreateModel",
    "sagemaker.CreateEndpoint",
)


@pytest.fixture(scope="module")
def shared(stack: Stack, model_image: BuiltImage) -> Iterator[Scenario]:
    """One team and worker for all that is refused: it leaves no trace, as each test shows."""
    scenario = Scenario(stack, model_image).given_a_team()
    with scenario:
        yield scenario


@pytest.fixture
def errant(shared: Scenario) -> Iterator[Scenario]:
    """The shared team, which restores its files when the test is over."""
    remote, paths = shared.team.remote, [f"{FOLDER}/{name}" for name in FILES]
    files = {path: remote.read(path) for path in paths}
    yield shared
    changed = {path: text for path, text in files.items() if remote.read(path) != text}
    if changed:
        remote.commit_files(changed, "Restore the files")


@pytest.fixture
def absent_image(errant: Scenario) -> str:
    """An image that nobody has pushed, and no other test names."""
    return f"{errant.team.spec.spec.image.source}@sha256:{secrets.token_hex(32)}"


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
    errant: Scenario, absent_image: str, file: str, old: str, new: str, words: tuple[str, ...]
) -> None:
    errant.given_its_file(file, old, new)
    await assert_refused(errant, absent_image, *words)


async def test_given_an_image_that_is_not_there_when_a_promotion_starts_then_it_is_refused_by_name(
    errant: Scenario, absent_image: str
) -> None:
    await assert_refused(errant, absent_image, absent_image.rpartition("@")[2])


async def test_given_a_repository_that_is_not_on_the_list_when_a_promotion_starts_then_it_is_refused(
    errant: Scenario, absent_image: str
) -> None:
    await errant.when_ci_starts(absent_image, repository="https://example.com/others/apps.git")
    status = await errant.then_it_ends(Outcome.refused)
    assert "SLIPWAY_REPOSITORIES" in status.reason


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
