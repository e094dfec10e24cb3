"""A promotion with as many targets as a spec may have stays within what Temporal takes.

A run of a thousand rollouts takes a quarter of an hour on a test's machine. So the messages are made here as the workflow makes
them, and measured; that it goes on in a new run between waves is shown with a few.
"""

from __future__ import annotations

from uuid import uuid4

import pytest
from pydantic import BaseModel
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import UnsandboxedWorkflowRunner

from activities.endpoints.messages import PlanRollout, RestoreEndpoint, RolloutRequest
from activities.endpoints.plan import plan_rollout
from activities.evidence import GatherEvidence, rollback_of
from activities.evidence_size import fitting_champions, fitting_plans, fitting_results
from activities.origin import Origin
from activities.rollout_plans import plans_of
from activities.taskdefs import AppSnapshot
from slipway.api import (
    Champion,
    Evidence,
    LedgerState,
    ModelPackage,
    Outcome,
    ServedEndpoint,
    StageName,
    TaskdefCommit,
)
from slipway.app.gates import GateResult
from slipway.app.pipecd import EcsApp, EventHandler, Replacement
from slipway.app.spec import TARGETS_SIZE, Gate, Rollout, Target, Wave
from slipway.app.strategy import Strategy
from slipway.temporal.start import start_promotion
from tests.support.world import NOW, SPEC, World, approval, request, working
from workflows import carried, new_run
from workflows.carried import pack, unpack
from workflows.details import render
from workflows.state.compensations import Planned, RestoreTarget
from workflows.state.promotion import PromotionState, TargetRollout
from workflows.view import fitting

PAYLOAD = 2_000_000
"""Bytes; Temporal takes 2 MiB."""
HISTORY = 50_000_000
PENDING = 2_000
"""Children or activities of a workflow that run at the same time."""
ATTRIBUTE = 2_048
PAGE = 100_000
"""Bytes of the page that the Temporal UI asks for again and again."""
PACKAGE = ModelPackage(
    arn=f"arn:aws:sagemaker:us-east-1:222222222222:model-package/{'g' * 63}/12345", version=12345, region="us-east-1"
)
ROLE = "arn:aws:iam::222222222222:role/slipway-rollout-screening"
GATES = tuple(Gate(metric=f"classes.{number:02}.precision_at_recall_of_90.value", max_regression=0.01) for number in range(50))
ALARMS = tuple(f"{number}-{'a' * 250}" for number in range(10))


def target_of(wave: int, at: int) -> Target:
    return Target(endpoint=f"screening-{wave:02}-{at:02}-".ljust(63, "x"), region="ap-southeast-1", role_arn=ROLE)


ROLLOUT = Rollout(
    strategy=Strategy(alarms=ALARMS),
    waves=tuple(Wave(targets=tuple(target_of(wave, at) for at in range(50))) for wave in range(20)),
)
APP = AppSnapshot(
    commit="a" * 40,
    spec=SPEC.model_copy(update={"spec": SPEC.spec.model_copy(update={"rollout": ROLLOUT, "gates": GATES})}),
    ecs=EcsApp(cluster_arn="arn:aws:ecs:us-east-1:222222222222:cluster/ml", task_definition_file="taskdef.yaml"),
    handler=EventHandler(event="image-update", replacements=(Replacement(file="taskdef.yaml", yaml_field="$.image"),)),
)
TASKDEF = TaskdefCommit(commit="b" * 40, changed=True, file="taskdef.yaml", before="before", after="after")


def size_of(message: BaseModel) -> int:
    """Bytes of a message as Temporal gets it."""
    return len(pydantic_data_converter.payload_converter.to_payloads([message])[0].data)


def evidence() -> Evidence:
    """Evidence where each target has a champion of its own, and no gate is met."""
    metrics = {gate.metric: 0.123456789012345 for gate in GATES}
    champions = [
        Champion(target=target, package=PACKAGE.arn.replace("12345", str(number)), metrics=metrics)
        for number, target in enumerate(ROLLOUT.targets)
    ]
    results = [
        GateResult(
            metric=gate.metric,
            rule="maxRegression 0.01",
            value=0.8,
            champion=0.9,
            passed=number != 999,
            message=f"0.8 is worse than the champion {champion.package} by 0.1, more than 0.01",
        )
        for number, champion in enumerate(champions)
        for gate in GATES
    ]
    return Evidence(
        hash="e" * 16,
        package=PACKAGE,
        model_image="i" * 300,
        metrics=dict.fromkeys((f"{'m' * 100}.{number}" for number in range(550)), 0.123456789012345),
        champions=fitting_champions(champions),
        gates=fitting_results(results),
        image="i" * 300,
        taskdef=TASKDEF,
        steps=(),
        rollout_plan=fitting_plans(plans_of(ROLLOUT)),
        rollback_plan="\n".join(map(rollback_of, champions)),
    )


