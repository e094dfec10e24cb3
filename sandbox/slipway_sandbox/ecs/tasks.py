"""Tasks: run, show, stop."""

from __future__ import annotations

import json
from typing import Any
from weakref import WeakValueDictionary

from slipway_sandbox.core.calls import Caller
from slipway_sandbox.core.world import Room, World, dial, operation
from slipway_sandbox.ecs import errors
from slipway_sandbox.ecs.capacity import FARGATE, SPOT, spread
from slipway_sandbox.ecs.interruptions import REASONS, Capacity, Interruption
from slipway_sandbox.ecs.launch import Platform
from slipway_sandbox.ecs.listing import page
from slipway_sandbox.ecs.model import Cluster, Task, TaskContainer, TaskDefinition, Token, merged_tags, new_id, task_arn
from slipway_sandbox.ecs.run_rules import check_placement, check_roles, check_run, strategy_of
from slipway_sandbox.ecs.runner import TaskRunner
from slipway_sandbox.ecs.store import Store, own_identifier

MOST_DESCRIBED = 100
LONGEST_REASON = 1024
FAILURES_FAULT = "RunTask.failures"
"""The operation name by which a planted fault makes RunTask answer 200 with its message as the reason of a failure."""


class TaskRoom(Room):
    """Runs tasks and keeps them for an hour after they stopped."""

    service = "ecs"

    def __init__(self, world: World, store: Store, platform: Platform) -> None:
        super().__init__(world)
        self._store = store
        self._platform = platform
        self._capacity: dict[tuple[str, str, str], dict[str, Any]] = {}
        """Dials by account, region and provider."""
        # A runner lives as long as its thread does, which is as long as there is something to stop.
        self._runners: WeakValueDictionary[str, TaskRunner] = WeakValueDictionary()

    def reset(self, account: str | None) -> None:
        """Forget everything of ECS, and end what runs."""
        for task in self._store.forget(account):
            runner = self._runners.pop(task.arn, None)
            if runner:
                runner.abort()
        for key in [key for key in self._capacity if account in (None, key[0])]:
            del self._capacity[key]

    @operation(
        "RunTask",
        differs="Fargate only: EC2 answers as a cluster without instances; subnets and security groups need not exist, and a "
        "role that IAM does not know will do, unless the account is strict; placement is ignored; the wording of limits is not "
        "verified",
    )
    def run_task(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """Start tasks; or answer the tasks that the same client token started before."""
        check_run(request)
        cluster = self._store.active_cluster(caller, request.get("cluster"))
        known = self._find_by_token(cluster, request)
        if known:
            return known
        own_identifier(caller, request["taskDefinition"])
        definition = self._store.find_definition(caller, request["taskDefinition"])
        if definition is None:
            raise errors.task_definition_not_found()
        strategy = strategy_of(request, cluster)
        refusal = check_placement(request, strategy, definition)
        if refusal:
            raise refusal
        check_roles(self.world, caller, request, definition)
        count = request.get("count", 1)
        providers: list[str | None] = [*spread(strategy, count)] if strategy else [None] * count
        tasks: list[Task] = []
        failures: list[dict[str, str]] = []
        for provider in providers:
            reason = self._placement_failure(cluster, provider or FARGATE)
            if reason:
                failures.append({"reason": reason})
            else:
                tasks.append(self._start_task(cluster, definition, request, provider))
        if tasks and "clientToken" in request:
            meaning = Token(fingerprint(request), [task.arn for task in tasks])
            self._store.put_token(cluster, request["clientToken"], meaning)
        return {"tasks": [task.shown(with_tags=True) for task in tasks], "failures": failures}

    @operation(
        "DescribeTasks",
        differs="ACTIVATING and DEACTIVATING are never seen, as there are no load balancers; a stopped task is shown for a "
        "simulated hour, and at least two real minutes where time runs by itself; containers share the host's network, so "
        "their address is 127.0.0.1",
    )
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
            task = self._store.find_task(caller, cluster, name)
            if task:
                shown.append(task.shown(with_tags=with_tags))
            else:
                failures.append({"arn": name if name.startswith("arn:") else task_arn(cluster.arn, name), "reason": "MISSING"})
        return {"tasks": shown, "failures": failures}

    @operation(
        "ListTasks",
        differs="there are no container instances, services and daemons: a filter by the first and last finds nothing; startedBy "
        "may stand beside desiredStatus and launchType",
    )
    def list_tasks(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """ARNs of tasks; those that are to run, unless stopped ones are asked for."""
        cluster = self._store.active_cluster(caller, request.get("cluster"))
        if request.get("serviceName"):
            raise errors.service_not_found()
        if request.get("startedBy") and request.get("family"):
            raise errors.invalid_parameter("startedBy must be the only filter.")
        wanted = {
            "desired_status": request.get("desiredStatus") or "RUNNING",
            "started_by": request.get("startedBy"),
            "launch_type": request.get("launchType"),
            "family": request.get("family"),
        }
        elsewhere = request.get("containerInstance") or request.get("daemonName")
        rows = [
            task.arn
            for task in self._store.tasks(cluster)
            if not elsewhere and all(value in (None, getattr(task, name)) for name, value in wanted.items())
        ]
        arns, token = page(rows, request)
        return {"taskArns": arns, "nextToken": token}

    @operation(
        "StopTask",
        differs="stopTimeout is scaled, but at least two real seconds; STOPSIGNAL is not used; the task keeps its tags",
    )
    def stop_task(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """Ask a task to end; one that ended already is answered as it is."""
        cluster = self._store.active_cluster(caller, request.get("cluster"))
        reason = request.get("reason") or "Task stopped by user"
        if len(reason) > LONGEST_REASON:
            raise errors.invalid_parameter(f"reason has at most {LONGEST_REASON} characters.")
        task = self._store.find_task(caller, cluster, request["task"])
        if task is None:
            raise errors.task_not_found()
        runner = self._runners.get(task.arn)
        if runner:
            runner.stop("UserInitiated", reason)
        return {"task": task.shown(with_tags=True)}

    @dial("interrupt")
    def interrupt(self, body: dict[str, Any]) -> dict[str, Any]:
        """End a task that runs as a host's fault, its retirement, or the Spot market does: `{"task", "kind", "reason"}`."""
        interruption = Interruption.model_validate(body)
        runner = self._runners.get(interruption.task)
        if runner is None or runner.task.desired_status == "STOPPED":
            raise ValueError(f"no task {interruption.task} runs")
        if interruption.kind == "SpotInterruption" and runner.task.capacity_provider != SPOT:
            raise ValueError(f"{interruption.task} does not run on {SPOT}")
        reason = interruption.reason or REASONS[interruption.kind]
        if interruption.kind == "InfrastructureHealth":
            runner.lose_host(interruption.kind, reason)
        else:
            runner.stop(interruption.kind, reason)
        return {"task": interruption.task}

    @dial("capacity")
    def set_capacity(self, body: dict[str, Any]) -> dict[str, Any]:
        """Limit the tasks that run at a time: `{"account", "region", "provider", "tasks", "reason"}`; `tasks` null lifts it."""
        capacity = Capacity.model_validate(body)
        key = (capacity.account, capacity.region, capacity.provider)
        if capacity.tasks is None:
            self._capacity.pop(key, None)
        else:
            self._capacity[key] = capacity.model_dump()
        return capacity.model_dump()

    def _placement_failure(self, cluster: Cluster, provider: str) -> str | None:
        """Why the next task cannot be placed, where a fault or a dial says so."""
        fault = self.world.faults.strike("ecs", FAILURES_FAULT, cluster.account)
        if fault:
            return fault.fault.message
        limit = self._capacity.get((cluster.account, cluster.region, provider))
        if limit is None:
            return None
        place = (cluster.account, cluster.region, provider)
        running = [
            task
            for task in self._store.all_tasks()
            if task.status != "STOPPED" and (task.account, task.region, task.capacity_provider or FARGATE) == place
        ]
        return limit["reason"] if len(running) >= limit["tasks"] else None

    def _find_by_token(self, cluster: Cluster, request: dict[str, Any]) -> dict[str, Any] | None:
        """The answer to an earlier request with the same token.

        Raises:
            AwsError: `ConflictException`; the requests differ.
        """
        found = self._store.find_token(cluster, request.get("clientToken", ""))
        if found is None:
            return None
        if found.fingerprint != fingerprint(request):
            raise errors.token_in_use(found.tasks)
        tasks = self._store.tasks_of(found)
        known = [task.arn for task in tasks]
        failures = [{"arn": arn, "reason": "MISSING"} for arn in found.tasks if arn not in known]
        return {"tasks": [task.shown(with_tags=True) for task in tasks], "failures": failures}

    def _start_task(self, cluster: Cluster, definition: TaskDefinition, request: dict[str, Any], provider: str | None) -> Task:
        task = Task(
            cluster.arn,
            definition,
            new_id(),
            self.world.clock.now(),
            request,
            capacity_provider=provider,
            tags=tags_of(cluster, definition, request),
        )
        overrides = {each["name"]: each for each in request.get("overrides", {}).get("containerOverrides", [])}
        attachment = task.attachment_id if "networkConfiguration" in request else None
        for container in definition.containers:
            arn = f"arn:aws:ecs:{cluster.region}:{cluster.account}:container/{cluster.name}/{task.id}/{new_id()}"
            runtime_id = f"{task.id}-{new_id()[:10]}"
            override = overrides.get(container["name"], {})
            task.containers.append(TaskContainer(container, task.arn, arn, runtime_id, attachment, override))
        self._store.add_task(task)
        runner = self._runners[task.arn] = TaskRunner(self._platform, task, self.lock, self._store.note_stopped)
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
