"""Records the histories that `tests/upgrades/test_replay.py` replays: `make histories`.

Each is a promotion on real parts: the local AWS, git, Temporal and a worker of its own. Record only what is missing, or what no
promotion that runs anywhere was made with: `python -m tests.record_histories rejected expired` records these two.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, cast

from temporalio.client import WorkflowHistory

from demo.images import BAD_ACCURACY, BAD_COLUMNS, build_pipeline_image
from demo.piped import Piped
from demo.stack import Stack
from demo.story import with_traffic
from demo.team import ROOT
from slipway.api import Decision, Outcome, PromotionStatus, StageName, StageState
from slipway.temporal.start import send_update
from tests.support.images import light_model_image
from tests.support.owned import SignedScenario
from tests.support.scaling import LARGER, LIVE, Scaling
from tests.support.scenario import Scenario, hold_pushes
from tests.support.waiting import until, until_parked
from tests.support.watched import WatchedScenario

FOLDER = Path(__file__).parent / "histories"
Act = Callable[[Scenario], Awaitable[Outcome]]


async def good_image(scenario: Scenario) -> str:
    return await pushed(scenario, None, "pipeline")


async def pushed(scenario: Scenario, settings: Mapping[str, Any] | None, name: str) -> str:
    """A pipeline image, pushed by CI."""
    image = build_pipeline_image(ROOT, settings, name)
    return await asyncio.to_thread(scenario.team.push_pipeline_image, image, "recorded")


async def promoted(scenario: Scenario) -> Outcome:
    await scenario.when_ci_starts(await good_image(scenario))
    await scenario.when_ana_approves()
    return Outcome.promoted


async def promoted_in_two_waves(scenario: Scenario) -> Outcome:
    """A quorum of two, and a second wave that follows after a soak."""
    scenario.given_its_file("promotion.yaml", "quorum: 1", "quorum: 2")
    waves = "- targets: [{endpoint: screening-staging}]\n      - soak: 2s\n        targets: [{endpoint: screening-prod}]"
    scenario.given_its_file("promotion.yaml", "- targets: [{endpoint: screening-prod}]", waves)
    await scenario.when_ci_starts(await good_image(scenario))
    await scenario.when_ana_approves()
    await decide(scenario, "approve", "bo")
    return Outcome.promoted


async def parked_and_retried(scenario: Scenario) -> Outcome:
    scenario.team.remove_data()
    await scenario.when_ci_starts(await good_image(scenario))
    await scenario.until_stage(StageName.task, StageState.parked)
    scenario.team.upload_data()
    await scenario.when_an_operator_says("retry")
    await scenario.when_ana_approves()
    return Outcome.promoted


async def retried_with_piped(scenario: Scenario) -> Outcome:
    """The task, which piped runs, fails; piped runs it once more while the promotion waits for that."""
    scenario.team.leave_task_to_piped()
    with Piped(scenario.team) as piped:
        scenario.team.remove_data()
        await scenario.when_ci_starts(await good_image(scenario))
        await until_parked(scenario.handle, StageName.task)
        scenario.team.upload_data()
        await scenario.when_an_operator_says("retry")
        await asyncio.to_thread(piped.sync)
        await scenario.when_ana_approves()
    return Outcome.promoted


async def aborted_with_piped(scenario: Scenario) -> Outcome:
    """Aborted while piped is waited for. What it has run is looked for then, and stopped."""
    scenario.team.leave_task_to_piped()
    await scenario.when_ci_starts(await good_image(scenario))
    await scenario.until(lambda: bool(scenario.done("ecs.ListTasks")), "a look for the task")
    await scenario.when_an_operator_says("abort")
    return Outcome.aborted


async def asked_again(scenario: Scenario) -> Outcome:
    """The approval cannot be set; until the operator retries, the evidence has changed, and a decision is wanted on it."""
    sandbox, account = scenario.stack.sandbox, scenario.team.ml_account
    denial = sandbox.plant_fault(
        "sagemaker", "UpdateModelPackage", "error", code="AccessDeniedException", message="not allowed", account=account
    )
    await scenario.when_ci_starts(await good_image(scenario))
    await scenario.when_ana_approves()
    parked = await scenario.until_stage(StageName.approval, StageState.parked)
    sandbox.remove_fault(denial)
    scenario.team.client("sagemaker").update_model_package(
        ModelPackageArn=parked.package, CustomerMetadataProperties={"rows": "570"}
    )
    await scenario.when_an_operator_says("retry")
    again = await scenario.until_stage(StageName.approval, StageState.waiting)
    assert again.evidence != parked.evidence, "the evidence is the same"
    await scenario.when_ana_approves()
    return Outcome.promoted


async def gate_corrected(scenario: Scenario) -> Outcome:
    """A gate's path is wrong; it is corrected on the deployment branch while the promotion is parked."""
    right, wrong = "binary_classification_metrics.accuracy.value", "binary_classification_metrics.acuracy.value"
    scenario.given_its_file("promotion.yaml", right, wrong)
    await scenario.when_ci_starts(await good_image(scenario))
    await scenario.until_stage(StageName.approval, StageState.parked)
    scenario.given_its_file("promotion.yaml", wrong, right)
    await scenario.when_an_operator_says("retry")
    await scenario.when_ana_approves()
    return Outcome.promoted


