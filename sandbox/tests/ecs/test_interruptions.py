"""What no client can cause: faults of hosts, Spot, capacity."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from sandbox.testkit.contract import behaviour
from sandbox.testkit.ecs import TaskDesk

SERVE = "trap 'echo bye; exit 9' TERM; echo ready; sleep 60 & wait"
SPOT = [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]


def start_ready(desk: TaskDesk, **more: Any) -> str:
    """A task whose container waits for SIGTERM."""
    task = desk.start(desk.register(desk.container(SERVE)), **more)
    desk.until(task, "RUNNING")
    desk.until_line(task, "ready")
    return task


def interrupt(desk: TaskDesk, task: str, kind: str, **more: Any) -> None:
    """Turn the dial."""
    desk.sandbox.control("POST", "ecs/interrupt", {"task": task, "kind": kind, **more})


@behaviour(
    "In a task",
    "interruptions",
    like="by the dial `ecs/interrupt`: SpotInterruption and TerminationNotice with AWS's reasons, SIGTERM and stopTimeout; "
    "InfrastructureHealth ends it at once, without exit codes",
    differs="the reason of InfrastructureHealth is not verified; a task that ran when the sandbox ended has the same end",
)
def test_given_a_task_on_spot_when_interrupted_then_it_gets_sigterm_and_the_reason_is_awss(desk: TaskDesk) -> None:
    desk.ecs.put_cluster_capacity_providers(
        cluster="main", capacityProviders=["FARGATE", "FARGATE_SPOT"], defaultCapacityProviderStrategy=[]
    )
    task = start_ready(desk, launchType=None, capacityProviderStrategy=SPOT)
    assert desk.describe(task)["capacityProviderName"] == "FARGATE_SPOT"
    interrupt(desk, task, "SpotInterruption")
    stopped = desk.until(task, "STOPPED")
    assert (stopped["stopCode"], stopped["stoppedReason"]) == ("SpotInterruption", "Your Spot Task was interrupted.")
    assert stopped["containers"][0]["exitCode"] == 9
    assert desk.lines(stopped) == ["ready", "bye"]


def test_given_a_task_when_its_host_is_retired_then_it_gets_sigterm(desk: TaskDesk) -> None:
    task = start_ready(desk)
    interrupt(desk, task, "TerminationNotice")
    stopped = desk.until(task, "STOPPED")
    assert stopped["stopCode"] == "TerminationNotice"
    assert stopped["stoppedReason"] == "ECS is performing maintenance on the underlying infrastructure hosting the task"
    assert stopped["containers"][0]["exitCode"] == 9


def test_given_a_task_when_its_host_fails_then_nobody_learns_its_exit_code(desk: TaskDesk) -> None:
    task = start_ready(desk)
    interrupt(desk, task, "InfrastructureHealth", reason="gone")
    stopped = desk.until(task, "STOPPED")
    assert (stopped["stopCode"], stopped["stoppedReason"]) == ("InfrastructureHealth", "gone")
    assert "exitCode" not in stopped["containers"][0]
    assert desk.lines(stopped) == ["ready"]


def test_given_a_task_that_is_not_on_spot_when_interrupted_like_that_then_the_dial_refuses(desk: TaskDesk) -> None:
    task = start_ready(desk)
    with pytest.raises(httpx.HTTPStatusError, match="does not run on FARGATE_SPOT"):
        interrupt(desk, task, "SpotInterruption")
    desk.ecs.stop_task(cluster="main", task=task)
    desk.until(task, "STOPPED")
    with pytest.raises(httpx.HTTPStatusError, match=f"no task {task} runs"):
        interrupt(desk, task, "TerminationNotice")


def test_given_room_for_one_task_when_two_are_run_then_the_second_is_a_failure(desk: TaskDesk) -> None:
    limit = {"account": desk.account, "provider": "FARGATE", "tasks": 1, "reason": "RESOURCE:MEMORY"}
    desk.sandbox.control("POST", "ecs/capacity", limit)
    definition = desk.register(desk.container(SERVE))
    answer = desk.run(definition, count=2)
    assert len(answer["tasks"]) == 1
    assert answer["failures"] == [{"reason": "RESOURCE:MEMORY"}]
    desk.sandbox.control("POST", "ecs/capacity", {"account": desk.account, "tasks": None})
    assert len(desk.run(definition)["tasks"]) == 1


def test_given_a_strategy_when_many_tasks_are_run_then_base_and_weights_share_them_out(desk: TaskDesk) -> None:
    strategy = [
        {"capacityProvider": "FARGATE", "base": 2, "weight": 1},
        {"capacityProvider": "FARGATE_SPOT", "weight": 3},
    ]
    desk.ecs.put_cluster_capacity_providers(
        cluster="main", capacityProviders=["FARGATE", "FARGATE_SPOT"], defaultCapacityProviderStrategy=strategy
    )
    definition = desk.register(desk.container("sleep 60", stopTimeout=2))
    tasks = desk.run(definition, launchType=None, count=10)["tasks"]
    providers = [task["capacityProviderName"] for task in tasks]
    assert (providers.count("FARGATE"), providers.count("FARGATE_SPOT")) == (4, 6)
