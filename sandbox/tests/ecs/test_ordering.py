"""In which order containers start and stop."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from slipway_sandbox.ecs.dependencies import NeverReadyError, is_ready, stop_rounds
from slipway_sandbox.ecs.model import TaskContainer

from sandbox.testkit.contract import behaviour
from sandbox.testkit.ecs import TaskDesk

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def made(name: str, condition: str = "", **state: Any) -> TaskContainer:
    """A container that depends on `other`, if a condition is given."""
    depends = [{"containerName": "other", "condition": condition}] if condition else []
    return TaskContainer({"name": name, "essential": False, "dependsOn": depends}, "task", "arn", "id", **state)


def ready(condition: str, *, late: bool = False, **state: Any) -> bool:
    """Whether a container is ready while the one it depends on is in a state."""
    target, other = made("target", condition), made("other", **state)
    return is_ready(target, {"target": target, "other": other}, lambda _: late)


@pytest.mark.parametrize(
    ("condition", "state", "expected"),
    [
        ("START", {}, False),
        ("START", {"started_at": NOW}, True),
        ("COMPLETE", {"started_at": NOW}, False),
        ("COMPLETE", {"started_at": NOW, "finished_at": NOW, "exit_code": 3}, True),
        ("SUCCESS", {"started_at": NOW, "finished_at": NOW, "exit_code": 0}, True),
        ("HEALTHY", {}, False),
        ("HEALTHY", {"started_at": NOW}, True),
    ],
)
def test_given_a_state_of_the_other_when_asked_then_the_condition_says_whether_it_is_met(
    condition: str, state: dict[str, Any], expected: bool
) -> None:
    assert ready(condition, **state) is expected


@pytest.mark.parametrize(
    ("condition", "state", "why"),
    [
        ("SUCCESS", {"started_at": NOW, "finished_at": NOW, "exit_code": 3}, "did not exit successfully"),
        ("HEALTHY", {"started_at": NOW, "finished_at": NOW, "exit_code": 0}, "did not exit successfully"),
        ("START", {"finished_at": NOW}, "because dependency will never start"),
        ("COMPLETE", {"started_at": NOW, "late": True}, r"\[other\] for target \[target\] has timed out"),
    ],
)
def test_given_a_dependency_that_cannot_be_met_when_asked_then_it_says_why(
    condition: str, state: dict[str, Any], why: str
) -> None:
    with pytest.raises(NeverReadyError, match=why):
        ready(condition, **state)


def test_given_dependencies_when_all_stop_then_each_does_after_those_that_need_it() -> None:
    first, second, third = made("other"), made("second", "START"), made("third", "START")
    rounds = stop_rounds([first, second, third])
    assert [sorted(container.name for container in together) for together in rounds] == [["second", "third"], ["other"]]


@behaviour(
    "In a task",
    "dependsOn",
    like="START, COMPLETE, SUCCESS and HEALTHY; startTimeout; containers stop in the reverse order; one whose dependency failed "
    "is not started, and ends the task where it is essential",
    differs="HEALTHY is met as soon as the other runs, since health checks are not run; startTimeout is scaled, but two real "
    "seconds at least; on AWS the container may show the exit code 143",
)
def test_given_a_dependency_that_fails_when_the_other_is_not_essential_then_the_task_goes_on(desk: TaskDesk) -> None:
    first = desk.container("exit 4", name="init", essential=False)
    second = desk.container(name="second", essential=False, dependsOn=[{"containerName": "init", "condition": "SUCCESS"}])
    task = desk.until(desk.start(desk.register(desk.container("sleep 0.7"), first, second)), "STOPPED")
    assert task["stopCode"] == "EssentialContainerExited"
    by_name = {container["name"]: container for container in task["containers"]}
    assert (by_name["main"]["exitCode"], by_name["init"]["exitCode"]) == (0, 4)
    assert "exitCode" not in by_name["second"]
    assert by_name["second"]["reason"].endswith("as dependency did not exit successfully.")


def test_given_a_start_timeout_when_the_dependency_takes_longer_then_the_other_is_never_started(desk: TaskDesk) -> None:
    first = desk.container("sleep 60", name="init", essential=False, startTimeout=2, stopTimeout=2)
    second = desk.container(dependsOn=[{"containerName": "init", "condition": "COMPLETE"}])
    task = desk.until(desk.start(desk.register(second, first)), "STOPPED")
    assert task["stopCode"] == "TaskFailedToStart"
    assert task["stoppedReason"].endswith("[init] for target [main] has timed out.")


def test_given_dependencies_when_the_task_is_stopped_then_the_dependent_ends_first(desk: TaskDesk) -> None:
    volume = [{"sourceVolume": "shared", "containerPath": "/shared"}]
    server = desk.container(
        "trap 'if [ -e /shared/gone ]; then exit 5; else exit 6; fi' TERM; sleep 60 & wait", name="server", mountPoints=volume
    )
    client = desk.container(
        "trap 'echo > /shared/gone; exit 0' TERM; echo up; sleep 60 & wait",
        mountPoints=volume,
        dependsOn=[{"containerName": "server", "condition": "START"}],
    )
    arn = desk.start(desk.register(client, server, volumes=[{"name": "shared"}]))
    desk.until_line(arn, "up")
    desk.ecs.stop_task(cluster="main", task=arn)
    task = desk.until(arn, "STOPPED")
    assert {container["name"]: container["exitCode"] for container in task["containers"]} == {"main": 0, "server": 5}
