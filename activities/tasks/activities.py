"""Stage 3 activities: register the task definition at one commit and run it once, or find piped's task; follow and stop it."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from temporalio import activity

from activities.compensation import Compensation
from activities.repositories import Repositories, app_at, read_files
from activities.tags import ATTEMPT_TAG, HASH_TAG, PROMOTION_TAG
from activities.tasks.definition import definition_to_register, find_revision
from activities.tasks.finding import TaskSearch
from activities.tasks.messages import (
    FindTask,
    FollowTask,
    FoundTask,
    RegisteredTaskDefinition,
    RegisterTaskDefinition,
    RunTask,
    StartedTask,
    StopTask,
    TaskVerdict,
)
from activities.tasks.piped import list_tasks
from activities.tasks.verdict import RUN_AGAIN, RUN_AGAIN_BY_PIPED, judge_task
from activities.waiting import deadline_after, follower
from slipway.api import LedgerState
from slipway.app.durations import format_duration
from slipway.app.taskdef import TaskDefinition, container_images, taskdef_hash
from slipway.aws.clients import Aws, region_of
from slipway.aws.errors import answer_of
from slipway.aws.looking import Answers, Described, Source, one_by_one
from slipway.aws.polling import Polling, Scope
from slipway.errors import NeedsPersonError, SlipwayError, TransientError
from slipway.names import TOKEN_LENGTH, short_hash
from slipway.pipecd.client import PipecdApi
from slipway.progress import ContainerState, TaskProgress
from slipway.text import one_line, pluralize

if TYPE_CHECKING:
    from types_boto3_ecs import ECSClient
    from types_boto3_ecs.type_defs import FailureTypeDef, TaskTypeDef

PROMOTION_VARIABLE = "SLIPWAY_PROMOTION_ID"
"""The environment variable that the task names its execution after."""
CAPACITY_DELAY = timedelta(seconds=30)
DESCRIBE_LAG = timedelta(minutes=2)
"""How long DescribeTasks may not know a task that RunTask has just accepted."""
STOPS_WITHIN = timedelta(minutes=4)
"""How long a task that is told to stop is waited for at a time. `stopTimeout` is two minutes at most."""
TRANSIENT_PLACEMENT = ("capacity is unavailable", "resource:", "agent")


class TaskActivities:
    """Stage 3.

    Args:
        aws: Where to find AWS.
        repositories: Where the task definition is read from.
        polling: How the tasks that are followed are looked at.
        pipecd: PipeCD's API, as the second witness of what piped ran; none where the worker may not ask it.
    """

    def __init__(self, aws: Aws, repositories: Repositories, polling: Polling, pipecd: PipecdApi | None = None) -> None:
        self._aws = aws
        self._repositories = repositories
        self._pipecd = pipecd
        self._tasks = polling.pollers(self._tasks_at, account_of)
        self._families = polling.pollers(self._families_at, account_of)

    @activity.defn
    async def register_task_definition(self, request: RegisterTaskDefinition) -> RegisteredTaskDefinition:
        """Registers the file at the commit, or finds the revision that was registered from the same content.

        If it is killed after the registration, the retry finds the revision by the hash in its tags.

        Raises:
            RefusedError: The file does not hold the image that was promoted.
        """
        repository = await self._repositories.open(request.app)
        definition = await definition_to_register(request, partial(read_files, repository, request.app, request.commit))
        found = await find_revision(self._aws, request.region, definition)
        arn = found or await self._register(request.region, definition)
        return RegisteredTaskDefinition(arn=arn, containers=tuple(container_images(definition)), reused=found is not None)

    async def _register(self, region: str, definition: TaskDefinition) -> str:
        tags = [{"key": HASH_TAG, "value": taskdef_hash(definition)}]
        register = cast("Any", self._aws.ecs(region, retries=False).register_task_definition)
        answer = await self._aws.call(
            f"registering the task definition {definition['family']}", register, **definition, tags=tags
        )
        return answer["taskDefinition"]["taskDefinitionArn"]

    @activity.defn
    async def run_task(self, request: RunTask) -> StartedTask:
        """Runs the revision once.

        If it is killed after the start, the retry gives the same client token, and ECS answers with the task that already runs.

        Raises:
            TransientError: There is no capacity now.
            NeedsPersonError: ECS will not place the task as it is.
        """
        definition = request.task_definition
        cluster = request.ecs.cluster_arn or "default"
        tried = f"running {definition.arn} on the cluster {cluster}"
        answer = await self._aws.call(
            tried,
            cast("Any", self._aws.ecs(region_of(definition.arn)).run_task),
            **run_request(request, cluster),
        )
        if not answer["tasks"]:
            raise placement_error(tried, answer.get("failures", []))
        task = answer["tasks"][0]
        started_at = task.get("createdAt", datetime.now(UTC))
        return StartedTask(arn=task["taskArn"], cluster=cluster, started_at=started_at, definition=definition.arn)

    @activity.defn
    @follower
    async def find_task(self, request: FindTask) -> FoundTask | None:
        """Waits for the task that piped runs for the commit that brought the image. Reads only.

        Returns:
            It; none where there is none and it was to be stopped.

        Raises:
            NeedsPersonError: piped ran none in time, or several, or has gone on to a later commit with another image; or PipeCD
                says that the deployment failed, or otherwise than the task's tags.
        """
        origin = request.origin
        repository = await self._repositories.open(origin.app)
        app = await app_at(repository, origin.app, origin.commit)
        search = TaskSearch(self._aws, repository, request, app, self._pipecd)
        families, family = self._families.at(app.pipecd.ecs.cluster_arn, request.region), app.taskdef["family"]
        deadline = deadline_after(request.within)
        with families.following(family):
            while True:
                listed = await families.next(family, deadline)
                heartbeat_search(listed, search.progress)
                found = await search.find(listed)
                if found:
                    return found
                if search.progress:
                    heartbeat_search(listed, search.progress)
                if request.for_undo:
                    return None
                if datetime.now(UTC) >= deadline:
                    raise await search.none(listed)

    @activity.defn
    @follower
    async def follow_task(self, request: FollowTask) -> TaskVerdict:
        """Waits until the task has stopped, and judges it by its containers' exit codes. Reads only.

        If ECS itself stopped the task, the verdict says so and the workflow runs another.

        Raises:
            NeedsPersonError: The task failed, is unknown to ECS, or did not stop in time.
        """
        arn = request.task.arn
        tried = f"following the task {arn}"
        task = await self._tasks.at(request.task.cluster, region_of(arn)).until(
            arn,
            done=lambda task: has_stopped(task) if task else is_forgotten(request.task),
            deadline=deadline_after(request.timeout),
            tell=heartbeat_task,
        )
        run_again = RUN_AGAIN_BY_PIPED if request.by_piped else RUN_AGAIN
        if task is None:
            raise NeedsPersonError(
                tried,
                "ECS does not know it: stopped tasks are forgotten after about an hour",
                f"look into its log for how it ended; to run another, {run_again}; abort ends the promotion",
            )
        if not has_stopped(task):
            said = f"it is still {task.get('lastStatus')} after {format_duration(request.timeout)} (spec.task.timeout)"
            remedy = (
                "see its log; retry follows it again, abort stops it"
                if request.by_piped
                else "see its log; stop it and retry, or abort"
            )
            raise NeedsPersonError(tried, said, remedy)
        return await judge_task(self._aws, task, run_again)

    @activity.defn
    async def stop_task(self, request: StopTask) -> Compensation:
        """Stops the task if it runs, and waits until it has stopped: until then it may start an execution.

        If it is killed after the stop, the retry finds it stopping or stopped.

        Raises:
            TransientError: It has not stopped yet, or ECS, which has just accepted it, does not know it yet.
        """
        arn, cluster = request.task.arn, request.task.cluster
        ecs = self._aws.ecs(region_of(arn))
        task = (await self._describe(ecs, cluster, [arn]))[arn]
        if task is None and is_forgotten(request.task):
            return Compensation(state=LedgerState.kept, note="the task had ended before, and ECS has forgotten it")
        if task and has_stopped(task):
            return Compensation(
                state=LedgerState.kept, note=f"the task had ended before: {task.get('stoppedReason', 'no reason given')}"
            )
        if task is None or task.get("desiredStatus") != "STOPPED":
            await self._stop(ecs, request, is_known=task is not None)
        await self._until_stopped(request.task)
        return Compensation(state=LedgerState.undone, note="the task is stopped")

    async def _stop(self, ecs: ECSClient, request: StopTask, *, is_known: bool) -> None:
        """Tell ECS to stop the task.

        Raises:
            TransientError: ECS does not know it yet, or does not answer.
        """
        arn, tried = request.task.arn, f"stopping the task {request.task.arn}"
        try:
            why = one_line(request.reason)[:255]
            await self._aws.call(tried, ecs.stop_task, cluster=request.task.cluster, task=arn, reason=why)
        except SlipwayError as error:
            if is_known or answer_of(error)[0] != "InvalidParameterException":
                raise
            raise TransientError(tried, "ECS has just accepted the task, and does not know it yet") from error

    async def _until_stopped(self, started: StartedTask) -> None:
        """Wait until the task has stopped: its containers have up to two minutes to end by themselves.

        Raises:
            TransientError: It takes longer.
        """
        task = await self._tasks.at(started.cluster, region_of(started.arn)).until(
            started.arn,
            done=lambda task: has_stopped(task) if task else is_forgotten(started),
            deadline=datetime.now(UTC) + STOPS_WITHIN,
            tell=heartbeat_task,
        )
        if task and not has_stopped(task):
            raise TransientError(f"stopping the task {started.arn}", f"it is still {task.get('lastStatus')}")

    def _tasks_at(self, cluster: str | None, region: str | None) -> Source[TaskTypeDef | None]:
        async def describe(arns: Collection[str]) -> Answers[TaskTypeDef | None]:
            return await self._describe(self._aws.ecs(region or ""), cluster or "", arns)

        return Described(describe)

    def _families_at(self, cluster: str | None, region: str | None) -> Source[tuple[TaskTypeDef, ...]]:
        async def list_family(family: str) -> tuple[TaskTypeDef, ...]:
            return await list_tasks(self._aws, self._aws.ecs(region or ""), cluster or "", family)

        return Described(one_by_one(list_family))

    async def _describe(self, ecs: ECSClient, cluster: str, arns: Collection[str]) -> dict[str, TaskTypeDef | None]:
        """The tasks by ARN; none for one that ECS does not know."""
        tried = f"looking at {pluralize(len(arns), 'task')} on the cluster {cluster}"
        answer = await self._aws.call(tried, ecs.describe_tasks, cluster=cluster, tasks=list(arns), include=["TAGS"])
        found = {task.get("taskArn", ""): task for task in answer["tasks"]}
        return {arn: found.get(arn) for arn in arns}


def account_of(cluster: str | None, region: str | None) -> Scope:
    """What AWS slows down together: clusters are the worker's own account's."""
    del cluster
    return (region,)


def run_request(request: RunTask, cluster: str) -> dict[str, Any]:
    """The arguments of RunTask. They are the same for every retry of one run, as the client token requires."""
    token = short_hash("run-task", 1, request.promotion_id, request.attempt, digits=TOKEN_LENGTH)
    variable = {"name": PROMOTION_VARIABLE, "value": request.promotion_id}
    tags = {tag.key: tag.value for tag in request.ecs.tags}
    tags |= {PROMOTION_TAG: request.promotion_id, ATTEMPT_TAG: str(request.attempt)}
    arguments: dict[str, Any] = {
        "taskDefinition": request.task_definition.arn,
        "cluster": cluster,
        "count": 1,
        "clientToken": token,
        "startedBy": request.promotion_id,
        **request.ecs.request(),
        "overrides": {
            "containerOverrides": [{"name": name, "environment": [variable]} for name in request.task_definition.containers]
        },
        "tags": [{"key": key, "value": value} for key, value in tags.items()],
    }
    return arguments


def placement_error(tried: str, failures: Collection[FailureTypeDef]) -> SlipwayError:
    """The error for a RunTask that ECS answered with success and no task."""
    reasons = [f"{failure.get('reason', '')} {failure.get('detail', '')}".strip() for failure in failures]
    said = "; ".join(reasons) or "ECS placed no task and gave no reason"
    if all(reason.lower().startswith(TRANSIENT_PLACEMENT) for reason in reasons):
        return TransientError(tried, said, "it is tried again by itself until there is room", CAPACITY_DELAY)
    return NeedsPersonError(tried, said, "fix the cluster or the task definition, then retry")


def has_stopped(task: TaskTypeDef) -> bool:
    """Whether the task has ended."""
    return task.get("lastStatus") == "STOPPED"


def is_forgotten(task: StartedTask) -> bool:
    """Whether ECS has forgotten a task that it does not know, rather than only just accepted it."""
    return datetime.now(UTC) - task.started_at > DESCRIBE_LAG


def heartbeat_search(listed: Collection[TaskTypeDef], told: str) -> None:
    """Heartbeat that piped's task is not there yet, and what PipeCD says where it was asked."""
    said = f"; {told}" if told else ""
    activity.heartbeat(TaskProgress(status=f"waiting for piped, {pluralize(len(listed), 'task')} of the family so far{said}"))


def heartbeat_task(task: TaskTypeDef | None) -> None:
    """Heartbeat what a watcher sees of the task."""
    if task is None:
        return
    containers = (
        ContainerState(name=container.get("name", ""), status=container.get("lastStatus", ""))
        for container in task.get("containers", [])
    )
    activity.heartbeat(TaskProgress(status=task.get("lastStatus", ""), containers=tuple(containers)))
