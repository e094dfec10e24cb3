"""Promotions to another instance type, on an endpoint that is scaled automatically."""

from __future__ import annotations

from typing import Any

import pytest

from demo.story import with_traffic
from slipway.api import Outcome, StageName, StageState
from tests.support.scaling import LARGER, LIVE, Scaling
from tests.support.scenario import Scenario

pytestmark = pytest.mark.timeout(300)
EFFECTS = (
    ("application-autoscaling", "DeregisterScalableTarget"),
    ("sagemaker", "UpdateEndpoint"),
    ("application-autoscaling", "RegisterScalableTarget"),
    ("application-autoscaling", "PutScalingPolicy"),
    ("application-autoscaling", "PutScheduledAction"),
)


async def test_given_workers_killed_right_after_each_effect_when_others_take_over_then_it_is_scaled_as_before(
    scenario: Scenario, good_image: str, inaccurate_image: str
) -> None:
    await scenario.given_lenient_gates().given_a_champion(good_image)
    scaling = Scaling(scenario.team)
    before = scaling.described()
    scenario.given_its_file("promotion.yaml", LIVE, LARGER)
    await scenario.when_ci_starts(inaccurate_image)
    await scenario.until_stage(StageName.approval, StageState.waiting)
    await scenario.when_the_worker_is_killed_after_each(EFFECTS, scenario.when_ana_approves)
    await scenario.then_it_ends(Outcome.promoted)
    assert scaling.described() == before
    assert scaling.variant() == (LARGER, 6)
    assert {name: len(scenario.done(f"{service}.{name}")) for service, name in EFFECTS} == {
        "DeregisterScalableTarget": 1,
        "UpdateEndpoint": 1,
        # And by the one who set it up.
        "RegisterScalableTarget": 2,
        "PutScalingPolicy": 2,
        "PutScheduledAction": 2,
    }


async def test_given_a_model_that_fails_on_the_larger_instances_when_it_goes_back_then_the_former_ones_are_scaled(
    scenario: Scenario, good_image: str, faulty_image: str
) -> None:
    await scenario.given_a_champion(good_image)
    scaling = Scaling(scenario.team)
    before: dict[str, Any] = scaling.described()
    scenario.given_its_file("promotion.yaml", LIVE, LARGER)
    await scenario.when_ci_starts(faulty_image)
    await scenario.when_ana_approves()
    status, _, _ = await with_traffic(scenario.team, scenario.then_it_ends(Outcome.rolled_back))
    assert scaling.described() == before
    assert scaling.variant() == (LIVE, 6)
    [entry] = [entry for entry in status.ledger if entry.stage is StageName.rollout]
    assert "it is scaled automatically as before" in entry.note
