"""A team whose CI pushes to a registry that is not ECR."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.images import build_pipeline_image, upload_file
from demo.oci_layout import MANIFEST, BuiltImage
from demo.stack import Stack
from demo.team import ROOT
from slipway.api import Outcome, StageName
from tests.support.forked import ForkingCrew
from tests.support.oci_registry import OtherRegistry, run_registry
from tests.support.scenario import Scenario

pytestmark = pytest.mark.timeout(600)
"""The registry's program is built first on a machine that has none."""


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[OtherRegistry]:
    with run_registry(tmp_path) as running:
        yield running


@pytest.fixture
def elsewhere(stack: Stack, model_image: BuiltImage, registry: OtherRegistry, tmp_path: Path) -> Iterator[Scenario]:
    """A team whose spec names the registry, and a worker whose Docker config has its login."""
    (tmp_path / "config.json").write_text(json.dumps(registry.login()))
    scenario = Scenario(stack, model_image).given_a_team()
    scenario.crew = ForkingCrew(stack, scenario.team.ml_account, scenario.crew.namespace, {"DOCKER_CONFIG": str(tmp_path)})
    source = scenario.team.spec.spec.image.source
    scenario.given_its_file("promotion.yaml", f"source: {source}", f"source: {registry.host}/acme/screening")
    with scenario:
        yield scenario


async def test_given_an_image_on_another_registry_when_it_is_started_then_it_is_promoted(
    elsewhere: Scenario, registry: OtherRegistry
) -> None:
    image = build_pipeline_image(ROOT)
    async with registry.open() as client:
        for blob in (image.config, *image.layers):
            await upload_file(client, "acme/screening", blob.digest, image.blob(blob.digest))
        digest = await client.put_manifest("acme/screening", "v1", image.manifest, MANIFEST)
    await elsewhere.when_ci_starts(f"{registry.host}/acme/screening@{digest}")
    await elsewhere.when_ana_approves()
    status = await elsewhere.then_it_ends(Outcome.promoted)
    summary = next(stage.summary for stage in status.stages if stage.name is StageName.image)
    blobs = len(image.layers) + 1
    assert summary == f"in {elsewhere.team.spec.spec.image.target}, {blobs} of {blobs} blobs copied"
