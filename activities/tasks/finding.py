"""Which task piped ran for the image of a promotion: piped's tags say for which commit, git what that commit brings."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING

from activities.event_commits import value_at, value_if_there
from activities.guard import promoted_image
from activities.origin import Origin
from activities.tasks.messages import FindTask, FoundTask, StartedTask
from activities.tasks.verdict import definitions_of, has_succeeded
from slipway.app.durations import format_duration
from slipway.app.lint import App
from slipway.aws.clients import Aws
from slipway.errors import NeedsPersonError
from slipway.git.repository import Repository
from slipway.git.rules import app_file
from slipway.text import pluralize

if TYPE_CHECKING:
    from types_boto3_ecs import ECSClient
    from types_boto3_ecs.literals import DesiredStatusType
    from types_boto3_ecs.type_defs import TaskTypeDef

MANAGED_BY_TAG = "pipecd-dev-managed-by"
APPLICATION_TAG = "pipecd-dev-application"
COMMIT_TAG = "pipecd-dev-commit-hash"
PIPED = "piped"
LISTED = 300
"""Tasks of one family and state that are looked at."""
BATCH = 100
"""Tasks that one DescribeTasks takes."""
NAMED = 5
"""Tasks that a message names."""
_COMMIT = re.compile(r"[0-9a-f]{40}")


class Brings(Enum):
    """What a commit brings, as seen from the one that brought the promotion's image."""

    image = "the image still"
    other = "another image, later"
    nothing = "nothing of it: it is older, or on another branch"


@dataclass(frozen=True)
class PipedTask:
    """A task that piped ran, by its tags.

    Args:
        task: As ECS describes it, with its tags.
        commit: The commit that piped deployed.
        application: PipeCD's id of the application.
    """

    task: TaskTypeDef
    commit: str
    application: str

    @property
    def arn(self) -> str:
        """The task's ARN."""
        return self.task.get("taskArn", "")

    @property
    def created_at(self) -> datetime:
        """When ECS accepted it."""
        return self.task.get("createdAt", datetime.min.replace(tzinfo=UTC))

    @property
    def has_stopped(self) -> bool:
        """Whether it has ended."""
        return self.task.get("lastStatus") == "STOPPED"

    @property
    def id(self) -> str:
        """The last part of its ARN."""
        return self.arn.rpartition("/")[2]

    @property
    def found(self) -> FoundTask:
        """The task for the workflow."""
        task = StartedTask(
            arn=self.arn,
            cluster=self.task.get("clusterArn", ""),
            started_at=self.created_at,
            definition=self.task.get("taskDefinitionArn", ""),
        )
        return FoundTask(task=task, commit=self.commit, application=self.application)


def by_piped(task: TaskTypeDef) -> PipedTask | None:
    """The task, if its tags say that piped ran it for a commit. Whoever may run tasks can write such tags."""
    tags = {tag.get("key", ""): tag.get("value", "") for tag in task.get("tags", [])}
    commit = tags.get(COMMIT_TAG, "")
    if tags.get(MANAGED_BY_TAG) != PIPED or not _COMMIT.fullmatch(commit):
        return None
    return PipedTask(task, commit, tags.get(APPLICATION_TAG, ""))


