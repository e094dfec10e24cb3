"""What ECS knows: clusters, task definitions and tasks of all accounts. Guarded by the service's lock, which callers hold."""

from __future__ import annotations

import itertools
import re
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from slipway_sandbox.calls import Caller
from slipway_sandbox.ecs import errors

STOPPED_TASKS_SHOWN = timedelta(hours=1)
"""How long DescribeTasks shows a task after it stopped. True time, not scaled: it is no wait."""

Tags = list[dict[str, str]]


@dataclass
class Cluster:
    """A cluster without container instances: what runs on it is Fargate."""

    account: str
    region: str
    name: str
    settings: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    capacity_providers: list[str] = field(default_factory=list[str])
    default_strategy: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    tags: Tags = field(default_factory=list[dict[str, str]])
    status: str = "ACTIVE"

    @property
    def arn(self) -> str:
        """The cluster's ARN."""
        return f"arn:aws:ecs:{self.region}:{self.account}:cluster/{self.name}"


@dataclass
class TaskDefinition:
    """One revision. `content` has the members that were registered, with AWS's defaults filled in."""

    account: str
    region: str
    family: str
    revision: int
    content: dict[str, Any]
    registered_at: datetime
    registered_by: str
    tags: Tags = field(default_factory=list[dict[str, str]])
    deregistered_at: datetime | None = None

    @property
    def arn(self) -> str:
        """The revision's ARN."""
        return f"arn:aws:ecs:{self.region}:{self.account}:task-definition/{self.family}:{self.revision}"

    @property
    def active(self) -> bool:
        """Whether it was not deregistered."""
        return self.deregistered_at is None

    @property
    def containers(self) -> list[dict[str, Any]]:
        """The container definitions."""
        return self.content["containerDefinitions"]

    def shown(self) -> dict[str, Any]:
        """As `taskDefinition` in answers."""
        return {
            **self.content,
            "taskDefinitionArn": self.arn,
            "family": self.family,
            "revision": self.revision,
            "status": "ACTIVE" if self.active else "INACTIVE",
            "registeredAt": self.registered_at,
            "registeredBy": self.registered_by,
            "deregisteredAt": self.deregistered_at,
        }


@dataclass
class TaskContainer:
    """One container of a task."""

    definition: dict[str, Any]
    task_arn: str
    arn: str
    runtime_id: str
    status: str = "PENDING"
    exit_code: int | None = None
    reason: str | None = None
    image_digest: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def name(self) -> str:
        """Its name in the task definition."""
        return self.definition["name"]

    @property
    def essential(self) -> bool:
        """Whether the task ends with it."""
        return self.definition["essential"]

    def shown(self) -> dict[str, Any]:
        """As an item of `containers` in answers."""
        return {
            "containerArn": self.arn,
            "taskArn": self.task_arn,
            "name": self.name,
            "image": self.definition["image"],
            "imageDigest": self.image_digest,
            "runtimeId": self.runtime_id if self.started_at else None,
            "lastStatus": self.status,
            "exitCode": self.exit_code,
            "reason": self.reason,
            "networkInterfaces": [],
            "healthStatus": "UNKNOWN",
            "cpu": str(self.definition["cpu"]),
            "memory": str(self.definition["memory"]) if "memory" in self.definition else None,
        }