async def refused(scenario: Scenario) -> Outcome:
    await scenario.when_ci_starts(await pushed(scenario, BAD_ACCURACY, "pipeline-bad-accuracy"))
    return Outcome.refused


async def rejected(scenario: Scenario) -> Outcome:
    await scenario.when_ci_starts(await good_image(scenario))
    await decide(scenario, "reject", "bo")
    return Outcome.rejected


async def expired(scenario: Scenario) -> Outcome:
    scenario.given_its_file("promotion.yaml", "timeout: 72h}", "timeout: 10s}")
    await scenario.when_ci_starts(await good_image(scenario))
    return Outcome.expired


async def rolled_back(scenario: Scenario) -> Outcome:
    await scenario.given_a_champion(await good_image(scenario))
    await scenario.when_ci_starts(await pushed(scenario, BAD_COLUMNS, "pipeline-bad-rollout"))
    await scenario.when_ana_approves()
    await with_traffic(scenario.team, scenario.then_it_ends(Outcome.rolled_back))
    return Outcome.rolled_back


async def rescaled(scenario: Scenario) -> Outcome:
    """The instance type of an endpoint changes that is scaled automatically, and the new model fails under traffic."""
    await scenario.given_a_champion(await good_image(scenario))
    Scaling(scenario.team)
    scenario.given_its_file("promotion.yaml", LIVE, LARGER)
    await scenario.when_ci_starts(await pushed(scenario, BAD_COLUMNS, "pipeline-bad-rollout"))
    await scenario.when_ana_approves()
    await with_traffic(scenario.team, scenario.then_it_ends(Outcome.rolled_back))
    return Outcome.rolled_back


async def aborted_at_image(scenario: Scenario) -> Outcome:
    return await aborted_while_held(scenario, "ecr", "DescribeImages")


async def aborted_at_taskdef(scenario: Scenario) -> Outcome:
    gate = hold_pushes(scenario.team.remote.path)
    await scenario.when_ci_starts(await good_image(scenario))
    await scenario.until((scenario.team.remote.path / "pushed").exists, "the push")
    await scenario.when_an_operator_says("abort")
    gate.unlink()
    return Outcome.aborted


async def aborted_at_task(scenario: Scenario) -> Outcome:
    return await aborted_while_held(scenario, "ecs", "RunTask")


async def aborted_at_pipeline(scenario: Scenario) -> Outcome:
    await scenario.when_ci_starts(await good_image(scenario))
    await scenario.until_stage(StageName.pipeline, StageState.running)
    await scenario.when_an_operator_says("abort")
    return Outcome.aborted