class Tasks:
    """Judges whether piped's tasks run the image of one promotion.

    Args:
        aws: Where to find AWS.
        repository: The deployment repository.
        origin: The promotion.
        app: Its files at the promotion's commit.
        since: The commit that brought the image, or an earlier one; where piped writes the image, one that has it.
    """

    def __init__(self, aws: Aws, repository: Repository, origin: Origin, app: App, since: str) -> None:
        self._aws = aws
        self._repository = repository
        self._origin = origin
        self._app = app
        self._since = since
        self._brings: dict[str, Brings] = {}
        self._images: dict[str, bool] = {}
        self._value = "" if app.spec.spec.git.writer == "pipecd" else promoted_image(origin, app)

    async def is_own(self, task: PipedTask) -> bool:
        """Whether the task is one of the app's family and cluster, and runs the promoted image for a commit that brings it."""
        return await self.may_be_own(task) and (task.has_stopped or await self._is_resolved(task))

    async def may_be_own(self, task: PipedTask) -> bool:
        """The same, where the image is a tag that ECS has not pulled yet."""
        return self._is_of_the_app(task) and await self.brings(task.commit) is Brings.image and await self.runs_image(task)

    def _is_of_the_app(self, task: PipedTask) -> bool:
        cluster, family = self._app.pipecd.ecs.cluster_arn, self._app.taskdef["family"]
        name, _, _ = task.task.get("taskDefinitionArn", "").rpartition("/")[2].partition(":")
        return name == family and task.task.get("clusterArn", "").rpartition("/")[2] == cluster.rpartition("/")[2]

    async def brings(self, commit: str) -> Brings:
        """What a commit brings. What is said of a commit once does not change."""
        if commit not in self._brings:
            self._brings[commit] = await self._look_at(commit)
        return self._brings[commit]

    async def _look_at(self, commit: str) -> Brings:
        branch = self._origin.app.branch
        if not await self._repository.contains(branch, commit) or not await self._repository.descends(commit, self._since):
            return Brings.nothing
        return Brings.image if await self._has_image(commit) else Brings.other

    async def _has_image(self, commit: str) -> bool:
        """Whether a commit has the image where the event's handler writes it. Nothing needs to be rendered for that."""
        found = await value_if_there(self._repository, self._origin.app, self._app.handler, commit)
        return found == await self._written()

    async def _written(self) -> str:
        """The image as the file has it: by its digest, or as piped's event watcher wrote it, which may be by a tag."""
        self._value = self._value or await value_at(self._repository, self._origin.app, self._app.handler, self._since)
        return self._value

    async def runs_image(self, task: PipedTask) -> bool:
        """Whether the task's revision runs the image. piped runs by family, so another's revision may have come between."""
        return await self._names_image(task) and self._digests(task) <= {self._origin.request.digest}

    async def _names_image(self, task: PipedTask) -> bool:
        definition = task.task.get("taskDefinitionArn", "")
        if definition not in self._images:
            written = await self._written()
            containers = await definitions_of(self._aws, task.arn, definition)
            images = {found.get("name", ""): found.get("image", "") for found in containers}
            self._images[definition] = all(images.get(name) == written for name in self._app.containers)
        return self._images[definition]

    async def _is_resolved(self, task: PipedTask) -> bool:
        return "@" in await self._written() or bool(self._digests(task))

    def _digests(self, task: PipedTask) -> set[str]:
        """What ECS has pulled for a tag. By digest only that can be pulled which is named."""
        if "@" in self._value:
            return set()
        containers = (each for each in task.task.get("containers", []) if each.get("name") in self._app.containers)
        return {digest for each in containers if (digest := each.get("imageDigest"))}