@dataclass
class Task:
    """A task, from RunTask until an hour after it stopped."""

    cluster: Cluster
    definition: TaskDefinition
    id: str
    created_at: datetime
    request: dict[str, Any]
    launch_type: str
    tags: Tags
    containers: list[TaskContainer] = field(default_factory=list[TaskContainer])
    status: str = "PROVISIONING"
    desired_status: str = "RUNNING"
    version: int = 1
    stop_code: str | None = None
    stopped_reason: str | None = None
    pull_started_at: datetime | None = None
    pull_stopped_at: datetime | None = None
    started_at: datetime | None = None
    stopping_at: datetime | None = None
    execution_stopped_at: datetime | None = None
    stopped_at: datetime | None = None
    attachment_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def arn(self) -> str:
        """The task's ARN."""
        return f"arn:aws:ecs:{self.cluster.region}:{self.cluster.account}:task/{self.cluster.name}/{self.id}"

    @property
    def caller(self) -> Caller:
        """Who acts for it: ECS, in the cluster's account and region."""
        return Caller(self.cluster.account, self.cluster.region, self.cluster.account)

    @property
    def overrides(self) -> dict[str, Any]:
        """What RunTask said to do otherwise than the definition."""
        return self.request.get("overrides", {})

    @property
    def started_by(self) -> str | None:
        """RunTask's `startedBy`."""
        return self.request.get("startedBy")

    @property
    def task_role(self) -> str | None:
        """The role that the containers act as, if any."""
        return self.overrides.get("taskRoleArn") or self.definition.content.get("taskRoleArn")

    def shown(self, *, with_tags: bool) -> dict[str, Any]:
        """As an item of `tasks` in answers."""
        content = self.definition.content
        return {
            "attachments": self._attachments(),
            "attributes": [{"name": "ecs.cpu-architecture", "value": "x86_64"}],
            "availabilityZone": f"{self.cluster.region}a",
            "clusterArn": self.cluster.arn,
            "connectivity": "CONNECTED" if self.started_at else None,
            "connectivityAt": self.started_at,
            "containers": [container.shown() for container in self.containers],
            "cpu": self.overrides.get("cpu") or content.get("cpu"),
            "createdAt": self.created_at,
            "desiredStatus": self.desired_status,
            "enableExecuteCommand": False,
            "executionStoppedAt": self.execution_stopped_at,
            "group": self.request.get("group") or f"family:{self.definition.family}",
            "healthStatus": "UNKNOWN",
            "lastStatus": self.status,
            "launchType": self.launch_type,
            "memory": self.overrides.get("memory") or content.get("memory"),
            "overrides": {"containerOverrides": [], "inferenceAcceleratorOverrides": [], **self.overrides},
            "platformVersion": "1.4.0",
            "platformFamily": "Linux",
            "pullStartedAt": self.pull_started_at,
            "pullStoppedAt": self.pull_stopped_at,
            "startedAt": self.started_at,
            "startedBy": self.started_by,
            "stopCode": self.stop_code,
            "stoppedAt": self.stopped_at,
            "stoppedReason": self.stopped_reason,
            "stoppingAt": self.stopping_at,
            "tags": self.tags if with_tags else [],
            "taskArn": self.arn,
            "taskDefinitionArn": self.definition.arn,
            "version": self.version,
            "ephemeralStorage": {"sizeInGiB": 20},
        }

    def _attachments(self) -> list[dict[str, Any]]:
        network = self.request.get("networkConfiguration", {}).get("awsvpcConfiguration")
        if not network:
            return []
        status = {"PROVISIONING": "PRECREATED", "DEPROVISIONING": "DETACHED", "STOPPED": "DELETED"}.get(self.status, "ATTACHED")
        details = [{"name": "subnetId", "value": network["subnets"][0]}]
        return [{"id": self.attachment_id, "type": "ElasticNetworkInterface", "status": status, "details": details}]


