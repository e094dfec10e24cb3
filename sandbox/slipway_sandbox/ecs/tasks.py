"""Tasks: run, show, stop."""

from __future__ import annotations

import json
from typing import Any
from weakref import WeakValueDictionary

from slipway_sandbox.calls import Caller
from slipway_sandbox.containers import ContainerRuntime
from slipway_sandbox.credentials import CredentialsEndpoint
from slipway_sandbox.ecs import errors
from slipway_sandbox.ecs.metadata import Metadata
from slipway_sandbox.ecs.runner import TaskRunner
from slipway_sandbox.ecs.store import Cluster, Store, Task, TaskContainer, TaskDefinition, merged_tags, new_id, task_arn
from slipway_sandbox.ecs.validation import check_placement, check_run
from slipway_sandbox.pages import page
from slipway_sandbox.world import Room, World, operation

MOST_DESCRIBED = 100
FAILURES_FAULT = "RunTask.failures"
"""The operation name by which a planted fault makes RunTask answer 200 with its message as the reason of a failure."""


class TaskRoom(Room):
    """Runs tasks and keeps them for an hour after they stopped."""

    service = "ecs"

    def __init__(
        self, world: World, store: Store, runtime: ContainerRuntime, metadata: Metadata, credentials: CredentialsEndpoint
    ) -> None:
        super().__init__(world)
        self._store = store
        self._runtime = runtime
        self._metadata = metadata
        self._credentials = credentials
        # A runner lives as long as its thread does, which is as long as there is something to stop.
        self._runners: WeakValueDictionary[str, TaskRunner] = WeakValueDictionary()

    def reset(self, account: str | None) -> None:
        """Forget everything of ECS, and end what runs."""
        for task in self._store.forget(account):
            runner = self._runners.pop(task.arn, None)
            if runner:
                runner.abort()

    @operation("RunTask")
    def run_task(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """Start tasks; or answer the tasks that the same client token started before."""
        check_run(request)
        cluster = self._store.active_cluster(caller, request.get("cluster"))
        known = self._find_by_token(cluster, request)
        if known is not None:
            return {"tasks": [task.shown(with_tags=True) for task in known], "failures": []}
        definition = self._store.find_definition(caller, request["taskDefinition"])
        if definition is None:
            raise errors.task_definition_not_found()
        refusal = check_placement(request, cluster, definition)
        if refusal:
            raise refusal
        fault = self.world.faults.strike("ecs", FAILURES_FAULT, caller.account)
        if fault:
            return {"tasks": [], "failures": [{"reason": fault.fault.message}]}
        tasks = [self._start_task(cluster, definition, request) for _ in range(request.get("count", 1))]
        if "clientToken" in request:
            self._store.tokens[cluster.arn, request["clientToken"]] = (fingerprint(request), tasks)
        return {"tasks": [task.shown(with_tags=True) for task in tasks], "failures": []}

    @operation("DescribeTasks")
    def describe_tasks(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """Tasks by id or ARN, with what they are doing now."""
        cluster = self._store.active_cluster(caller, request.get("cluster"))
        if not request["tasks"]:
            raise errors.invalid_parameter("Tasks cannot be empty.")
        if len(request["tasks"]) > MOST_DESCRIBED:
            raise errors.invalid_parameter(f"Tasks cannot have more than {MOST_DESCRIBED} elements.")
        with_tags = "TAGS" in request.get("include", [])
        shown: list[dict[str, Any]] = []
        failures: list[dict[str, Any]] = []
        for name in request["tasks"]:
            task = self._store.find_task(cluster, name, self.world.clock.now())
            if task:
                shown.append(task.shown(with_tags=with_tags))
            else:
                failures.append({"arn": name if name.startswith("arn:") else task_arn(cluster, name), "reason": "MISSING"})
        return {"tasks": shown, "failures": failures}

    @operation("ListTasks")
    def list_tasks(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """ARNs of tasks; those that are to run, unless stopped ones are asked for."""
        cluster = self._store.active_cluster(caller, request.get("cluster"))
        wanted = {
            "desired_status": request.get("desiredStatus") or "RUNNING",
            "started_by": request.get("startedBy"),
            "launch_type": request.get("launchType"),
        }
        family = request.get("family")
        rows = [
            task.arn
            for task in self._store.tasks(cluster, self.world.clock.now())
            if all(value in (None, getattr(task, name)) for name, value in wanted.items())
            and family in (None, task.definition.family)
        ]
        arns, token = page(rows, request)
        return {"taskArns": arns, "nextToken": token}

    @operation("StopTask")
    def stop_task(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """Ask a task to end; one that ended already is answered as it is."""
        cluster = self._store.active_cluster(caller, request.get("cluster"))
        task = self._store.find_task(cluster, request["task"], self.world.clock.now())
        if task is None:
            raise errors.task_not_found()
        runner = self._runners.get(task.arn)
        if runner:
            runner.stop("UserInitiated", request.get("reason") or "Task stopped by user")
        return {"task": task.shown(with_tags=True)}

    def _find_by_token(self, cluster: Cluster, request: dict[str, Any]) -> list[Task] | None:
        """The tasks of an earlier request with the same token.

        Raises:
            AwsError: `ConflictException`; the requests differ.
        """
        found = self._store.tokens.get((cluster.arn, request.get("clientToken", "")))
        if found is None:
            return None
        print_before, tasks = found
        if print_before != fingerprint(request):
            raise errors.token_in_use([task.arn for task in tasks])
        return tasks

    def _start_task(self, cluster: Cluster, definition: TaskDefinition, request: dict[str, Any]) -> Task:
        task = Task(
            cluster,
            definition,
            new_id(),
            self.world.clock.now(),
            request,
            launch_type="FARGATE",
            tags=tags_of(cluster, definition, request),
        )
        for container in definition.containers:
            arn = f"arn:aws:ecs:{cluster.region}:{cluster.account}:container/{cluster.name}/{task.id}/{new_id()}"
            task.containers.append(TaskContainer(container, task.arn, arn, f"{task.id}-{new_id()[:10]}"))
        self._store.add_task(task)
        runner = self._runners[task.arn] = TaskRunner(
            self.world, self._runtime, self._metadata, self._credentials, task, self.lock
        )
        runner.start()
        return task


def tags_of(cluster: Cluster, definition: TaskDefinition, request: dict[str, Any]) -> list[dict[str, str]]:
    """A task's own tags, with those of its definition and of ECS where RunTask asks for them."""
    inherited = definition.tags if request.get("propagateTags") == "TASK_DEFINITION" else []
    managed = [{"key": "aws:ecs:clusterName", "value": cluster.name}] if request.get("enableECSManagedTags") else []
    return merged_tags(inherited, [*request.get("tags", []), *managed])


def fingerprint(request: dict[str, Any]) -> str:
    """What makes two requests the same."""
    return json.dumps({**request, "clientToken": None}, sort_keys=True, default=str)
