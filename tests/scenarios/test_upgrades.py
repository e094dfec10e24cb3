"""A worker is replaced while a promotion waits: by a newer one, and back by an older one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import pytest

from demo.stack import BINARIES
from demo.team import FOLDER
from slipway.api import LedgerState, Outcome, StageName, StageState
from tests.support.older import FIRST, FORMER, older_worker
from tests.support.scenario import Scenario

pytestmark = pytest.mark.timeout(300)
TODAYS = BINARIES / "slipway-worker"
TWO_WAVES = "- targets: [{endpoint: screening-staging}]\n      - soak: 5s\n        targets: [{endpoint: screening-prod}]"


@pytest.mark.parametrize("first", ["older", "todays"])
async def test_given_a_promotion_when_the_worker_is_replaced_at_each_wait_then_it_ends_as_if_it_was_not(
    scenario: Scenario, good_image: str, first: str
) -> None:
    """Parked, waiting for approval, soaking: at each wait the older worker hands over to today's, or takes over from it."""
    older = await asyncio.to_thread(older_worker, FORMER)
    workers: Iterator[Path] = cycle([older, TODAYS] if first == "older" else [TODAYS, older])
    await scenario.when_the_worker_is(next(workers))
    scenario.given_its_file("promotion.yaml", "- targets: [{endpoint: screening-prod}]", TWO_WAVES)
    scenario.team.remove_data()
    await scenario.when_ci_starts(good_image)

    await scenario.until_stage(StageName.task, StageState.parked)
    await scenario.when_the_worker_is(next(workers))
    scenario.team.upload_data()
    await scenario.when_an_operator_says("retry")

    await scenario.until_stage(StageName.approval, StageState.waiting)
    await scenario.when_the_worker_is(next(workers))
    await scenario.when_ana_approves()

    await scenario.until_summary(StageName.rollout, "wave 2 follows")
    await scenario.when_the_worker_is(next(workers))
    status = await scenario.then_it_ends(Outcome.promoted)

    assert [endpoint.endpoint for endpoint in status.endpoints] == ["screening-staging", "screening-prod"]
    assert len(scenario.commits()) == 1
    assert len(scenario.tasks()) == 2
    assert len(scenario.executions()) == 1
    assert len(scenario.done("sagemaker.CreateEndpoint")) == 2


async def test_given_a_promotion_of_the_first_release_when_todays_worker_takes_over_then_it_goes_on_and_is_undone(
    scenario: Scenario, good_image: str
) -> None:
    """Its commit does not say of which run it is. It is the promotion's own all the same, for the same release recorded it."""
    before = scenario.team.remote.read(f"{FOLDER}/taskdef.yaml")
    await scenario.when_the_worker_is(await asyncio.to_thread(older_worker, FIRST))
    scenario.team.remove_data()
    await scenario.when_ci_starts(good_image)
    await scenario.until_stage(StageName.task, StageState.parked)
    [message] = scenario.commits()
    assert "Slipway-Run:" not in message

    await scenario.when_the_worker_is(TODAYS)
    scenario.team.upload_data()
    await scenario.when_an_operator_says("retry")
    await scenario.until_stage(StageName.approval, StageState.waiting)
    await scenario.when_an_operator_says("abort")
    status = await scenario.then_it_ends(Outcome.aborted)

    assert {entry.stage: entry.state for entry in status.ledger}[StageName.taskdef] is LedgerState.undone
    assert scenario.team.remote.read(f"{FOLDER}/taskdef.yaml") == before