@pytest.fixture(scope="module")
def state() -> PromotionState:
    """All targets serve the new model, and are about to be put back."""
    state = PromotionState(app=APP, image="image", package=PACKAGE, evidence=evidence(), current=StageName.rollout)
    asked = request()
    for target in ROLLOUT.targets:
        plan = plan_rollout(
            PlanRollout(
                promotion_id=asked.promotion_id,
                package=PACKAGE,
                target=target,
                region="ap-southeast-1",
                variant=SPEC.spec.rollout.variant,
                strategy=ROLLOUT.strategy,
                origin=Origin(request=asked, commit="a" * 40),
            ),
            "former-config".ljust(63, "x"),
        )
        restore = RestoreEndpoint(plan=plan, previous_config=plan.former, reason="")
        inverse = f"restore {target.endpoint} (ap-southeast-1)"
        state.compensations += (Planned(stage=StageName.rollout, inverse=inverse, undo=RestoreTarget(request=restore)),)
        rollout = RolloutRequest(plan=plan, previous_config=plan.former, app=asked.app, spec_commit="a" * 40)
        state.rollouts += (TargetRollout(request=rollout),)
    state.serve(
        {
            at: ServedEndpoint(
                endpoint=rollout.request.plan.target.endpoint,
                region="ap-southeast-1",
                config=rollout.request.plan.config,
                package=PACKAGE.arn,
                answer="a" * 1_000,
            )
            for at, rollout in enumerate(state.rollouts)
        }
    )
    for planned in state.compensations:
        state.settle(planned, LedgerState.needs_person, "n" * 3_000)
    for _ in range(50):
        state.notice("n" * 1_500, NOW)
    return state


def test_given_the_most_targets_then_the_spec_allows_them() -> None:
    assert len(ROLLOUT.targets) == 1_000
    assert sum(len(target.model_dump_json(exclude_none=True)) for target in ROLLOUT.targets) <= TARGETS_SIZE


def test_given_the_most_targets_when_the_files_are_read_then_their_message_fits() -> None:
    assert size_of(APP) < PAYLOAD


def test_given_the_most_targets_when_evidence_is_gathered_then_question_and_answer_fit() -> None:
    asked = GatherEvidence(
        promotion_id="p" * 50,
        app=request().app,
        package=PACKAGE,
        gates=GATES,
        targets=ROLLOUT.targets,
        image="i" * 300,
        taskdef=TASKDEF,
        steps=(),
        rollout=ROLLOUT,
    )
    assert size_of(asked) < PAYLOAD
    assert size_of(evidence()) < PAYLOAD


def test_given_more_gates_results_than_fit_when_one_is_missed_then_it_is_among_those_that_are_kept() -> None:
    assert any(gate.missed for gate in evidence().gates)


def test_given_the_most_targets_when_all_are_put_back_then_the_status_fits(state: PromotionState) -> None:
    status = state.status("p" * 50, request())
    assert len(status.ledger) == len(status.endpoints) == 1_000
    assert size_of(status) < PAYLOAD


def test_given_the_most_targets_when_a_new_run_goes_on_then_its_state_fits_and_is_the_same(state: PromotionState) -> None:
    packed = pack(state.model_dump_json())
    assert len(str(packed)) < PAYLOAD / 2
    assert PromotionState.model_validate(unpack(packed)) == state


def test_given_the_most_targets_then_the_page_stays_short(state: PromotionState) -> None:
    page = render(state.status("p" * 50, request()).model_copy(update={"outcome": Outcome.rolled_back}))
    assert len(page.encode()) < PAGE + 2 * len("".join(state.notices).encode())
    assert "and 900 more: `slipway status" in page


def test_given_the_most_targets_then_those_that_can_be_searched_fit_into_the_attribute() -> None:
    names = fitting(target.endpoint for target in ROLLOUT.targets)
    assert len(str(names).encode()) < ATTRIBUTE


def test_given_the_largest_wave_then_its_children_and_its_part_of_the_history_are_few(state: PromotionState) -> None:
    of_each = sum(
        size_of(message)
        for rollout in (state.rollouts[0], state.rollouts[0])
        for message in (rollout.request, rollout.request.plan, rollout.served or rollout.request)
    )
    most = max(len(wave.targets) for wave in ROLLOUT.waves)
    assert most < PENDING
    # A new run begins between two waves where the history has grown.
    assert new_run.SIZE + most * of_each < HISTORY / 5


async def test_given_a_history_that_has_grown_when_a_wave_is_done_then_a_new_run_rolls_out_the_next(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(new_run, "EVENTS", 30)
    monkeypatch.setattr(carried, "PLAIN_SIZE", 0)
    world = World(task_queue=f"test-{uuid4()}")
    world.set_approval(approval(mode="auto"))
    world.set_waves(("staging",), ("prod-a", "prod-b"))
    async with working(client, world, UnsandboxedWorkflowRunner()):
        handle, _ = await start_promotion(client, request(), world.task_queue)
        first = (await handle.describe()).run_id
        status = await handle.result()
        began = (await client.get_workflow_handle(handle.id, run_id=first).describe()).status
    assert began is WorkflowExecutionStatus.CONTINUED_AS_NEW
    assert status.outcome is Outcome.promoted
    assert [served.endpoint for served in status.endpoints] == ["staging", "prod-a", "prod-b"]
    assert world.names.count("update_endpoint") == 3
