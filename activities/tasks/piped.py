"""The tasks that piped runs, known by its tags, and whether they run the image of one promotion."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING

from activities.event_commits import value_at, value_if_there
from activities.guard import promoted_image
from activities.origin import Origin
from activities.tasks.messages import FoundTask, StartedTask
from activities.tasks.verdict import definitions_of
from slipway.app.lint import App
from slipway.aws.clients import Aws
from slipway.git.repository import Repository

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

    def found(self, deployment: str = "", told: str = "") -> FoundTask:
        """The task for the workflow.

        Args:
            deployment: PipeCD's id of the deployment that ran it, where PipeCD was asked and knows it.
            told: What PipeCD said of it, or why it said nothing.
        """
        task = StartedTask(
            arn=self.arn,
            cluster=self.task.get("clusterArn", ""),
            started_at=self.created_at,
            definition=self.task.get("taskDefinitionArn", ""),
            deployment=deployment,
        )
        return FoundTask(task=task, commit=self.commit, application=self.application, pipecd=told)


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
