"""Only people who sign with their own keys put a model into production, whatever else somebody may do in Temporal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from temporalio import workflow
from temporalio.client import WorkflowUpdateFailedError
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError
from temporalio.worker import Worker

from activities.endpoints.messages import Approved, EndpointPlan, PlanRollout, UpdateEndpoint
from activities.endpoints.plan import plan_rollout
from activities.origin import Origin
from activities.registry import SetApproval
from activities.taskdefs import RevertImage, WriteImage
from demo.images import build_pipeline_image
from demo.oci_layout import BuiltImage
from demo.stack import Stack
from demo.team import ROOT
from slipway.api import (
    TASK_QUEUE,
    Decision,
    Evidence,
    Message,
    Outcome,
    PromotionRequest,
    PromotionStatus,
    SignedCommand,
    StageName,
    StageState,
)
from slipway.app.pipecd import EventHandler, Replacement
from slipway.temporal.connect import PROMOTION
from slipway.temporal.start import attempt_of, send_update
from tests.support.keys import document, subject_of
from tests.support.owned import SignedScenario
from tests.support.scenario import effects
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def signed(stack: Stack, model_image: BuiltImage) -> Iterator[SignedScenario]:
    """A promotion that waits for two signed approvals. Both tests look at the same: a promotion is what costs here."""
    scenario = SignedScenario(stack, model_image)
    with scenario:
        image = scenario.team.push_pipeline_image(build_pipeline_image(ROOT), "good")
        asyncio.run(begin(scenario, image))
        yield scenario


async def begin(scenario: SignedScenario, image: str) -> None:
    await scenario.when_ci_starts(image)
    await scenario.until_stage(StageName.approval, StageState.waiting)


def waits_on(words: str) -> Callable[[PromotionStatus], bool]:
    """Whether a promotion is parked because of an answer with these words."""

    def is_parked(status: PromotionStatus) -> bool:
        failure = status.waiting_for.failure if status.waiting_for else None
        return failure is not None and words in failure.answered

    return is_parked


# --- Somebody with a worker of their own ---


class Step(Message):
    """One activity that the intruder wants, and what the answer has to say."""

    activity: str
    input: dict[str, Any]
    answer: str


@workflow.defn(name=PROMOTION, sandboxed=False)
class Intruder:
    """A workflow of somebody else's, under a promotion's type and id. It schedules and shows what it likes."""

    @workflow.init
    def __init__(self, steps: list[Step], evidence: dict[str, Any]) -> None:
        self._steps = steps
        self._evidence = evidence

    @workflow.run
    async def run(self, steps: list[Step], evidence: dict[str, Any]) -> list[str]:
        """What each activity answered."""
        del evidence
        return [await self._answer(step) for step in steps]

    @workflow.query
    def evidence(self) -> dict[str, Any]:
        """What the worker asks the promotion for."""
        return self._evidence

    @staticmethod
    async def _answer(step: Step) -> str:
        try:
            done = await workflow.execute_activity(
                step.activity,
                step.input,
                task_queue=TASK_QUEUE,
                start_to_close_timeout=timedelta(minutes=1),
                retry_policy=RetryPolicy(maximum_attempts=1),
            )
        except ActivityError as error:
            return str(error.cause)
        return str(done)


class Intrusion:
    """What somebody who may write to the namespace tries under the id of the next attempt, which nobody has started.

    Args:
        scenario: Whose promotion waits.
        status: Its status.
        evidence: Its evidence, as anybody can read it.
        run: Its first run.
    """

    def __init__(self, scenario: SignedScenario, status: PromotionStatus, evidence: dict[str, Any], run: str) -> None:
        asked = PromotionRequest(app=status.app, image=status.image, commit=status.commit, requested_by=status.requested_by)
        self.victim = asked.promotion_id
        self.request = attempt_of(asked, 2)
        self.origin = Origin(request=self.request, commit=status.spec_commit or "")
        self.evidence = evidence
        self.shown = Evidence.model_validate(evidence)
        self._run = run
        self._scenario = scenario

    def steps(self, subject: Mapping[str, Any]) -> list[Step]:
        """All that would put the package into production, or change the deployment branch."""
        elsewhere = self._signed(subject)
        other_run = self._signed({**subject, "promotion": self.request.promotion_id})
        return [
            self._step("set_approval", self._approval(()), "0 of 2 approved"),
            self._step("set_approval", self._approval(elsewhere), f"promotion is {self.victim}"),
            self._step("set_approval", self._approval(other_run), f"run is {self._run}, not "),
            self._step("prepare_endpoint", self._plan(()), "0 of 2 approved"),
            self._step("prepare_endpoint", self._plan(elsewhere), f"promotion is {self.victim}"),
            self._step("prepare_endpoint", self._plan(other_run), f"run is {self._run}, not "),
            self._step("update_endpoint", self._update(()), "0 of 2 approved"),
            self._step("update_endpoint", self._update(other_run), f"run is {self._run}, not "),
            self._step("write_image", self._write(image=f"{self.shown.image[:-1]}x"), "it is asked for the image"),
            self._step("write_image", self._write(event="other"), "it is asked for the event other"),
            self._step("write_image", self._write(run=self._run), f"it is asked for the first run {self._run}"),
            self._step("revert_image", self._revert(self.victim), f"and only the promotion {self.victim} may"),
            self._step("revert_image", self._revert(self.request.promotion_id, run=self._run), "it is asked for the first run"),
            self._step("revert_image", self._revert(self.request.promotion_id), "the promotion made no commit"),
        ]

    def _signed(self, subject: Mapping[str, Any]) -> tuple[SignedCommand, ...]:
        """What ana and bo may have signed for something else."""
        return tuple(self._scenario.keys.sign(document(subject, by=name), name) for name in ("ana", "bo"))

    @staticmethod
    def _step(activity: str, request: Message, answer: str) -> Step:
        return Step(activity=activity, input=request.model_dump(mode="json"), answer=answer)

    def _approval(self, decisions: tuple[SignedCommand, ...]) -> SetApproval:
        said = "approved by ana (signed), bo (signed)"
        return SetApproval(
            package=self.shown.package, status="Approved", description=said, origin=self.origin, decisions=decisions
        )

    def _plan(self, decisions: tuple[SignedCommand, ...]) -> EndpointPlan:
        rollout = self._scenario.team.spec.spec.rollout
        return plan_rollout(
            PlanRollout(
                promotion_id=self.request.promotion_id,
                package=self.shown.package,
                target=rollout.targets[0],
                region="us-east-1",
                variant=rollout.variant,
                strategy=rollout.strategy,
                origin=self.origin,
                approved=Approved(containers=self.shown.containers, champion=None, decisions=decisions),
            )
        )

    def _update(self, decisions: tuple[SignedCommand, ...]) -> UpdateEndpoint:
        return UpdateEndpoint(plan=self._plan(decisions), previous_config=None)

    def _write(self, **changes: Any) -> WriteImage:
        handler = EventHandler(
            event=self._scenario.team.spec.spec.git.event.name,
            replacements=(Replacement(file="taskdef.yaml", yaml_field="$.containerDefinitions[0].image"),),
        )
        asked = WriteImage(
            app=self.request.app,
            promotion_id=self.request.promotion_id,
            handler=handler,
            event=handler.event,
            image=self.shown.image,
            requested_by="ci",
            source_commit="",
            origin=self.origin,
        )
        return asked.model_copy(update=changes)

    def _revert(self, promotion_id: str, run: str = "") -> RevertImage:
        return RevertImage(app=self.request.app, promotion_id=promotion_id, reason="tidy", origin=self.origin, run=run)


async def test_given_a_worker_of_somebody_else_when_its_workflow_has_a_promotions_type_and_id_then_nothing_changes(
    signed: SignedScenario,
) -> None:
    client, status = await signed.connect(), await signed.until_stage(StageName.approval, StageState.waiting)
    subject = await subject_of(signed.handle)
    evidence = await signed.handle.query("evidence", result_type=dict[str, Any])
    intrusion = Intrusion(signed, status, evidence, subject["run"])
    steps, before = intrusion.steps(subject), effects(signed)
    queue = f"intruder-{uuid4()}"
    async with Worker(client, task_queue=queue, workflows=[Intruder]):
        answers: list[str] = await client.execute_workflow(
            PROMOTION,
            args=[steps, evidence],
            id=intrusion.request.promotion_id,
            task_queue=queue,
            result_type=list[str],
        )
    for step, answer in zip(steps, answers, strict=True):
        assert step.answer in answer, f"{step.activity}: {answer}"
    assert effects(signed) == before
    assert [package["ModelApprovalStatus"] for package in signed.packages()] == ["PendingManualApproval"]


# --- What people sign ---


async def refused_at_the_door(scenario: SignedScenario, status: PromotionStatus) -> dict[str, tuple[Message, str]]:
    """Decisions by what is wrong with them, and what their sender is told."""
    subject = await subject_of(scenario.handle)
    checksum: str = subject["evidence"]
    changed = checksum[:-1] + ("0" if checksum[-1] != "0" else "1")
    return {
        "a stolen name": (
            Decision(by="ana", evidence=status.evidence or ""),
            f"have to be signed, and this one is not: slipway approve {status.id} --by ana --sign",
        ),
        "a wrong key": (
            await scenario.signed("ana", key="bo"),
            "is not one of ana in allowed_signers; sign with a key that is",
        ),
        "an expired key": (await scenario.signed("cy"), "does not count at this time (key has expired"),
        "a decision for another run": (await scenario.signed("ana", run=str(uuid4())), f", not {subject['run']}"),
        "evidence changed by one byte": (
            await scenario.signed("ana", evidence=changed),
            f"evidence is {changed}, not {checksum}",
        ),
        "the requester": (await scenario.signed("ci"), "ci asked for this promotion or wrote its source commit"),
    }


async def test_given_a_quorum_of_two_then_only_what_two_sign_by_keys_that_count_puts_the_model_into_production(
    signed: SignedScenario,
) -> None:
    status = await signed.until_stage(StageName.approval, StageState.waiting)
    before = effects(signed)
    for wrong, (command, told) in (await refused_at_the_door(signed, status)).items():
        with pytest.raises(WorkflowUpdateFailedError) as caught:
            await send_update(signed.handle, "approve", command)
        assert told in str(caught.value.cause), wrong
    assert (await signed.until_stage(StageName.approval, StageState.waiting)).decisions == ()

    # A key that is removed while the promotion waits does not count, also for what it signed before.
    assert await signed.when_it_is_signed("ana") == "approved by ana (signed), 1 of 2"
    signed.given_keys(bo="bo")
    assert await signed.when_it_is_signed("bo") == "approved by bo (signed), 2 of 2"
    await until(signed.handle, waits_on("is not one of ana in allowed_signers"), "what ana signed to count no more")
    assert effects(signed) == before

    signed.given_keys(ana="ana-2", bo="bo")
    await signed.when_it_is_signed("bo", "retry")
    await signed.when_it_is_signed("ana", key="ana-2")
    await signed.when_it_is_signed("bo")
    status = await signed.then_it_ends(Outcome.promoted)
    package = signed.team.client("sagemaker").describe_model_package(ModelPackageName=status.package)
    assert package["ModelApprovalStatus"] == "Approved"
    assert package["ApprovalDescription"].startswith("approved by ana (signed), bo (signed), on the evidence ")

    keys = signed.signers.with_name("all-keys")
    keys.write_text(signed.keys.allowed(ana="ana", bo="bo") + signed.keys.allowed(ana="ana-2"))
    verified = await asyncio.to_thread(signed.crew.slipway, "verify", status.id, "--allowed-signers", str(keys))
    assert (verified.returncode, verified.stderr) == (0, "")
    assert "5 of 5 decisions signed and good; nothing is wrong" in verified.stdout
