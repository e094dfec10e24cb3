"""The tasks of stage 3: Slipway's own, one after the other and never two at once, or the one that piped runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.origin import Origin
    from activities.tasks.activities import TaskActivities
    from activities.tasks.messages import (
        FindTask,
        FollowTask,
        FoundTask,
        RegisteredTaskDefinition,
        RunTask,
        StartedTask,
        TaskVerdict,
    )
    from activities.tasks.verdict import RUN_AGAIN_BY_PIPED
    from slipway.app.pipecd import EcsApp
    from slipway.errors import NeedsPersonError
    from slipway.temporal.failures import to_application_error
    from workflows.state.promotion import PromotionState, known

from workflows.activity_options import ABORT_GRACE, CHANGE, OUTAGE, follow, shown

LAUNCHES = 3
"""Tasks that one attempt of the stage runs at most, where the platform ends one after the other."""


class TaskRunner:
    """Runs a task definition until a task of it ends by itself.

    Args:
        state: The promotion's; the most recently started task is kept there.
        origin: What the worker checks each effect by.
        notice: Keeps a line for people.
        finish_first: Waits for an effect, even when an abort comes meanwhile.
        check_abort: Raises where the promotion was aborted.
    """

    def __init__(
        self,
        state: PromotionState,
        origin: Origin,
        notice: Callable[[str], None],
        finish_first: Callable[[Awaitable[None], timedelta], Awaitable[None]],
        check_abort: Callable[[], None],
    ) -> None:
        self._state = state
        self._origin = origin
        self._notice = notice
        self._finish_first = finish_first
        self._check_abort = check_abort

    async def run(self, definition: RegisteredTaskDefinition, ecs: EcsApp, limit: timedelta) -> TaskVerdict:
        """The verdict on the task that ended by itself; one that the platform ended is followed by another.

        That starts no second execution where the team's code gives it a client token of the promotion.

        Raises:
            ApplicationError: The platform ended each of a few.
            ActivityError: The task failed.
        """
        reason: str | None = None
        for launch in range(1, LAUNCHES + 1):
            await self._start(definition, ecs)
            task = known(self._state.task)
            verdict = await follow_task(self._state, FollowTask(task=task, timeout=limit, origin=self._origin))
            self._check_abort()
            reason = verdict.ended_by_platform
            if reason is None:
                return verdict
            self._notice(f"the platform ended the task {task.arn}, launch {launch} of {LAUNCHES}: {reason}")
        raise to_application_error(
            NeedsPersonError(
                f"running {definition.arn}, {LAUNCHES} times",
                f"the platform ended the task each time, most recently by {reason}",
                "look at the cluster's capacity and network, then retry; or abort",
            )
        )

    async def _start(self, definition: RegisteredTaskDefinition, ecs: EcsApp) -> None:
        self._state.tasks_started += 1
        run = RunTask(
            promotion_id=workflow.info().workflow_id,
            attempt=self._state.tasks_started,
            task_definition=definition,
            ecs=ecs,
            origin=self._origin,
        )

        async def start() -> None:
            summary = f"run {definition.arn.rpartition('/')[2]}"
            self._state.task = await workflow.execute_activity_method(TaskActivities.run_task, run, **shown(CHANGE, summary))

        await self._finish_first(start(), ABORT_GRACE)


class PipedTaskFollower:
    """Sees the task through that piped runs. It runs none itself, whatever happens.

    Args:
        state: The promotion's; the task is kept there.
        origin: What the worker reads the application by.
        check_abort: Raises where the promotion was aborted.
    """

    def __init__(self, state: PromotionState, origin: Origin, check_abort: Callable[[], None]) -> None:
        self._state = state
        self._origin = origin
        self._check_abort = check_abort

    async def run(self, limit: timedelta) -> tuple[FoundTask, TaskVerdict]:
        """The task that piped ran for the commit that brought the image, and the verdict on it.

        Args:
            limit: How long piped may take to run it, and then how long it may take until it has stopped.

        Raises:
            ApplicationError: The platform ended it.
            ActivityError: It was not found, or failed.
        """
        find = pipeds_task(self._state, self._origin, within=limit)
        self._state.named_task = ""
        found = known(await find_task(find))
        self._check_abort()
        task = self._state.task = found.task
        self._state.task_definition = task.definition
        verdict = await follow_task(self._state, FollowTask(task=task, timeout=limit, origin=self._origin, by_piped=True))
        self._check_abort()
        if verdict.ended_by_platform is None:
            return found, verdict
        tried, answered = f"following the task {task.arn}", f"the platform ended it: {verdict.ended_by_platform}"
        raise to_application_error(NeedsPersonError(tried, answered, f"{RUN_AGAIN_BY_PIPED}; or abort"))


def pipeds_task(state: PromotionState, origin: Origin, *, within: timedelta, for_undo: bool = False) -> FindTask:
    """The question which task piped ran.

    Args:
        state: The promotion's.
        origin: What the worker reads the application by.
        within: How long piped may take to run it.
        for_undo: Whether it is to be stopped.
    """
    return FindTask(
        origin=origin,
        commit=known(state.taskdef).commit,
        region=state.cluster_region,
        within=within,
        former=state.task,
        named=state.named_task,
        for_undo=for_undo,
    )


async def find_task(find: FindTask) -> FoundTask | None:
    """The task that piped ran; none where there is none and it was to be stopped."""
    options = follow(find.within)
    if find.for_undo:
        options["schedule_to_close_timeout"] = OUTAGE
    return await workflow.execute_activity_method(
        TaskActivities.find_task, find, **shown(options, f"find the task that piped runs for {find.commit[:12]}")
    )


async def follow_task(state: PromotionState, request: FollowTask) -> TaskVerdict:
    """Wait for a task's end, and keep when that was."""
    task: StartedTask = request.task
    verdict = await workflow.execute_activity_method(
        TaskActivities.follow_task,
        request,
        **shown(follow(request.timeout), f"follow task {task.arn.rpartition('/')[2]}"),
    )
    state.task = task.model_copy(update={"stopped_at": verdict.stopped_at})
    return verdict
