"""Secrets that the worker holds are in nothing that it writes: histories, logs, errors, and what commands print."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from uuid import uuid4

import pytest

from demo.images import build_pipeline_image
from demo.oci_layout import BuiltImage
from demo.stack import Stack
from demo.team import ROOT
from slipway.api import Outcome, StageName, StageState
from tests.support.forked import ForkingCrew
from tests.support.keys import Keyring
from tests.support.scenario import Scenario

pytestmark = pytest.mark.timeout(240)


class Holding(Scenario):
    """A team whose worker holds secrets of every kind that it knows."""

    def __init__(self, stack: Stack, model_image: BuiltImage) -> None:
        super().__init__(stack, model_image)
        self.folder = stack.folder / f"crew-{self.crew.namespace}"
        key = Keyring(self.folder / "keys").path("slipway")
        login = f"planted-{uuid4().hex}"
        docker = self.folder / "docker"
        docker.mkdir()
        auth = base64.b64encode(f"robot:{login}".encode()).decode()
        (docker / "config.json").write_text(json.dumps({"auths": {"registry.example.org": {"auth": auth}}}))
        self.planted = {
            "AWS_SECRET_ACCESS_KEY": f"planted-{uuid4().hex}",
            "TEMPORAL_API_KEY_OF_OTHERS": f"planted-{uuid4().hex}",
        }
        self.secrets = [*self.planted.values(), login, auth, key.read_text().splitlines()[2]]
        settings = {"DOCKER_CONFIG": str(docker), "SLIPWAY_GIT_SIGNING_KEY": str(key)}
        self.crew = ForkingCrew(stack, self.team.ml_account, self.crew.namespace, credentials=self.planted | settings)

    def found_in(self, text: str) -> list[str]:
        """The secrets that a text has."""
        return [secret for secret in self.secrets if secret in text]


@pytest.fixture
def holding(stack: Stack, model_image: BuiltImage) -> Iterator[Holding]:
    scenario = Holding(stack, model_image)
    scenario.given_a_team()
    with scenario:
        yield scenario


async def test_given_a_worker_with_secrets_when_a_promotion_parks_and_is_aborted_then_they_are_in_nothing_that_is_written(
    holding: Holding,
) -> None:
    image = await asyncio.to_thread(holding.team.push_pipeline_image, build_pipeline_image(ROOT), "good")
    holding.team.remove_data()
    await holding.when_ci_starts(image)
    await holding.until_stage(StageName.task, StageState.parked)
    await holding.when_an_operator_says("abort")
    await holding.then_it_ends(Outcome.aborted)

    history = (await holding.handle.fetch_history()).to_json()
    printed = [holding.crew.slipway(command, holding.handle.id, "--json") for command in ("status", "evidence")]
    logs = [log.read_text(errors="replace") for log in holding.folder.glob("*.log")]

    assert logs
    assert holding.found_in(history) == []
    assert [found for done in printed for found in holding.found_in(done.stdout + done.stderr)] == []
    assert [found for log in logs for found in holding.found_in(log)] == []
