"""`slipway plan`: a worker's plan as text, Markdown and JSON."""

from __future__ import annotations

import pytest

from slipway.api import TaskdefCommit
from slipway.app.gates import GateBar
from slipway.differences import FieldChange
from slipway.findings import Finding, Level
from slipway.plan import (
    ApprovalPlan,
    ImageAction,
    ImagePlan,
    PipelinePlan,
    PromotionPlan,
    RevisionAction,
    TargetAction,
    TargetPlan,
    TaskdefPlan,
    TaskPlan,
)
from slipway.plan_view import as_markdown, as_text
from tests.support.shell import Done, Shell
from tests.support.world import COMMIT, SOURCE, TARGET, World, request

ASKED = request()
REFUSED = Finding(
    level=Level.refuse,
    what="there is no alarm `x` | <b> in us-east-1",
    where="promotion.yaml: spec.rollout.strategy.alarms",
    why="it takes a bad model back",
    remedy="create it in the target's account and region, then retry",
    statement='{"Effect": "Allow"}',
)


def given_a_plan(world: World, *findings: Finding) -> PromotionPlan:
    """A plan with something in each stage."""
    arn = "arn:aws:ecs:us-east-1:222222222222:task-definition/screening"
    file = TaskdefCommit(commit=COMMIT, changed=True, file="taskdef.yaml", before=f"{TARGET}:old", after=f"{TARGET}@sha256:1")
    world.plan = PromotionPlan(
        promotion=ASKED.promotion_id,
        app=ASKED.app,
        asked_image=ASKED.image,
        ref="refs/pull/12/merge",
        commit=COMMIT,
        image=ImagePlan(source=SOURCE, target=f"{TARGET}@sha256:1", action=ImageAction.copy_it, tag="slipway-1"),
        taskdef=TaskdefPlan(writer="slipway", files=(file,), message="Run the image"),
        task=TaskPlan(
            family="screening",
            cluster="ml",
            region="us-east-1",
            action=RevisionAction.register,
            live=f"{arn}:6",
            changes=(FieldChange(field="memory", live="512", after="1024"),),
        ),
        pipeline=PipelinePlan(pipeline="screening-training", package_group="screening"),
        approval=ApprovalPlan(
            mode="manual", approvers=("ana",), gates=(GateBar(metric="auc", rule="min 0.9", message="must be at least 0.9"),)
        ),
        rollout=(
            TargetPlan(
                endpoint="screening-prod",
                region="us-east-1",
                wave=1,
                action=TargetAction.update,
                champion="arn:3",
                rollout="wave 1 of 1: all traffic at once",
                changes=(FieldChange(field="ModelName", live="```", after="(a new model)"),),
            ),
        ),
        findings=findings,
        would_go=not findings,
    )
    return world.plan


async def planned(shell: Shell, *options: str) -> Done:
    app = ASKED.app
    where = ("--repository", app.repository, "--folder", app.folder, "--ref", "refs/pull/12/merge")
    return await shell.slipway("plan", *where, "--image", ASKED.image, *options)


async def test_given_a_promotion_that_would_go_when_it_is_planned_then_each_stage_is_shown(shell: Shell, world: World) -> None:
    given_a_plan(world)
    ran = await planned(shell)
    assert ran.code == 0, ran.err
    for said in (
        f"{ASKED.promotion_id} would go on until people decide",
        "on refs/pull/12/merge at cccccccccccc",
        f"1 image     copy to {TARGET}",
        "2 taskdef   commit and push: Run the image",
        "3 task      register a new revision of screening (the newest now is",
        "            memory: 512 → 1024",
        "            auc: must be at least 0.9",
        "6 rollout   update screening-prod (us-east-1), which serves arn:3",
    ):
        assert said in ran.out
    [asked] = world.asked("plan_promotion")
    assert (asked.ref, asked.request.image) == ("refs/pull/12/merge", ASKED.image)


async def test_given_a_promotion_that_would_be_refused_when_it_is_planned_then_the_command_exits_with_2(
    shell: Shell, world: World
) -> None:
    plan = given_a_plan(world, REFUSED)
    ran = await planned(shell, "--json")
    assert ran.code == 2
    assert ran.lines == [plan.model_dump(mode="json")]
    assert "would be refused: 1 finding to fix first" in (await planned(shell)).out


@pytest.mark.parametrize("options", [("--ref", "refs/remotes/origin/main"), ("--json", "--markdown")])
async def test_given_options_that_are_not_allowed_when_it_is_planned_then_nothing_is_asked(
    shell: Shell, world: World, options: tuple[str, ...]
) -> None:
    ran = await shell.slipway("plan", "--repository", ASKED.app.repository, "--image", ASKED.image, *options)
    assert ran.code == 2
    assert world.names == []


def test_given_a_plan_when_it_is_shown_on_a_terminal_then_no_line_but_names_is_longer_than_80_columns(world: World) -> None:
    lines = as_text(given_a_plan(world, REFUSED)).splitlines()
    assert [line for line in lines if len(line) > 80 and " " in line.strip()[:60]] == []


def test_given_marks_of_markdown_in_a_plan_when_it_is_a_comment_then_none_has_an_effect(world: World) -> None:
    page = as_markdown(given_a_plan(world, REFUSED))
    assert page.startswith("### ❌ ")
    assert r"there is no alarm \`x\` \| \<b\> in us-east-1" in page
    assert "````diff\n  ModelName\n- ```\n+ (a new model)\n````" in page
