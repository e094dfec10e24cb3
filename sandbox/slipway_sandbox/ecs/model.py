"""A cluster, task definition, container and task, as ECS stores and shows them."""

from __future__ import annotations

import platform
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from slipway_sandbox.core.calls import Caller

LOCAL_ADDRESS = "127.0.0.1"
"""Where a task's ports are: containers share the host's network."""
ARCHITECTURE = "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64"
"""This machine's, which is what images run on."""
HEALTH = "UNKNOWN"
"""Health checks are not run."""
DEFAULT_STORAGE = 20
"""GiB of a Fargate task that asks for no more."""

Tags = list[dict[str, str]]


@dataclass
class Cluster:
    """A cluster without container instances: what runs on it is Fargate."""

    account: str
    region: str
    name: str
    settings: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    configuration: dict[str, Any] | None = None
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
    delete_requested_at: datetime | None = None

    @property
    def arn(self) -> str:
        """The revision's ARN."""
        return f"arn:aws:ecs:{self.region}:{self.account}:task-definition/{self.family}:{self.revision}"

    @property
    def status(self) -> str:
        """Whether it can be run, shown, or is about to go."""
        if self.delete_requested_at:
            return "DELETE_IN_PROGRESS"
        return "INACTIVE" if self.deregistered_at else "ACTIVE"

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
            "status": self.status,
            "registeredAt": self.registered_at,
            "registeredBy": self.registered_by,
            "deregisteredAt": self.deregistered_at,
            "deleteRequestedAt": self.delete_requested_at,
        }


@dataclass
class Family:
    """The revisions of a name. A number is never given twice, even when its revision was deleted."""

    latest: int = 0
    revisions: list[TaskDefinition] = field(default_factory=list[TaskDefinition])


@dataclass
class TaskContainer:
    """One container of a task."""

    definition: dict[str, Any]
    task_arn: str
    arn: str
    runtime_id: str
    attachment: str | None = None
    """The id of the task's network interface."""
    override: dict[str, Any] = field(default_factory=dict[str, Any])
    """What RunTask said of it."""
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

    @property
    def memory_limit(self) -> int | None:
        """MiB that it may use, where it has a limit of its own."""
        return self.override.get("memory") or self.definition.get("memory")

    def setting(self, name: str) -> Any:
        """RunTask's value of a member, else the definition's."""
        return self.override.get(name) or self.definition.get(name)

    def shown(self) -> dict[str, Any]:
        """As an item of `containers` in answers."""
        interface = {"attachmentId": self.attachment, "privateIpv4Address": LOCAL_ADDRESS}
        sizes = {name: self.setting(name) for name in ("memory", "memoryReservation")}
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
            "networkBindings": [] if self.started_at else None,
            "networkInterfaces": [interface] if self.attachment and self.started_at else [],
            "healthStatus": HEALTH,
            "cpu": str(self.setting("cpu") or 0),
            **{name: str(size) for name, size in sizes.items() if size},
        }