async def aborted_at_approval(scenario: Scenario) -> Outcome:
    await scenario.when_ci_starts(await good_image(scenario))
    await scenario.until_stage(StageName.approval, StageState.waiting)
    await scenario.handle.signal("approve", {"by": "nobody"})
    await scenario.when_an_operator_says("abort")
    return Outcome.aborted


async def aborted_at_rollout(scenario: Scenario) -> Outcome:
    sandbox, account = scenario.stack.sandbox, scenario.team.ml_account
    held = sandbox.plant_fault("sagemaker", "CreateEndpoint", "hold-answer", account=account)
    await promoted(scenario)
    await scenario.until(lambda: sandbox.struck(held) > 0, "CreateEndpoint")
    await scenario.when_an_operator_says("abort")
    sandbox.remove_fault(held)
    return Outcome.aborted


async def cancelled_while_undoing(scenario: Scenario) -> Outcome:
    """Request Cancellation in the Temporal UI, twice: the second comes while the effects are being undone."""
    await scenario.when_ci_starts(await good_image(scenario))
    await scenario.until_stage(StageName.approval, StageState.waiting)
    gate = hold_pushes(scenario.team.remote.path)
    await scenario.handle.cancel()
    await scenario.until((scenario.team.remote.path / "pushed").exists, "the push of the revert")
    await scenario.handle.cancel()
    gate.unlink()
    return Outcome.aborted


async def parked_while_undoing(scenario: Scenario) -> Outcome:
    """A permission is missing on the way back. It is granted, and the operator retries."""
    sandbox, account = scenario.stack.sandbox, scenario.team.ml_account
    denied = {"code": "AccessDeniedException", "message": "not allowed", "account": account}
    denial = sandbox.plant_fault("sagemaker", "UpdateModelPackage", "error", **denied)
    await scenario.when_ci_starts(await good_image(scenario))
    await scenario.until_stage(StageName.approval, StageState.waiting)
    await scenario.when_an_operator_says("abort")
    await until(scenario.handle, lambda status: bool(status.waiting_for and status.waiting_for.failure), "the undoing to park")
    sandbox.remove_fault(denial)
    await scenario.when_an_operator_says("retry")
    return Outcome.aborted


async def signed_by_two(scenario: Scenario) -> Outcome:
    """Two approvers sign, and so does who says retry."""
    signing = who_signs(scenario)
    signing.team.remove_data()
    await signing.when_ci_starts(await good_image(signing))
    await signing.until_stage(StageName.task, StageState.parked)
    signing.team.upload_data()
    await signing.when_it_is_signed("bo", "retry")
    await signing.when_it_is_signed("ana")
    await signing.when_it_is_signed("bo")
    return Outcome.promoted


async def approval_voided(scenario: Scenario) -> Outcome:
    """A key is removed after it signed: the approval does not count where the package is approved, and people are asked again."""
    signing = who_signs(scenario)
    await signing.when_ci_starts(await good_image(signing))
    await signing.when_it_is_signed("ana")
    signing.given_keys(bo="bo")
    await signing.when_it_is_signed("bo")
    await signing.until_stage(StageName.approval, StageState.parked)
    signing.given_keys(ana="ana-2", bo="bo")
    await signing.when_it_is_signed("bo", "retry")
    await signing.when_it_is_signed("ana", key="ana-2")
    await signing.when_it_is_signed("bo")
    return Outcome.promoted


def who_signs(scenario: Scenario) -> SignedScenario:
    assert isinstance(scenario, SignedScenario)
    return scenario


async def aborted_while_held(scenario: Scenario, service: str, operation: str) -> Outcome:
    """Abort while the answer of one call is held back."""
    sandbox, account = scenario.stack.sandbox, scenario.team.ml_account
    image = await good_image(scenario)
    held = sandbox.plant_fault(service, operation, "hold-answer", account=account)
    await scenario.when_ci_starts(image)
    await scenario.until(lambda: sandbox.struck(held) > 0, operation)
    await scenario.when_an_operator_says("abort")
    sandbox.remove_fault(held)
    return Outcome.aborted


