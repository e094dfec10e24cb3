"""ECS's state, of all accounts. Callers hold the service's lock."""

from __future__ import annotations

import itertools
import re
from typing import Any

from slipway_sandbox.core.calls import Caller
from slipway_sandbox.core.clock import Clock
from slipway_sandbox.ecs import errors
from slipway_sandbox.ecs.expiry import Expiry
from slipway_sandbox.ecs.model import Cluster, Family, Task, TaskDefinition, Token, task_arn

STOPPED_TASKS_SHOWN = 3600.0
"""Simulated seconds that DescribeTasks shows a task after it stopped."""
STOPPED_TASKS_SHOWN_AT_LEAST = 120.0
"""The same in real seconds: a client that polls must find the end of its task, however fast simulated time runs."""
TOKENS_KEPT = 24 * 3600.0
"""Simulated seconds that a client token stands for its request."""
IDENTIFIER = re.compile(
    r"arn:aws[a-z-]*:ecs:(?P<region>[^:]+):(?P<account>\d{12}):(?P<kind>cluster|task|task-definition|service)/(?P<name>.+)"
)
TASK_ID_LENGTHS = (32, 36)


class Store:
    """Clusters, task definitions, tasks and tokens.

    Args:
        clock: The sandbox's.
    """

    def __init__(self, clock: Clock) -> None:
        self._clusters: dict[str, Cluster] = {}
        self._families: dict[tuple[str, str, str], Family] = {}
        self._tasks: dict[str, Task] = {}
        self._tokens: dict[tuple[str, str], Token] = {}
        """By cluster ARN and client token."""
        self._old_tasks: Expiry[str] = Expiry(clock, STOPPED_TASKS_SHOWN, STOPPED_TASKS_SHOWN_AT_LEAST)
        self._old_tokens: Expiry[tuple[str, str]] = Expiry(clock, TOKENS_KEPT)

    def put_cluster(self, cluster: Cluster) -> None:
        """Add a cluster, or replace one that was deleted; the old one's tasks are gone with it."""
        for task in self.tasks(cluster):
            del self._tasks[task.arn]
        self._clusters[cluster.arn] = cluster

    def find_cluster(self, caller: Caller, name: str | None) -> Cluster | None:
        """A cluster by name or ARN; `default` where none is named.

        Raises:
            AwsError: `InvalidParameterException`; the ARN is another account's.
        """
        arn = name or "default"
        if not arn.startswith("arn:"):
            arn = f"arn:aws:ecs:{caller.region}:{caller.account}:cluster/{arn}"
        own_identifier(caller, arn)
        return self._clusters.get(arn)

    def active_cluster(self, caller: Caller, name: str | None) -> Cluster:
        """A cluster to work with.

        Raises:
            AwsError: `ClusterNotFoundException`.
        """
        cluster = self.find_cluster(caller, name)
        if cluster is None:
            raise errors.cluster_not_found()
        if cluster.status != "ACTIVE":
            raise errors.cluster_inactive()
        return cluster

    def clusters(self, caller: Caller) -> list[Cluster]:
        """The caller's clusters."""
        return [c for c in self._clusters.values() if (c.account, c.region) == (caller.account, caller.region)]

    def add_definition(self, definition: TaskDefinition) -> None:
        """Add a revision; it gets the family's next number."""
        family = self._families.setdefault((definition.account, definition.region, definition.family), Family())
        family.latest += 1
        definition.revision = family.latest
        family.revisions.append(definition)

    def remove_definition(self, definition: TaskDefinition) -> None:
        """Drop a revision. Its number stays taken."""
        family = self._families.get((definition.account, definition.region, definition.family))
        if family:
            family.revisions = [one for one in family.revisions if one.revision != definition.revision]

    def definitions(self, caller: Caller) -> list[TaskDefinition]:
        """All the caller's revisions, by family and number."""
        own = [(key[2], family) for key, family in self._families.items() if key[:2] == (caller.account, caller.region)]
        return list(itertools.chain.from_iterable(family.revisions for _, family in sorted(own, key=lambda item: item[0])))

    def find_definition(self, caller: Caller, name: str) -> TaskDefinition | None:
        """A revision by ARN or `family:revision`; the latest active one of a bare family."""
        account, region = caller.account, caller.region
        if name.startswith("arn:"):
            _, _, _, region, account, name = [*name.split(":", 5), "", "", ""][:6]
            name = name.removeprefix("task-definition/")
        family, _, number = name.partition(":")
        revisions = self._families.get((account, region, family), Family()).revisions
        if number:
            return next((one for one in revisions if str(one.revision) == number), None)
        return next((one for one in reversed(revisions) if one.status == "ACTIVE"), None)

    def add_task(self, task: Task) -> None:
        """Add a task."""
        self._tasks[task.arn] = task

    def note_stopped(self, task: Task) -> None:
        """A task stopped: an hour from now it is forgotten."""
        self._old_tasks.add(task.arn)

    def find_task(self, caller: Caller, cluster: Cluster, name: str) -> Task | None:
        """A task of a cluster by id or ARN, unless it stopped too long ago.

        Raises:
            AwsError: `InvalidParameterException`; no task is named like that.
        """
        self._forget_old()
        task = self._tasks.get(task_identifier(caller, cluster, name))
        return task if task and task.cluster_arn == cluster.arn else None

    def tasks(self, cluster: Cluster) -> list[Task]:
        """A cluster's tasks, the oldest first."""
        self._forget_old()
        return [task for task in self._tasks.values() if task.cluster_arn == cluster.arn]

    def all_tasks(self) -> list[Task]:
        """The tasks of all clusters."""
        return list(self._tasks.values())

    def find_token(self, cluster: Cluster, token: str) -> Token | None:
        """What a client token stands for."""
        self._forget_old()
        return self._tokens.get((cluster.arn, token))

    def put_token(self, cluster: Cluster, token: str, meaning: Token) -> None:
        """Remember a client token's request for a day."""
        self._tokens[cluster.arn, token] = meaning
        self._old_tokens.add((cluster.arn, token))

    def tasks_of(self, token: Token) -> list[Task]:
        """The tasks of a token that are still known."""
        return [self._tasks[arn] for arn in token.tasks if arn in self._tasks]

    def find_tagged(self, caller: Caller, arn: str) -> Cluster | TaskDefinition | Task | None:
        """What has tags under an ARN.

        Raises:
            AwsError: `InvalidParameterException` for what is no such ARN, `ClusterNotFoundException`.
        """
        found = own_identifier(caller, arn)
        if found is None or found["kind"] == "service":
            raise errors.invalid_parameter("Invalid identifier: Unexpected number of separators")
        if found["kind"] == "cluster":
            return self.active_cluster(caller, arn)
        self._forget_old()
        return self.find_definition(caller, arn) if found["kind"] == "task-definition" else self._tasks.get(arn)

    def forget(self, account: str | None) -> list[Task]:
        """Drop what one account has, or all; returns the tasks that were among it."""
        gone = [task for task in self._tasks.values() if account in (None, task.account)]
        tables: list[dict[Any, Any]] = [self._clusters, self._families, self._tasks, self._tokens]
        for table in tables:
            for key in [key for key in table if account in (None, account_of(key if isinstance(key, str) else key[0]))]:
                del table[key]
        return gone

    def _forget_old(self) -> None:
        for arn in self._old_tasks.take_due():
            self._tasks.pop(arn, None)
        for key in self._old_tokens.take_due():
            self._tokens.pop(key, None)


def account_of(key: str) -> str:
    """The account that an ARN names, or that is the key itself."""
    return key.split(":")[4] if key.startswith("arn:") else key


def own_identifier(caller: Caller, arn: str) -> re.Match[str] | None:
    """The parts of an ECS ARN; None for what is none.

    Raises:
        AwsError: `InvalidParameterException`; it is another account's.
    """
    found = IDENTIFIER.fullmatch(arn)
    if found and found["account"] != caller.account:
        raise errors.invalid_parameter("AccountIDs mismatch")
    return found


def task_identifier(caller: Caller, cluster: Cluster, name: str) -> str:
    """The ARN that a task's id or ARN stands for.

    Raises:
        AwsError: `InvalidParameterException`; it is neither.
    """
    found = own_identifier(caller, name)
    if name.startswith("arn:") and (found is None or found["kind"] != "task"):
        raise errors.invalid_parameter("Invalid identifier: Unexpected number of separators")
    if len(name.rpartition("/")[2]) not in TASK_ID_LENGTHS:
        raise errors.invalid_parameter("taskId length should be one of [32,36]")
    return name if found else task_arn(cluster.arn, name)
