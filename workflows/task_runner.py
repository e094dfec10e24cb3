"""The tasks of stage 3: one after the other, never two at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.origin import Origin
    from activities.tasks.activities import TaskActivities
    from activities.tasks.messages import FollowTask, RegisteredTaskDefinition, RunTask, StartedTask, TaskVerdict
    from slipway.app.pipecd import EcsApp
    from slipway.errors import NeedsPersonError
    from slipway.temporal.failures import to_application_error

from workflows.activity_options import ABORT_GRACE, CHANGE, follow, shown
from workflows.state import PromotionState, known

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
            verdict = await self._follow(task, limit)
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

    async def _follow(self, task: StartedTask, limit: timedelta) -> TaskVerdict:
        """Wait for the task's end."""
        verdict = await workflow.execute_activity_method(
            TaskActivities.follow_task,
            FollowTask(task=task, timeout=limit, origin=self._origin),
            **shown(follow(limit), f"follow task {task.arn.rpartition('/')[2]}"),
        )
        self._state.task = task.model_copy(update={"stopped_at": verdict.stopped_at})
        self._check_abort()
        return verdict
