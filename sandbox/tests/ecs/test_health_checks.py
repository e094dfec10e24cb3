"""Health checks, which run inside of the container."""

from __future__ import annotations

from typing import Any

from sandbox.testkit.contract import behaviour
from sandbox.testkit.ecs import TaskDesk, until

SERVE = "trap 'exit 0' TERM; sleep 60 & wait"


def check(*command: str, **more: Any) -> dict[str, Any]:
    """A health check that is run often."""
    return {"command": list(command), "interval": 5, "retries": 1, **more}


def health(desk: TaskDesk, task: str) -> tuple[str, str]:
    """The task's health, and its first container's."""
    shown = desk.describe(task)
    return shown["healthStatus"], shown["containers"][0]["healthStatus"]


@behaviour(
    "In a task",
    "health checks",
    like="CMD and CMD-SHELL run in the container, as its user, with its variables and folder; interval, timeout, retries and "
    "startPeriod; a task's health is that of its essential containers, and ends no task that is of no service",
    differs="0.2 true seconds between two checks at least, and two for each; what a check prints is dropped",
)
def test_given_a_check_in_the_shell_when_it_passes_then_the_task_is_healthy(desk: TaskDesk) -> None:
    command = '[ "$WORD" = right ] && [ -e /tmp/up ] && [ "$PWD" = /dev ]'
    container = desk.container(
        f"echo > /tmp/up; {SERVE}",
        workingDirectory="/dev",
        environment=[{"name": "WORD", "value": "right"}],
        healthCheck=check("CMD-SHELL", command),
    )
    task = desk.start(desk.register(container))
    until(lambda: health(desk, task) == ("HEALTHY", "HEALTHY"), "health")
    desk.ecs.stop_task(cluster="main", task=task)


def test_given_a_check_that_fails_when_it_has_run_then_the_task_is_unhealthy_and_goes_on(desk: TaskDesk) -> None:
    task = desk.start(desk.register(desk.container(SERVE, healthCheck=check("CMD", "cat", "/nothing"))))
    until(lambda: health(desk, task) == ("UNHEALTHY", "UNHEALTHY"), "its being noticed")
    assert desk.describe(task)["lastStatus"] == "RUNNING"
    desk.ecs.stop_task(cluster="main", task=task)


def test_given_a_check_that_hangs_when_its_time_is_over_then_it_has_failed(desk: TaskDesk) -> None:
    task = desk.start(desk.register(desk.container(SERVE, healthCheck=check("CMD", "sleep", "600", timeout=2))))
    until(lambda: health(desk, task)[1] == "UNHEALTHY", "its being noticed")
    desk.ecs.stop_task(cluster="main", task=task)


def test_given_a_start_period_when_checks_fail_in_it_then_they_do_not_count(desk: TaskDesk) -> None:
    script = f"sleep 0.7; echo > /tmp/up; {SERVE}"
    container = desk.container(script, healthCheck=check("CMD", "cat", "/tmp/up", startPeriod=300))  # noqa: S108  (the container's)
    task = desk.start(desk.register(container))
    seen: set[str] = set()

    def is_healthy() -> bool:
        seen.add(health(desk, task)[1])
        return "HEALTHY" in seen

    until(is_healthy, "health")
    assert "UNHEALTHY" not in seen
    desk.ecs.stop_task(cluster="main", task=task)


def test_given_a_dependency_on_health_when_the_other_is_healthy_then_the_container_starts(desk: TaskDesk) -> None:
    volume = [{"sourceVolume": "shared", "containerPath": "/shared"}]
    server = desk.container(
        f"sleep 0.3; echo > /shared/up; {SERVE}",
        name="server",
        mountPoints=volume,
        healthCheck=check("CMD", "cat", "/shared/up", retries=10),
    )
    depends = [{"containerName": "server", "condition": "HEALTHY"}]
    client = desk.container("cat /shared/up && echo there", mountPoints=volume, dependsOn=depends)
    task = desk.until(desk.start(desk.register(client, server, volumes=[{"name": "shared"}])), "STOPPED")
    assert desk.lines(task)[-1] == "there"
    assert {container["name"]: container["exitCode"] for container in task["containers"]} == {"main": 0, "server": 0}


def test_given_no_check_when_it_runs_then_health_is_unknown(desk: TaskDesk) -> None:
    task = desk.finish("true")
    assert (task["healthStatus"], task["containers"][0]["healthStatus"]) == ("UNKNOWN", "UNKNOWN")