async def decide(scenario: Scenario, what: str, who: str) -> PromotionStatus:
    status = await scenario.until_stage(StageName.approval, StageState.waiting)
    await send_update(scenario.handle, what, Decision(by=who, evidence=status.evidence or ""))
    return status


RECORDED: dict[str, Act] = {
    act.__name__.replace("_", "-"): act
    for act in (
        promoted,
        promoted_in_two_waves,
        parked_and_retried,
        retried_with_piped,
        asked_again,
        gate_corrected,
        refused,
        rejected,
        expired,
        rolled_back,
        rescaled,
        aborted_at_image,
        aborted_at_taskdef,
        aborted_at_task,
        aborted_with_piped,
        aborted_at_pipeline,
        aborted_at_approval,
        aborted_at_rollout,
        cancelled_while_undoing,
        parked_while_undoing,
        signed_by_two,
        approval_voided,
    )
}
"""By the name of its history."""
WITH_ROLLOUT = {"promoted", "rolled-back", "rescaled"}
"""Histories whose rollout is kept, too."""
WATCH = "watch"
"""The history of the watch of a branch."""
SIGNED = {"signed-by-two", "approval-voided"}
"""Histories in which decisions are signed."""


async def record_watch(scenario: WatchedScenario) -> None:
    """Let a branch be watched on which piped writes an image, and then the same one under another tag, and write that history."""
    await scenario.given_a_watch()
    for tag in ("v1", "v2"):
        image = await asyncio.to_thread(scenario.team.push_pipeline_image, build_pipeline_image(ROOT), tag)
        await scenario.when_ci_registers(f"{image.partition('@')[0]}:{tag}")
        await scenario.until_watch(lambda status, tag=tag: any(f":{tag} of" in note for note in status.notes), tag)
    watch = await scenario.watch()
    await watch.signal("look")
    write(WATCH, await watch.fetch_history())


async def record(scenario: Scenario, name: str) -> None:
    """Run a promotion, and write its history and, where asked, that of its rollout."""
    outcome = await RECORDED[name](scenario)
    await scenario.then_it_ends(outcome)
    write(name, await scenario.handle.fetch_history())
    if name in WITH_ROLLOUT:
        client = await scenario.connect()
        child = f"{scenario.handle.id}-{scenario.team.endpoint}-us-east-1"
        write(f"rollout-{name}", await client.get_workflow_handle(child).fetch_history())
    print(f"recorded {name}", flush=True)  # noqa: T201 -- it takes minutes


def write(name: str, history: WorkflowHistory) -> None:
    """Keep a history without what tells of the machine: stack traces and the identities of processes."""
    (FOLDER / f"{name}.json").write_text(json.dumps(without_machine(history.to_json_dict()), indent=1) + "\n")


def without_machine(value: Any) -> Any:
    """The same JSON with no `stackTrace` in it, and one `identity`."""
    if isinstance(value, list):
        return [without_machine(each) for each in cast("list[Any]", value)]
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        kept = {key: without_machine(each) for key, each in members.items() if key != "stackTrace"}
        return kept | ({"identity": "recorder"} if "identity" in kept else {})
    return value


def main(names: list[str]) -> None:
    """Record the histories of these names, or all. `watch` is that of a branch; the others are promotions'."""
    FOLDER.mkdir(exist_ok=True)
    model_image = light_model_image()
    with tempfile.TemporaryDirectory() as scratch, Stack(Path(scratch), time_scale=600) as stack:
        if WATCH in names or not names:
            with WatchedScenario(stack, model_image) as watched:
                asyncio.run(record_watch(watched))
        for name in [name for name in names if name != WATCH] if names else RECORDED:
            scenario = SignedScenario(stack, model_image) if name in SIGNED else Scenario(stack, model_image).given_a_team()
            with scenario:
                asyncio.run(record(scenario, name))


if __name__ == "__main__":
    main(sys.argv[1:])