class TaskSearch:
    """Looks for the task that piped runs for one promotion.

    Args:
        aws: Where to find AWS.
        repository: The deployment repository.
        request: What is looked for.
        app: The application's files at the promotion's commit.
    """

    def __init__(self, aws: Aws, repository: Repository, request: FindTask, app: App) -> None:
        self._aws = aws
        self._repository = repository
        self._request = request
        self._app = app
        self._known: Tasks | None = None

    async def find(self, listed: Sequence[TaskTypeDef]) -> PipedTask | None:
        """The task; none if none is seen yet.

        Args:
            listed: The tasks of the family on the cluster.

        Raises:
            NeedsPersonError: piped ran several, or has gone on to a later commit that brings another image.
        """
        tasks, former = await self._tasks(), self._request.former
        piped = [each for task in listed if (each := by_piped(task))]
        if self._request.for_undo:
            return self._to_stop([each for each in piped if await tasks.may_be_own(each)])
        own = [each for each in piped if await tasks.is_own(each)]
        if self._request.named:
            return self._named(own)
        again = next((each for each in own if former and each.arn == former.arn), None)
        if again and await self._may_do(again):
            return again
        new = [each for each in own if former is None or each.created_at > former.started_at]
        if len(new) > 1:
            remedy = f"name the one to follow: slipway retry {self._request.origin.promotion_id} --task <arn>; or abort"
            raise self._several(new, remedy)
        if not new:
            await self._check_later(tasks, piped)
        return new[0] if new else None

    def _to_stop(self, own: Sequence[PipedTask]) -> PipedTask | None:
        """The task that runs, else the newest one; none where piped has run none.

        Raises:
            NeedsPersonError: Several run.
        """
        running = [each for each in own if not each.has_stopped]
        if len(running) > 1:
            raise self._several(running, "see which of them are this promotion's, and stop those in ECS")
        return max(running or own, key=lambda each: each.created_at, default=None)

    def _named(self, own: Sequence[PipedTask]) -> PipedTask:
        """The task that an operator named.

        Raises:
            NeedsPersonError: It is none that piped ran for the promotion.
        """
        named = self._request.named
        if found := next((each for each in own if each.arn == named), None):
            return found
        ids = ", ".join(each.arn for each in own[:NAMED]) or "none"
        raise NeedsPersonError(self.tried, f"{named} is none of those that piped ran for it: {ids}", "name one of these")

    async def none(self, listed: Sequence[TaskTypeDef]) -> NeedsPersonError:
        """The error for a task that is not there."""
        tasks = await self._tasks()
        head = await self._repository.head(self._request.origin.app.branch)
        if await tasks.brings(head) is Brings.other:
            return self._superseded(head, "and piped deploys the newest commit")
        waited = format_duration(self._request.within)
        said = f"piped ran none in {waited} (spec.task.timeout){await self._seen(tasks, listed)}"
        remedy = (
            "look in PipeCD whether the application has a deployment of this commit, and whether that failed, was skipped or "
            "waits; sync the application there if it has none; then retry, or abort"
        )
        return NeedsPersonError(self.tried, said, remedy)

    @property
    def tried(self) -> str:
        """What is tried, for errors."""
        place = f"the family {self._app.taskdef['family']} on {self._app.pipecd.ecs.cluster_arn}"
        return f"looking for the task that piped runs for the commit {self._request.commit[:12]}, of {place}"

    async def _tasks(self) -> Tasks:
        if self._known is None:
            origin, since = self._request.origin, await self._brought_by()
            self._known = Tasks(self._aws, self._repository, origin, self._app, since)
        return self._known

    async def _brought_by(self) -> str:
        """The commit that brought the image. Where the image was there already, the request names only the head of then."""
        origin, commit = self._request.origin, self._request.commit
        if not await self._repository.contains(origin.app.branch, commit):
            return origin.commit  # it was taken off the branch, and nothing of it will be deployed
        path = app_file(origin.app.folder, self._app.pipecd.ecs.task_definition_file)
        change = await self._repository.last_change(commit, path)
        return change.commit if change else commit

    async def _may_do(self, former: PipedTask) -> bool:
        """Whether the task of before is still the one: it runs, or has succeeded."""
        return not former.has_stopped or await has_succeeded(self._aws, former.task)

    async def _check_later(self, tasks: Tasks, piped: Collection[PipedTask]) -> None:
        """Checks that piped has not gone by the image.

        Raises:
            NeedsPersonError: It ran a later commit that brings another image, which still is the newest.
        """
        later = [each for each in piped if await tasks.brings(each.commit) is Brings.other]
        if not later:
            return
        head = await self._repository.head(self._request.origin.app.branch)
        if await tasks.brings(head) is Brings.other:
            last = max(later, key=lambda each: each.created_at)
            raise self._superseded(last.commit, f"and piped ran the task {last.id} for that")

    def _superseded(self, commit: str, so: str) -> NeedsPersonError:
        said = f"the later commit {commit[:12]} brings another image, {so}"
        remedy = "abort; or, if this image is to be trained after all, commit it to the branch again, and retry"
        return NeedsPersonError(self.tried, said, remedy)

    def _several(self, found: Sequence[PipedTask], remedy: str) -> NeedsPersonError:
        named = ", ".join(f"{each.arn} (of {each.commit[:12]})" for each in found[:NAMED])
        said = f"piped ran {len(found)}: {named}"
        return NeedsPersonError(self.tried, said, remedy)

    async def _seen(self, tasks: Tasks, listed: Sequence[TaskTypeDef]) -> str:
        """What is there that was passed over."""
        parts: list[str] = []
        piped = [each for task in listed if (each := by_piped(task))]
        if former := self._request.former:
            parts.append(f"none is newer than the task {former.arn.rpartition('/')[2]}, which did not succeed")
        foreign = [each for each in piped if await tasks.brings(each.commit) is Brings.image and not await tasks.runs_image(each)]
        if foreign:
            ids = ", ".join(each.id for each in foreign[:NAMED])
            parts.append(f"a revision with another image was run for it ({ids}): another one of the family came between")
        if others := len(listed) - len(piped):
            parts.append(f"{pluralize(others, 'task')} of the family without piped's tags")
        return "".join(f"; {part}" for part in parts)


async def list_tasks(aws: Aws, ecs: ECSClient, cluster: str, family: str) -> tuple[TaskTypeDef, ...]:
    """The tasks of a family on a cluster with their tags; ECS forgets stopped ones after about an hour."""
    tried = f"listing the tasks of the family {family} on the cluster {cluster}"
    arns: dict[str, None] = {}
    # Those that run first: one that stops meanwhile is in one of the lists.
    statuses: tuple[DesiredStatusType, ...] = ("RUNNING", "STOPPED")
    for status in statuses:
        pages = ecs.get_paginator("list_tasks").paginate(
            cluster=cluster, family=family, desiredStatus=status, PaginationConfig={"MaxItems": LISTED}
        )
        arns |= dict.fromkeys((await aws.call(tried, pages.build_full_result))["taskArns"])
    names = list(arns)
    found: list[TaskTypeDef] = []
    for start in range(0, len(names), BATCH):
        described = await aws.call(
            tried, ecs.describe_tasks, cluster=cluster, tasks=names[start : start + BATCH], include=["TAGS"]
        )
        found += described["tasks"]
    return tuple(found)
