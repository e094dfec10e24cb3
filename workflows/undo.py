"""How each kind of compensation is carried out: one table."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.exceptions import FailureError
from temporalio.workflow import ActivityConfig

with workflow.unsafe.imports_passed_through():
    from activities.compensation import Compensation
    from activities.endpoints.activities import EndpointActivities
    from activities.endpoints.messages import ChangeScaling, RestoreEndpoint
    from activities.endpoints.scaling_activities import ScalingActivities
    from activities.origin import Origin
    from activities.pipelines.activities import PipelineActivities
    from activities.pipelines.messages import Execution, FindExecution
    from activities.registry import RegistryActivities, WithdrawApproval
    from activities.taskdefs import TaskdefActivities
    from activities.tasks.activities import TaskActivities
    from activities.tasks.messages import StopTask
    from slipway.api import LedgerState
    from slipway.errors import Ending, FailureReport, NeedsPersonError
    from slipway.temporal.failures import report_of, to_application_error
    from workflows.state.compensations import (
        KeepImage,
        Planned,
        RejectPackage,
        RestoreTarget,
        RevertCommit,
        StopExecution,
        StopStartedTask,
    )
    from workflows.state.promotion import PromotionState

from workflows.activity_options import RESTORE, UNDO, shown
from workflows.task_runner import find_task, pipeds_task

LIST_LAG_AFTER_STOP = timedelta(seconds=20)
"""Grace for ListPipelineExecutions after a running task was stopped."""
LIST_LAG = timedelta(seconds=2)
"""The same for a task that had ended before: a second look is enough."""


async def undo_all(
    state: PromotionState, reason: str, origin: Origin, settled: Callable[[], None]
) -> Sequence[tuple[Planned, FailureReport]]:
    """Carry out every compensation that is not carried out yet, the last effect first. One that fails does not stop the others.

    Endpoints are restored at the same time: none has to go on serving, or get more traffic, while another one goes back.

    Args:
        state: Whose compensations; each is settled there.
        reason: Why, for people who look at the outside later.
        origin: What the worker checks each effect by. It is added here, for an older release may have recorded the compensation.
        settled: Called after each compensation.

    Returns:
        Those that need a person, and why.
    """
    failed: list[tuple[Planned, FailureReport]] = []

    async def carry_out(planned: Planned) -> None:
        try:
            done = await _UNDO[planned.undo.kind](state, planned.undo, reason, origin)
        except FailureError as error:
            report = report_of(error)
            failed.append((planned, report))
            state.settle(planned, LedgerState.needs_person, str(report))
        else:
            state.settle(planned, done.state, done.note)
            if done.state is LedgerState.needs_person and workflow.patched("park-what-needs-a-person"):
                failed.append((planned, not_undone(done)))
        settled()

    to_undo = {LedgerState.planned, LedgerState.needs_person}
    open_ones = [planned for planned in reversed(state.compensations) if planned.state in to_undo]
    restores = [planned for planned in open_ones if isinstance(planned.undo, RestoreTarget)]
    if len(restores) > 1 and workflow.patched("restore-together"):
        # They are the last effects: a rollout is the last stage.
        await asyncio.gather(*map(carry_out, restores))
        open_ones = [planned for planned in open_ones if not isinstance(planned.undo, RestoreTarget)]
    for planned in open_ones:
        await carry_out(planned)
    return failed


def not_undone(done: Compensation) -> FailureReport:
    """What an operator reads of an effect that could not be undone, although nothing went wrong in trying it."""
    remedy = "put it back by hand"
    return FailureReport(ending=Ending.needs_person, tried="undoing it", answered=done.note, remedy=remedy)


def parks_undoing() -> bool:
    """Whether an operator is waited for where an effect cannot be undone. Earlier releases ended the promotion there."""
    return workflow.patched("park-undoing")


async def stop_task(state: PromotionState, reason: str, origin: Origin, options: ActivityConfig = UNDO) -> Compensation:
    """Stop the most recently started task if it runs; where piped runs them, the one that it has run by now."""
    if state.by_piped:
        found = await find_task(pipeds_task(state, origin, within=timedelta(0), for_undo=True))
        state.task = found.task if found else state.task
    if state.task is None:
        by_piped = "piped had run no task for this image; what it may still run is not stopped"
        return Compensation(state=LedgerState.kept, note=by_piped if state.by_piped else "no task was started")
    done = await workflow.execute_activity_method(
        TaskActivities.stop_task,
        StopTask(task=state.task, reason=reason, origin=origin),
        **shown(options, "stop the task if it runs"),
    )
    state.task_had_ended = done.state is LedgerState.kept
    return done


async def _keep_image(state: PromotionState, undo: KeepImage, reason: str, origin: Origin) -> Compensation:
    del state, undo, reason, origin
    return Compensation(state=LedgerState.kept, note="it does no harm, and the next promotion of the same digest uses it")


async def _revert_commit(state: PromotionState, undo: RevertCommit, reason: str, origin: Origin) -> Compensation:
    del state
    request = undo.request.model_copy(update={"reason": reason, "origin": origin})
    return await workflow.execute_activity_method(TaskdefActivities.revert_image, request, **shown(UNDO, "revert the commit"))


async def _stop_task(state: PromotionState, undo: StopStartedTask, reason: str, origin: Origin) -> Compensation:
    del undo
    return await stop_task(state, reason, origin)


async def _stop_execution(state: PromotionState, undo: StopExecution, reason: str, origin: Origin) -> Compensation:
    del reason  # SageMaker keeps none
    if state.execution is None and state.task is None and not _runs_on(state):
        return Compensation(state=LedgerState.kept, note="no execution was started")
    if state.execution is None and _runs_on(state) and parks_undoing():
        raise to_application_error(
            NeedsPersonError(
                f"looking for the execution of the pipeline {undo.pipeline}",
                "the task could not be stopped, and may still start one",
                "stop the task first: the execution is looked for then",
            )
        )
    execution = state.execution or await _look_for_execution(state, undo)
    if execution is None:
        return Compensation(state=LedgerState.kept, note="no execution of the task was found")
    state.execution = execution
    return await workflow.execute_activity_method(
        PipelineActivities.stop_execution,
        execution.model_copy(update={"origin": origin}),
        **shown(UNDO, "stop the execution if it runs"),
    )


def _runs_on(state: PromotionState) -> bool:
    """Whether the task could not be stopped."""
    return any(planned.undo.kind == "stop-task" and planned.state is LedgerState.needs_person for planned in state.compensations)


async def _look_for_execution(state: PromotionState, undo: StopExecution) -> Execution | None:
    """The execution that a task started which was not followed to its end; most have started none.

    Raises:
        ActivityError: That could not be found out.
    """
    if state.task is None:
        return None
    named, state.named_execution = state.named_execution, ""
    find = FindExecution(
        pipeline=undo.pipeline,
        promotion_id=workflow.info().workflow_id,
        region=undo.region,
        started_after=state.task.started_at,
        # The task was stopped before this (last in, first out), so it is known by now whether it had ended before.
        within=LIST_LAG if state.task_had_ended else LIST_LAG_AFTER_STOP,
        task=state.task,
        named=named,
        for_undo=True,
    )
    return await workflow.execute_activity_method(
        PipelineActivities.find_execution, find, **shown(UNDO, "did the task start one?")
    )


async def _reject_package(state: PromotionState, undo: RejectPackage, reason: str, origin: Origin) -> Compensation:
    del state
    return await workflow.execute_activity_method(
        RegistryActivities.withdraw_approval,
        WithdrawApproval(package=undo.package, reason=reason, origin=origin),
        **shown(UNDO, "reject the package"),
    )


async def restore_endpoint(undo: RestoreTarget, reason: str, origin: Origin) -> Compensation:
    """Put an endpoint back to what it was."""
    plan = undo.request.plan.model_copy(update={"origin": origin})
    request = undo.request.model_copy(update={"reason": reason, "plan": plan})
    if request.scaling is None:
        return await _restore(request)
    return await _restore_without(request, ChangeScaling(plan=plan, scaling=request.scaling))


async def _restore(request: RestoreEndpoint) -> Compensation:
    return await workflow.execute_activity_method(
        EndpointActivities.restore_endpoint, request, **shown(RESTORE, f"restore {request.plan.target.endpoint}")
    )


async def _restore_without(request: RestoreEndpoint, scaling: ChangeScaling) -> Compensation:
    """Restore while the automatic scaling is off, which is put back however that ends."""
    name = request.plan.target.endpoint
    await workflow.execute_activity_method(
        ScalingActivities.take_off_scaling_again, scaling, **shown(UNDO, f"take off the automatic scaling of {name}")
    )
    options = shown(UNDO, f"put back the automatic scaling of {name}")
    try:
        done = await _restore(request)
    except FailureError:
        with contextlib.suppress(FailureError):
            await workflow.execute_activity_method(ScalingActivities.put_back_scaling, scaling, **options)
        raise
    scaled = await workflow.execute_activity_method(ScalingActivities.put_back_scaling, scaling, **options)
    return done.model_copy(update={"note": f"{done.note}; {scaled.note}"})


async def _restore_endpoint(state: PromotionState, undo: RestoreTarget, reason: str, origin: Origin) -> Compensation:
    del state
    return await restore_endpoint(undo, reason, origin)


_UNDO: Mapping[str, Callable[[PromotionState, Any, str, Origin], Awaitable[Compensation]]] = {
    "keep-image": _keep_image,
    "revert-commit": _revert_commit,
    "stop-task": _stop_task,
    "stop-execution": _stop_execution,
    "reject-package": _reject_package,
    "restore-endpoint": _restore_endpoint,
}
