"""The servers once per test process; a team, a worker and a namespace for each scenario."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.images import BAD_ACCURACY, BAD_COLUMNS, build_pipeline_image
from demo.oci_layout import BuiltImage
from demo.stack import Stack
from demo.team import ROOT
from demo.temporal import TemporalServer
from tests.support.images import light_model_image
from tests.support.scenario import Scenario
from tests.support.servers import StackOnServer

ENDLESS = {"maxIterations": 1_000_000_000}


@pytest.hookimpl(tryfirst=True)  # before pytest leaves out what was not asked for
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole promotions are slow. `make test` runs those that show how a promotion ends, and CI runs all."""
    for item in items:
        if item.path.parent == Path(__file__).parent and item.path.name != "test_endings.py":
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def stack(temporal: TemporalServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A local AWS in which ten minutes pass in a second, beside the Temporal server of the test process."""
    with StackOnServer(tmp_path_factory.mktemp("stack"), temporal, time_scale=600) as servers:
        yield servers
    # These are tens of thousands of files. Pytest would keep them for three runs, and then one process would delete them all.
    shutil.rmtree(servers.folder / "aws" / "images")


@pytest.fixture(scope="session")
def model_image() -> BuiltImage:
    """The sample's model image, made lighter: every scenario pushes, unpacks and runs it."""
    return light_model_image()


@pytest.fixture
def scenario(stack: Stack, model_image: BuiltImage) -> Iterator[Scenario]:
    """A team that has all it needs, and a worker that polls."""
    scenario = Scenario(stack, model_image).given_a_team()
    with scenario:
        yield scenario


@pytest.fixture
def good_image(scenario: Scenario) -> str:
    """A pipeline image that trains a good model, pushed by CI."""
    return scenario.team.push_pipeline_image(build_pipeline_image(ROOT), "good")


@pytest.fixture
def slow_image(scenario: Scenario) -> str:
    """A pipeline image that trains a model for as long as nobody stops it."""
    return scenario.team.push_pipeline_image(build_pipeline_image(ROOT, ENDLESS, "pipeline-endless"), "endless")


@pytest.fixture
def inaccurate_image(scenario: Scenario) -> str:
    """A pipeline image that trains a model which misses the gate."""
    return scenario.team.push_pipeline_image(build_pipeline_image(ROOT, BAD_ACCURACY, "pipeline-bad-accuracy"), "inaccurate")


@pytest.fixture
def faulty_image(scenario: Scenario) -> str:
    """A pipeline image that trains a model which fails on its clients' requests."""
    return scenario.team.push_pipeline_image(build_pipeline_image(ROOT, BAD_COLUMNS, "pipeline-bad-rollout"), "faulty")
