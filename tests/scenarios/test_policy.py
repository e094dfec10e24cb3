"""Who may push to one branch or folder of an allowed repository cannot put a model into another's production."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from uuid import uuid4

import pytest
from temporalio.client import ActivityFailureError
from temporalio.common import RetryPolicy

from activities.endpoints.activities import EndpointActivities
from activities.endpoints.messages import EndpointPlan, PlanRollout
from activities.endpoints.plan import plan_rollout
from activities.origin import Origin
from demo.images import build_pipeline_image
from demo.oci_layout import BuiltImage
from demo.remote import BRANCH
from demo.stack import Stack
from demo.team import FOLDER, ROOT
from slipway.api import (
    TASK_QUEUE,
    AppRef,
    LedgerState,
    ModelPackage,
    Outcome,
    PromotionRequest,
    PromotionStatus,
    StageName,
    StageState,
)
from tests.support.owned import NEIGHBOUR, OwnedScenario
from tests.support.scenario import Scenario, effects
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(240)
MALLORY = "feature/mallory"
FILES = ("promotion.yaml", "app.pipecd.yaml", "taskdef.yaml", "smoke/request.json")


def given_a_neighbour_who_names_the_teams_endpoint(scenario: Scenario) -> None:
    """A folder beside the team's, where the gates alone decide and the target is the team's own endpoint."""
    remote = scenario.team.remote
    files = {f"{NEIGHBOUR}/{name}": remote.read(f"{FOLDER}/{name}") for name in FILES}
    spec = f"{NEIGHBOUR}/promotion.yaml"
    remote.commit_files({**files, spec: files[spec].replace("mode: manual", "mode: auto")}, "Add spam")


def given_a_branch_where_nobody_has_to_approve(scenario: Scenario) -> None:
    """A branch that anybody may push to."""
    scenario.given_its_file("promotion.yaml", "mode: manual", "mode: auto")
    subprocess.run(["git", "branch", MALLORY, BRANCH], cwd=scenario.team.remote.path, check=True)
    scenario.given_its_file("promotion.yaml", "mode: auto", "mode: manual")


@pytest.fixture
def owned(stack: Stack, model_image: BuiltImage) -> Iterator[OwnedScenario]:
    """A worker with a policy."""
    scenario = OwnedScenario(stack, model_image)
    with scenario:
        yield scenario


async def test_given_a_branch_that_the_starter_picked_when_it_is_promoted_from_then_it_is_refused_before_any_effect(
    scenario: Scenario, good_image: str
) -> None:
    given_a_branch_where_nobody_has_to_approve(scenario)
    before = effects(scenario)
    await scenario.when_ci_starts(good_image, branch=MALLORY)
    status = await scenario.then_it_ends(Outcome.refused)
    assert "only main is on the worker's list" in status.reason
    assert f"@{MALLORY} to SLIPWAY_REPOSITORIES" in status.reason
    assert effects(scenario) == before


async def test_given_a_neighbour_when_it_names_the_teams_endpoint_then_it_is_refused_before_any_effect(
    owned: OwnedScenario,
) -> None:
    given_a_neighbour_who_names_the_teams_endpoint(owned)
    before = effects(owned)
    image = f"{owned.team.spec.spec.image.source}@sha256:{'0' * 64}"
    await owned.when_ci_starts(image, folder=NEIGHBOUR)
    status = await owned.then_it_ends(Outcome.refused)
    for told in (
        f"targets[0].endpoint is {owned.team.endpoint}; the policy's endpoints are spam-*",
        "packageGroup is screening; the policy's packageGroups are spam",
        "taskdef.yaml: family is screening-pipeline; the policy's families are spam-*",
        "role/screening-endpoint; the policy's roles are",
    ):
        assert told in status.reason
    assert effects(owned) == before
    owned.given_the_policy(folder="elsewhere")
    await owned.when_ci_starts(image)
    status = await owned.then_it_ends(Outcome.refused)
    assert f"branch: main, folder: {FOLDER}" in status.reason
    assert effects(owned) == before


async def test_given_a_policy_that_is_narrowed_while_people_decide_then_nothing_is_changed_and_what_was_done_is_undone(
    owned: OwnedScenario,
) -> None:
    image = await asyncio.to_thread(owned.team.push_pipeline_image, build_pipeline_image(ROOT), "good")
    await owned.when_ci_starts(image)
    await owned.until_stage(StageName.approval, StageState.waiting)
    owned.given_the_policy(endpoints=["other"])
    await owned.when_ana_approves()
    parked = await until(owned.handle, lambda status: waits_on(status, "endpoints are other"), "the narrowed policy")
    assert parked.waiting_for
    assert owned.done("sagemaker.UpdateModelPackage") == []
    await owned.when_an_operator_says("abort")
    status = await owned.then_it_ends(Outcome.aborted)
    assert {entry.stage: entry.state for entry in status.ledger}[StageName.taskdef] is LedgerState.undone
    assert {entry.stage: entry.state for entry in status.ledger}[StageName.approval] is LedgerState.undone
    assert [package["ModelApprovalStatus"] for package in owned.packages()] == ["Rejected"]


async def test_given_an_activity_that_somebody_starts_by_hand_then_it_changes_nothing(owned: OwnedScenario) -> None:
    given_a_neighbour_who_names_the_teams_endpoint(owned)
    spec = owned.team.spec.spec
    request = PromotionRequest(
        app=AppRef(repository=owned.team.remote.url, branch=BRANCH, folder=NEIGHBOUR),
        image=f"{spec.image.source}@sha256:{'0' * 64}",
    )
    arn = f"arn:aws:sagemaker:us-east-1:{owned.team.ml_account}:model-package/screening/1"
    asked = PlanRollout(
        promotion_id=request.promotion_id,
        package=ModelPackage(arn=arn, version=1, region="us-east-1"),
        target=spec.rollout.waves[0].targets[0],
        region="us-east-1",
        variant=spec.rollout.variant,
        strategy=spec.rollout.strategy,
        origin=Origin(request=request, commit=owned.team.remote.head()),
    )
    assert "no workflow asked for it" in await refusal_of(owned, plan_rollout(asked))
    assert owned.done("sagemaker.CreateModel") == []


async def refusal_of(owned: OwnedScenario, plan: EndpointPlan) -> str:
    """What an activity answers that is started without a workflow."""
    client = await owned.connect()
    with pytest.raises(ActivityFailureError) as failed:
        await client.execute_activity_method(
            EndpointActivities.prepare_endpoint,
            plan,
            id=f"by-hand-{uuid4()}",
            task_queue=TASK_QUEUE,
            start_to_close_timeout=timedelta(minutes=1),
            retry_policy=RetryPolicy(maximum_attempts=1),
        )
    return str(failed.value.cause)


def waits_on(status: PromotionStatus, words: str) -> bool:
    """Whether a promotion is parked because of an answer with these words."""
    failure = status.waiting_for.failure if status.waiting_for else None
    return failure is not None and words in failure.answered
