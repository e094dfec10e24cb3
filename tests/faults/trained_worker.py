"""The real worker, for promotions whose model is trained already: what copies images, runs tasks and trains answers at once.

The first four stages run as they do elsewhere, checks at the effect included, so that a promotion is at its approval within a
second. Everything from there on, and everything that is undone, is the worker's own.

The environment variable `TRAINED` names a folder in which the file of a promotion's id says what its pipeline made.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from temporalio import activity

import worker
from activities import all_activities
from activities.guard import known_origin
from activities.packages import FindModelPackage, FoundPackage
from activities.pipelines.messages import Execution, ExecutionVerdict, FindExecution, FollowExecution
from activities.taskdefs import WriteImage
from activities.tasks.messages import (
    FollowTask,
    RegisteredTaskDefinition,
    RegisterTaskDefinition,
    RunTask,
    StartedTask,
    TaskVerdict,
)
from activities.waiting import follower
from slipway.api import TaskdefCommit
from slipway.aws.clients import region_of
from tests.support.world import NOW, World

Activity = Callable[..., Any]


class Trained(World):
    """What the activities of the first four stages answer.

    Args:
        folder: What pipelines made, by promotion.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(task_queue="")
        self._folder = folder

    def _made(self, promotion_id: str, what: str) -> str:
        return json.loads((self._folder / promotion_id).read_text())[what]

    @activity.defn
    async def write_image(self, asked: WriteImage) -> TaskdefCommit:
        commit = known_origin("write_image", asked.origin).commit
        return TaskdefCommit(commit=commit, changed=False, file="taskdef.yaml", before=asked.image, after=asked.image)

    @activity.defn
    async def register_task_definition(self, asked: RegisterTaskDefinition) -> RegisteredTaskDefinition:
        account = asked.image.partition(".")[0]
        arn = f"arn:aws:ecs:{asked.region}:{account}:task-definition/screening-pipeline:1"
        return RegisteredTaskDefinition(arn=arn, containers=asked.containers, reused=True)

    @activity.defn
    async def run_task(self, asked: RunTask) -> StartedTask:
        account = asked.task_definition.arn.split(":")[4]
        arn = f"arn:aws:ecs:{region_of(asked.task_definition.arn)}:{account}:task/ml/{'a' * 32}"
        return StartedTask(arn=arn, cluster="ml", started_at=NOW)

    @activity.defn
    @follower
    async def follow_task(self, asked: FollowTask) -> TaskVerdict:
        return await super().follow_task(asked)

    @activity.defn
    async def find_execution(self, asked: FindExecution) -> Execution | None:
        arn = self._made(asked.promotion_id, "execution")
        return Execution(arn=arn, region=asked.region, display_name=asked.promotion_id, witness="its display name")

    @activity.defn
    @follower
    async def follow_execution(self, asked: FollowExecution) -> ExecutionVerdict:
        return await super().follow_execution(asked)

    @activity.defn
    async def find_model_package(self, asked: FindModelPackage) -> FoundPackage:
        arn = self._made(asked.promotion_id, "package")
        return FoundPackage(arn=arn, version=int(arn.rpartition("/")[2]), region=region_of(arn), witness="the step that made it")


REPLACED = frozenset(
    {
        "resolve_image",
        "write_image",
        "register_task_definition",
        "run_task",
        "follow_task",
        "find_execution",
        "follow_execution",
        "find_model_package",
    }
)


def with_trained_models(*arguments: Any) -> list[Activity]:
    """The worker's activities, but for those of the first four stages."""
    trained = Trained(Path(os.environ["TRAINED"]))
    return [getattr(trained, name) if (name := named(each)) in REPLACED else each for each in all_activities(*arguments)]


def named(method: Activity) -> str:
    """The name by which an activity is called."""
    return str(getattr(method, "__temporal_activity_definition").name)


if __name__ == "__main__":
    worker.all_activities = with_trained_models
    worker.main()
