"""A model that is replaced after people looked at the evidence is not served."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from slipway.api import Evidence, Outcome, StageName, StageState
from tests.support.scenario import Scenario

pytestmark = pytest.mark.timeout(240)


async def test_given_a_model_file_that_was_replaced_while_it_waited_when_it_is_approved_then_it_parks_and_asks_again(
    scenario: Scenario, good_image: str
) -> None:
    await scenario.when_ci_starts(good_image)
    shown = await scenario.until_stage(StageName.approval, StageState.waiting)
    evidence = await scenario.handle.query("evidence", result_type=Evidence)
    replace(scenario, evidence)
    await scenario.when_ana_approves()
    parked = await scenario.until_stage(StageName.rollout, StageState.parked)
    assert parked.waiting_for
    assert parked.waiting_for.failure
    assert "was replaced" in parked.waiting_for.failure.answered
    assert not scenario.done("sagemaker.CreateModel")
    assert not scenario.done("sagemaker.CreateEndpoint")
    await scenario.when_an_operator_says("retry")
    asked = await scenario.until_stage(StageName.rollout, StageState.waiting)
    assert asked.evidence != shown.evidence
    await scenario.when_an_operator_says("abort")
    await scenario.then_it_ends(Outcome.aborted)
    assert [package["ModelApprovalStatus"] for package in scenario.packages()] == ["Rejected"]


def replace(scenario: Scenario, evidence: Evidence) -> None:
    """Somebody with the pipeline's rights on the bucket puts another file in the model's place."""
    place = urlsplit(evidence.containers[0].artifacts[0].uri)
    scenario.team.client("s3").put_object(Bucket=place.netloc, Key=place.path.lstrip("/"), Body=b"another model")