class Store:
    """All clusters, task definitions and tasks."""

    def __init__(self) -> None:
        self._clusters: dict[str, Cluster] = {}
        self._families: dict[tuple[str, str, str], list[TaskDefinition]] = {}
        self._tasks: dict[str, Task] = {}
        self.tokens: dict[tuple[str, str], tuple[str, list[Task]]] = {}
        """By cluster ARN and client token: the request's fingerprint, and the tasks it started."""

    def put_cluster(self, cluster: Cluster) -> None:
        """Add a cluster, or replace one that was deleted."""
        self._clusters[cluster.arn] = cluster

    def find_cluster(self, caller: Caller, name: str | None) -> Cluster | None:
        """A cluster by name or ARN; `default` where none is named."""
        arn = name or "default"
        if not arn.startswith("arn:"):
            arn = f"arn:aws:ecs:{caller.region}:{caller.account}:cluster/{arn}"
        return self._clusters.get(arn)

    def active_cluster(self, caller: Caller, name: str | None) -> Cluster:
        """A cluster to work with.

        Raises:
            AwsError: `ClusterNotFoundException`.
        """
        cluster = self.find_cluster(caller, name)
        if cluster is None or cluster.status != "ACTIVE":
            raise errors.cluster_not_found()
        return cluster

    def clusters(self, caller: Caller) -> list[Cluster]:
        """The caller's clusters."""
        return [c for c in self._clusters.values() if (c.account, c.region) == (caller.account, caller.region)]

    def add_definition(self, definition: TaskDefinition) -> None:
        """Add a revision; it gets the family's next number."""
        revisions = self._families.setdefault((definition.account, definition.region, definition.family), [])
        definition.revision = len(revisions) + 1
        revisions.append(definition)

    def definitions(self, caller: Caller) -> list[TaskDefinition]:
        """All the caller's revisions, by family and number."""
        own = [(family, r) for (a, g, family), r in self._families.items() if (a, g) == (caller.account, caller.region)]
        return list(itertools.chain.from_iterable(revisions for _, revisions in sorted(own, key=lambda item: item[0])))

    def find_definition(self, caller: Caller, name: str) -> TaskDefinition | None:
        """A revision by ARN or `family:revision`; the latest active one of a bare family."""
        account, region = caller.account, caller.region
        if name.startswith("arn:"):
            _, _, _, region, account, name = [*name.split(":", 5), "", "", ""][:6]
            name = name.removeprefix("task-definition/")
        family, _, number = name.partition(":")
        revisions = self._families.get((account, region, family), [])
        if number:
            return next((one for one in revisions if str(one.revision) == number), None)
        return next((one for one in reversed(revisions) if one.active), None)

    def add_task(self, task: Task) -> None:
        """Add a task."""
        self._tasks[task.arn] = task

    def find_task(self, cluster: Cluster, name: str, now: datetime) -> Task | None:
        """A task by id or ARN, unless it stopped too long ago."""
        self._forget_old(now)
        task = self._tasks.get(name if name.startswith("arn:") else task_arn(cluster, name))
        return task if task and task.cluster is cluster else None

    def tasks(self, cluster: Cluster, now: datetime) -> list[Task]:
        """A cluster's tasks, the oldest first."""
        self._forget_old(now)
        return [task for task in self._tasks.values() if task.cluster is cluster]

    def tagged(self, arn: str) -> Cluster | TaskDefinition | Task:
        """What has tags under an ARN.

        Raises:
            AwsError: `InvalidParameterException` for what is no such ARN, `ResourceNotFoundException`.
        """
        found = re.fullmatch(r"arn:aws:ecs:(?P<region>[^:]+):(?P<account>\d{12}):(?P<kind>cluster|task|task-definition)/.+", arn)
        if not found:
            raise errors.invalid_parameter("Invalid ARN.")
        if found["kind"] == "task-definition":
            resource = self.find_definition(Caller(found["account"], found["region"], ""), arn)
        else:
            resource = self._clusters.get(arn) or self._tasks.get(arn)
        if resource is None:
            raise errors.resource_not_found(arn)
        return resource

    def forget(self, account: str | None) -> list[Task]:
        """Drop what one account has, or all; returns the tasks that were among it."""
        gone = [task for task in self._tasks.values() if account in (None, task.cluster.account)]
        self._tasks = {arn: task for arn, task in self._tasks.items() if account not in (None, task.cluster.account)}
        self._clusters = {arn: one for arn, one in self._clusters.items() if account not in (None, one.account)}
        self._families = {key: value for key, value in self._families.items() if account not in (None, key[0])}
        self.tokens = {key: value for key, value in self.tokens.items() if account not in (None, key[0].split(":")[4])}
        return gone

    def _forget_old(self, now: datetime) -> None:
        """Drop what is no longer shown. The oldest come first, so this looks at few."""
        old = [arn for arn, task in self._tasks.items() if task.stopped_at and now - task.stopped_at > STOPPED_TASKS_SHOWN]
        for arn in old:
            del self._tasks[arn]


def task_arn(cluster: Cluster, task_id: str) -> str:
    """The ARN that a task of this id has."""
    return f"arn:aws:ecs:{cluster.region}:{cluster.account}:task/{cluster.name}/{task_id}"


def new_id() -> str:
    """A task's or container's id."""
    return uuid.uuid4().hex


def merged_tags(old: Iterable[dict[str, str]], new: Iterable[dict[str, str]]) -> Tags:
    """Tags with others on top, by key."""
    by_key = {tag["key"]: tag.get("value", "") for tag in (*old, *new)}
    return [{"key": key, "value": value} for key, value in by_key.items()]
