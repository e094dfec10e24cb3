"""How tasks end, are remembered and forgotten."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from slipway_sandbox.core.clock import Clock
from slipway_sandbox.core.events import Event
from slipway_sandbox.core.world import World
from slipway_sandbox.ecs.changes import tell
from slipway_sandbox.ecs.model import Task, TaskContainer, TaskDefinition
from slipway_sandbox.testing import SandboxProcess, fresh_account

from sandbox.testkit.ecs import TaskDesk, until

DAY = 24 * 3600


@pytest.fixture
def still_desk() -> Iterator[TaskDesk]:
    """A desk in a sandbox whose time is moved by hand."""
    with SandboxProcess(time_scale=0) as sandbox:
        yield TaskDesk(sandbox, fresh_account())


def finish(desk: TaskDesk, task: str) -> dict[str, Any]:
    """Move the time until a task has stopped."""

    def is_stopped() -> bool:
        desk.sandbox.advance(10)
        return desk.describe(task)["lastStatus"] == "STOPPED"

    until(is_stopped, f"the end of {task}")
    return desk.describe(task)


def test_given_a_stopped_task_when_an_hour_has_passed_then_it_is_missing(still_desk: TaskDesk) -> None:
    desk = still_desk
    task = desk.start(desk.register(desk.container()))
    finish(desk, task)
    desk.sandbox.advance(3500)
    assert desk.ecs.list_tasks(cluster="main", desiredStatus="STOPPED")["taskArns"] == [task]
    desk.sandbox.advance(100)
    answer = desk.ecs.describe_tasks(cluster="main", tasks=[task])
    assert (answer["tasks"], answer["failures"]) == ([], [{"arn": task, "reason": "MISSING"}])
    assert desk.ecs.list_tasks(cluster="main", desiredStatus="STOPPED")["taskArns"] == []


def test_given_a_client_token_when_a_day_has_passed_then_it_stands_for_a_new_task(still_desk: TaskDesk) -> None:
    desk = still_desk
    definition = desk.register(desk.container())
    task = desk.start(definition, clientToken="once")
    finish(desk, task)
    desk.sandbox.advance(DAY - 3600)
    again = desk.run(definition, clientToken="once")
    assert (again["tasks"], again["failures"]) == ([], [{"arn": task, "reason": "MISSING"}])
    desk.sandbox.advance(3600)
    assert desk.start(definition, clientToken="once") != task


def test_given_a_task_when_it_changes_then_an_event_tells_it_and_the_version_counts_up(tmp_path: Path) -> None:
    events: queue.Queue[Event] = queue.Queue()
    world = World(data=tmp_path, clock=Clock(0))
    world.events.subscribe(events.put)
    now = datetime(2026, 1, 1, tzinfo=UTC)
    definition = TaskDefinition("111111111111", "eu-west-1", "job", 3, {"cpu": "256"}, now, "someone")
    network = {"awsvpcConfiguration": {"subnets": ["subnet-0a"]}}
    request = {"startedBy": "me", "networkConfiguration": network}
    task = Task("arn:aws:ecs:eu-west-1:111111111111:cluster/c", definition, "0" * 32, now, request, None, [])
    task.containers.append(TaskContainer({"name": "main", "image": "i", "essential": True}, task.arn, "arn", "id"))
    tell(world, task)
    task.status, task.stop_code, task.containers[0].exit_code = "STOPPED", "EssentialContainerExited", 4
    tell(world, task)
    first, second = events.get(timeout=30), events.get(timeout=30)
    assert (first.source, first.detail_type, first.resources) == ("aws.ecs", "ECS Task State Change", [task.arn])
    assert (first.account, first.region) == ("111111111111", "eu-west-1")
    assert first.detail["createdAt"] == "2026-01-01T00:00:00.000Z"
    assert first.detail["attachments"][0]["type"] == "eni"
    assert (first.detail["version"], second.detail["version"]) == (1, 2)
    assert second.detail["taskDefinitionArn"] == definition.arn
    assert (second.detail["lastStatus"], second.detail["stopCode"]) == ("STOPPED", "EssentialContainerExited")
    assert second.detail["containers"][0]["exitCode"] == 4
    assert "stopCode" not in first.detail


def test_given_a_task_when_it_has_run_then_its_version_has_counted_its_changes(desk: TaskDesk) -> None:
    task = desk.finish("true")
    # Provisioning, pending, container up, running, container ended, to be stopped, deprovisioning, stopped.
    assert task["version"] == 8
