"""The sample as the demo has it, whose model is trained with scikit-learn; the other scenarios have a lighter one."""

from __future__ import annotations

import json

import pytest

from demo.images import build_model_image
from demo.oci_layout import BuiltImage
from demo.team import ROOT
from slipway.api import Outcome
from tests.support.scenario import Scenario

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="session")
def model_image() -> BuiltImage:
    """The image that the team has in its registry, in place of the lighter one."""
    return build_model_image(ROOT)


async def test_given_a_good_image_when_it_is_approved_then_the_endpoint_answers_with_its_model(
    scenario: Scenario, good_image: str
) -> None:
    await scenario.when_ci_starts(good_image)
    await scenario.when_ana_approves()
    status = await scenario.then_it_ends(Outcome.promoted)
    assert status.endpoints[-1].package == status.package
    assert json.loads(scenario.team.invoke()["body"])["predictions"][0]["label"] == "malignant"
