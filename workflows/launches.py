"""The tasks of stage 3: one after the other, never two at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

from activities.compensation import Compensation
from activities.tasks.activities import TaskActivities
from activities.tasks.messages import FollowTask, RegisteredTaskDefinition, RunTask, StartedTask, StopTask
from slipway.api import LedgerState
from slipway.app.pipecd import EcsApp
from slipway.errors import NeedsPersonError, to_application_error
from workflows import policies
from workflows.board import Board
from workflows.policies import step

LAUNCHES = 3
"""Tasks that one attempt of the stage runs at most, where the platform ends one after the other."""


class Launches:
    """Runs a task definition until a task of it ends by itself.

    Args:
        board: Where progress is shown.
        finish_first: Waits for an effect, even when an abort comes meanwhile.
        check_abort: Ends what calls it if the promotion was aborted.
    """

    def __init__(
        self, board: Board, finish_first: Callable[[Awaitable[None], timedelta], Awaitable[None]], check_abort: Callable[[], None]
    ) -> None:
        self._board = board
        self._finish_first = finish_first
        self._check_abort = check_abort
        self._count = 0
        self.task: StartedTask | None = None
        """The last one."""
        self.ended_before = False
        """Whether it had ended by itself when it was to be stopped."""

    async def run(self, definition: RegisteredTaskDefinition, ecs: EcsApp, limit: timedelta) -> StartedTask:
        """The task that ended by itself; one that the platform ended is followed by another.

        That starts no second execution: executions have a client token of the promotion.

        Raises:
            ApplicationError: The platform ended each of a few.
            ActivityError: The task failed.
        """
        reason: str | None = None
        for launch in range(1, LAUNCHES + 1):
            task = await self._start(definition, ecs)
            reason = await self._follow(task, limit)
            if reason is None:
                return task
            self._board.notice(f"the platform ended the task {task.arn}, launch {launch} of {LAUNCHES}: {reason}")
        raise to_application_error(
            NeedsPersonError(
                f"running {definition.arn}, {LAUNCHES} times",
                f"the platform ended the task each time, at last by {reason}",
                "look at the cluster's capacity and network, then retry; or abort",
            )
        )

    async def stop(self, reason: str) -> Compensation:
        """Stop the last task if it runs."""
        if self.task is None:
            return Compensation(state=LedgerState.kept, note="no task was started")
        stop = StopTask(task=self.task, reason=reason)
        done = await step(TaskActivities.stop_task, stop, policies.UNDO, "stop the task if it runs")
        self.ended_before = done.state is LedgerState.kept
        return done

    async def _start(self, definition: RegisteredTaskDefinition, ecs: EcsApp) -> StartedTask:
        self._count += 1
        run = RunTask(promotion_id=self._board.status.id, attempt=self._count, task_definition=definition, ecs=ecs)
        started: list[StartedTask] = []

        async def start() -> None:
            summary = f"run {definition.arn.rpartition('/')[2]}"
            self.task = await step(TaskActivities.run_task, run, policies.CHANGE, summary)
            self._board.set(task=self.task.arn)
            started.append(self.task)

        await self._finish_first(start(), policies.ABORT_GRACE)
        return started[0]

    async def _follow(self, task: StartedTask, limit: timedelta) -> str | None:
        """Wait for the task's end; the answer is why the platform ended it, if it did."""
        verdict = await step(
            TaskActivities.follow_task,
            FollowTask(task=task, timeout=limit),
            policies.follow(limit),
            f"follow task {task.arn.rpartition('/')[2]}",
        )
        self._check_abort()
        if verdict.ended_by_platform is None:
            exits = ", ".join(f"{container.name} {container.exit_code}" for container in verdict.containers)
            self._board.say(f"exit codes: {exits}")
        return verdict.ended_by_platform
