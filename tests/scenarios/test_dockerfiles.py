"""The sample's real Dockerfiles, built with buildah, and promoted."""

from __future__ import annotations

import json
import tarfile
from typing import Any

import pytest

from demo.buildah import build_images, why_not
from demo.oci_layout import BuiltImage
from demo.team import ROOT
from slipway.api import Outcome
from tests.support.scenario import Scenario

# The first build downloads the SageMaker SDK.
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="session")
def built() -> dict[str, BuiltImage]:
    """Both images, as their Dockerfiles make them."""
    if reason := why_not():
        pytest.skip(reason)
    return build_images(ROOT)


@pytest.fixture(scope="session")
def model_image(built: dict[str, BuiltImage]) -> BuiltImage:
    """What the team of these scenarios has in its registry, in place of the builder's."""
    return built["model"]


@pytest.fixture
def pipeline_image(scenario: Scenario, built: dict[str, BuiltImage]) -> str:
    """The pipeline image, pushed by CI."""
    return scenario.team.push_pipeline_image(built["pipeline"], "dockerfile")


def files_of(image: BuiltImage, below: str) -> dict[str, int]:
    """Path and size of every file below a folder of an image."""
    found: dict[str, int] = {}
    for layer in image.layers:
        with tarfile.open(image.blob(layer.digest)) as members:
            found |= {one.name: one.size for one in members if one.isfile() and one.name.startswith(below)}
    return found


def config_of(image: BuiltImage) -> dict[str, Any]:
    """What a container of an image is started with."""
    return json.loads(image.blob(image.config.digest).read_text())["config"]


async def test_given_the_images_of_the_dockerfiles_when_one_is_promoted_then_its_model_answers(
    scenario: Scenario, pipeline_image: str
) -> None:
    await scenario.when_ci_starts(pipeline_image)
    await scenario.when_ana_approves()
    await scenario.then_it_ends(Outcome.promoted)
    assert json.loads(scenario.team.invoke()["body"])["predictions"][0]["label"] == "malignant"


def test_given_the_pipeline_image_when_measured_then_its_packages_are_small_and_without_the_sdk(
    built: dict[str, BuiltImage],
) -> None:
    packages = files_of(built["pipeline"], "opt/packages/")
    assert 0 < sum(packages.values()) <= 15_000_000
    assert not any("/sagemaker/" in path and "botocore/data" not in path for path in packages)


def test_given_the_pipeline_image_when_inspected_then_it_is_no_roots_and_has_its_definition(built: dict[str, BuiltImage]) -> None:
    config = config_of(built["pipeline"])
    assert (config["User"], config["Entrypoint"]) == ("10001:10001", ["python3", "/app/run_pipeline.py"])
    assert set(files_of(built["pipeline"], "app/")) == {"app/definition.json", "app/run_pipeline.py"}


def test_given_the_model_image_when_inspected_then_it_keeps_sagemakers_contract(built: dict[str, BuiltImage]) -> None:
    assert config_of(built["model"])["Labels"]["com.amazonaws.sagemaker.capabilities.accept-bind-to-port"] == "true"
    assert {"opt/program/bin/train", "opt/program/bin/serve"} <= set(files_of(built["model"], "opt/program/"))