@dataclass
class Task:
    """A task, from RunTask until an hour after it stopped."""

    cluster_arn: str
    definition: TaskDefinition
    id: str
    created_at: datetime
    request: dict[str, Any]
    capacity_provider: str | None
    tags: Tags
    launch_type: str = "FARGATE"
    containers: list[TaskContainer] = field(default_factory=list[TaskContainer])
    status: str = "PROVISIONING"
    desired_status: str = "RUNNING"
    version: int = 0
    stop_code: str | None = None
    stopped_reason: str | None = None
    connected_at: datetime | None = None
    pull_started_at: datetime | None = None
    pull_stopped_at: datetime | None = None
    started_at: datetime | None = None
    stopping_at: datetime | None = None
    execution_stopped_at: datetime | None = None
    stopped_at: datetime | None = None
    attachment_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def account(self) -> str:
        """Whose it is."""
        return self.cluster_arn.split(":")[4]

    @property
    def region(self) -> str:
        """Where it runs."""
        return self.cluster_arn.split(":")[3]

    @property
    def arn(self) -> str:
        """The task's ARN."""
        return task_arn(self.cluster_arn, self.id)

    @property
    def caller(self) -> Caller:
        """Who acts for it: ECS, in the cluster's account and region."""
        return Caller(self.account, self.region, self.account)

    @property
    def overrides(self) -> dict[str, Any]:
        """What RunTask said to do otherwise than the definition."""
        return self.request.get("overrides", {})

    @property
    def started_by(self) -> str | None:
        """RunTask's `startedBy`."""
        return self.request.get("startedBy")

    @property
    def family(self) -> str:
        """Its definition's family."""
        return self.definition.family

    @property
    def task_role(self) -> str | None:
        """The role that the containers act as, if any."""
        return self.setting("taskRoleArn")

    @property
    def execution_role(self) -> str | None:
        """The role that ECS fetches images, secrets and files as, if any."""
        return self.setting("executionRoleArn")

    @property
    def platform_version(self) -> str:
        """The platform that it runs on."""
        wanted = self.request.get("platformVersion")
        return "1.4.0" if wanted in (None, "LATEST") else wanted

    def setting(self, name: str) -> Any:
        """RunTask's value of a member, else the definition's."""
        return self.overrides.get(name) or self.definition.content.get(name)

    def shown(self, *, with_tags: bool) -> dict[str, Any]:
        """As an item of `tasks` in answers."""
        storage = self.setting("ephemeralStorage") or {"sizeInGiB": DEFAULT_STORAGE}
        return {
            "attachments": self._attachments(),
            "attributes": [{"name": "ecs.cpu-architecture", "value": ARCHITECTURE}],
            "availabilityZone": f"{self.region}a",
            "capacityProviderName": self.capacity_provider,
            "clusterArn": self.cluster_arn,
            "connectivity": "CONNECTED" if self.connected_at else None,
            "connectivityAt": self.connected_at,
            "containers": [container.shown() for container in self.containers],
            "cpu": self.setting("cpu"),
            "createdAt": self.created_at,
            "desiredStatus": self.desired_status,
            "enableExecuteCommand": self.request.get("enableExecuteCommand", False),
            "executionStoppedAt": self.execution_stopped_at,
            "group": self.request.get("group") or f"family:{self.family}",
            "healthStatus": HEALTH,
            "lastStatus": self.status,
            "launchType": self.launch_type,
            "memory": self.setting("memory"),
            "overrides": self._shown_overrides(),
            "platformVersion": self.platform_version,
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
            "ephemeralStorage": storage,
            "fargateEphemeralStorage": storage,
        }

    def _shown_overrides(self) -> dict[str, Any]:
        """AWS names every container, with an override or without."""
        containers = [container.override or {"name": container.name} for container in self.containers]
        return {"inferenceAcceleratorOverrides": [], **self.overrides, "containerOverrides": containers}

    def _attachments(self) -> list[dict[str, Any]]:
        network = self.request.get("networkConfiguration", {}).get("awsvpcConfiguration")
        if not network:
            return []
        status = {"PROVISIONING": "PRECREATED", "DEPROVISIONING": "DETACHED", "STOPPED": "DELETED"}.get(self.status, "ATTACHED")
        details = {"subnetId": network["subnets"][0]}
        if status != "PRECREATED":
            number = uuid.UUID(self.attachment_id).hex
            details |= {
                "networkInterfaceId": f"eni-{number[:17]}",
                "macAddress": "02:" + ":".join(number[index : index + 2] for index in range(0, 10, 2)),
                "privateIPv4Address": LOCAL_ADDRESS,
            }
        shown = [{"name": name, "value": value} for name, value in details.items()]
        return [{"id": self.attachment_id, "type": "ElasticNetworkInterface", "status": status, "details": shown}]


@dataclass
class Token:
    """What a client token stands for."""

    fingerprint: str
    tasks: list[str]
    """The ARNs of the tasks that it started."""


def task_arn(cluster_arn: str, task_id: str) -> str:
    """The ARN that a task of this id has."""
    return f"{cluster_arn.replace(':cluster/', ':task/')}/{task_id}"


def new_id() -> str:
    """A task's or container's id."""
    return uuid.uuid4().hex


def merged_tags(old: Iterable[dict[str, str]], new: Iterable[dict[str, str]]) -> Tags:
    """Tags with others on top, by key."""
    by_key = {tag["key"]: tag.get("value", "") for tag in (*old, *new)}
    return [{"key": key, "value": value} for key, value in by_key.items()]
