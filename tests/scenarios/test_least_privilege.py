"""Promotions under the policies of `deploy/iam`, where everybody acts as a role that may do no more than these allow."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from demo.images import BAD_COLUMNS, build_pipeline_image
from demo.oci_layout import BuiltImage
from demo.piped import Piped
from demo.stack import Stack
from demo.story import with_traffic
from demo.team import ROOT
from slipway.api import Outcome, PromotionStatus
from slipway.errors import FailureReport
from tests.support.forked import ForkingCrew
from tests.support.roles import CI, ENDPOINT, POLICIES, ROLLOUT, WORKER, Roles
from tests.support.scaling import LARGER, LIVE, Scaling
from tests.support.scenario import PATIENCE, Scenario
from tests.support.waiting import pause

pytestmark = pytest.mark.timeout(240)
TARGET = "{endpoint: screening-prod}"
DENIED = ("AccessDenied", "AccessDeniedException", "DENIED", "403")
"""How services, the registry and answers without a body say that access is denied."""


class BoundScenario(Scenario):
    """A team in whose accounts everybody acts as a role of `deploy/iam`, its worker and its CI, too."""

    def __init__(self, stack: Stack, model_image: BuiltImage) -> None:
        super().__init__(stack, model_image)
        self.given_a_team()
        self.roles = Roles(self.team)
        self.roles.create()
        self.crew = ForkingCrew(stack, self.team.ml_account, self.crew.namespace, self.roles.credentials(WORKER))
        self.given_its_file("promotion.yaml", TARGET, f"{TARGET[:-1]}, roleArn: '{self.roles.arn(ROLLOUT)}'}}")
        ecr = self.roles.client(CI, "ecr")
        self._prepared = len(stack.sandbox.calls())
        self.good_image = self.team.push_pipeline_image(build_pipeline_image(ROOT), "good", ecr)
        faulty = build_pipeline_image(ROOT, BAD_COLUMNS, "pipeline-bad-rollout")
        self.faulty_image = self.team.push_pipeline_image(faulty, "faulty", ecr)

    def calls(self) -> list[dict[str, Any]]:
        """The calls in the team's accounts since all was prepared, but for those of the endpoint's clients and its owner."""
        ours = (self.team.ci_account, self.team.ml_account)
        made = self.stack.sandbox.calls()[self._prepared :]
        owner = f"arn:aws:iam::{self.team.ml_account}:root"
        return [call for call in made if call["account"] in ours and call["principal"] != owner]

    async def until_refused(self, words: str) -> FailureReport:
        """Wait until the promotion waits for an operator because of an answer with these words."""
        begun = time.monotonic()
        while True:
            status = await self.handle.query("status", result_type=PromotionStatus)
            failure = status.waiting_for.failure if status.waiting_for else None
            if failure and words in failure.answered:
                return failure
            assert status.outcome is None, f"it ended instead of waiting because of {words!r}: {status.reason}"
            assert time.monotonic() < begun + PATIENCE, f"timeout after {PATIENCE:.0f} s waiting for {words!r}: {failure}"
            await pause(begun)


def role_of(principal: str) -> str:
    """The role of a session's principal; other principals unchanged."""
    return principal.split("/")[1] if ":assumed-role/" in principal else principal


@pytest.fixture
def bound(stack: Stack, model_image: BuiltImage) -> Iterator[BoundScenario]:
    """Everybody acts as a role of `deploy/iam`."""
    scenario = BoundScenario(stack, model_image)
    with scenario:
        yield scenario


async def test_given_only_the_sample_policies_when_images_are_promoted_and_rolled_back_then_nobody_needs_more(
    bound: BoundScenario,
) -> None:
    await bound.given_a_champion(bound.good_image)
    scaling = Scaling(bound.team)
    before = scaling.described()
    bound.given_its_file("promotion.yaml", LIVE, LARGER)
    assert (await bound.planned(bound.faulty_image)).rollout[0].rescales
    await bound.when_ci_starts(bound.faulty_image)
    await bound.when_ana_approves()
    await with_traffic(bound.team, bound.then_it_ends(Outcome.rolled_back))
    calls = bound.calls()
    assert [call for call in calls if call["error"] in DENIED] == []
    assert {role_of(call["principal"]) for call in calls} == {*POLICIES}
    assert scaling.described() == before
    assert {call["operation"] for call in calls} > {"DeregisterScalableTarget", "RegisterScalableTarget"}


async def test_given_a_worker_that_may_run_no_task_when_piped_runs_it_then_an_image_is_promoted(bound: BoundScenario) -> None:
    of_a_launch = ("RunThePipelineTask", "RegisterTaskDefinitions", "TagWhatItRegistersAndRuns", "HandTheTaskItsRoles")
    bound.roles.take_away(WORKER, *of_a_launch)
    bound.given_that_piped_runs_the_task()
    with Piped(bound.team):
        await bound.when_ci_starts(bound.good_image)
        await bound.when_ana_approves()
        await bound.then_it_ends(Outcome.promoted)
    assert [call for call in bound.calls() if call["error"] in DENIED] == []


async def test_given_rights_that_are_missing_when_an_image_is_promoted_then_it_waits_for_each_of_them_and_goes_on(
    bound: BoundScenario,
) -> None:
    missing = {WORKER: "RunThePipelineTask", ROLLOUT: "HandSageMakerItsRole", ENDPOINT: "ReadTheModel"}
    for role, statement in missing.items():
        bound.roles.take_away(role, statement)
    await bound.when_ci_starts(bound.good_image)
    definition = f"arn:aws:ecs:us-east-1:{bound.team.ml_account}:task-definition/screening-pipeline:1"
    told = await bound.until_refused(f"is not authorized to perform: ecs:RunTask on resource: {definition}")
    assert told.remedy == "allow ecs:RunTask to the role that it names, then retry"
    bound.roles.give_back(WORKER)
    await bound.when_an_operator_says("retry")
    await bound.when_ana_approves()
    told = await bound.until_refused(f"is not authorized to perform: iam:PassRole on resource: {bound.roles.arn(ENDPOINT)}")
    assert told.remedy == "allow iam:PassRole to the role that it names, then retry"
    bound.roles.give_back(ROLLOUT)
    await bound.when_an_operator_says("retry")
    await bound.until_refused("the role passed to CreateModel has permissions to download the object")
    bound.roles.give_back(ENDPOINT)
    await bound.when_an_operator_says("retry")
    await bound.then_it_ends(Outcome.promoted)
