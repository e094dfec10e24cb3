"""Health checks are accepted and not run."""

from __future__ import annotations

from sandbox.testkit.contract import behaviour
from sandbox.testkit.ecs import TaskDesk, until

SERVE = "trap 'exit 0' TERM; sleep 60 & wait"
CHECK = {"command": ["CMD", "cat", "/nothing"], "interval": 5, "retries": 1}


@behaviour(
    "In a task",
    "health checks",
    differs="are accepted, checked for their bounds and shown, and not run: health stays UNKNOWN",
)
def test_given_a_health_check_when_the_task_runs_then_its_health_is_unknown(desk: TaskDesk) -> None:
    definition = desk.register(desk.container(SERVE, healthCheck=CHECK))
    task = desk.start(definition)
    until(lambda: desk.describe(task)["lastStatus"] == "RUNNING", "the task")
    shown = desk.describe(task)
    assert (shown["healthStatus"], shown["containers"][0]["healthStatus"]) == ("UNKNOWN", "UNKNOWN")
    registered = desk.ecs.describe_task_definition(taskDefinition=definition)["taskDefinition"]["containerDefinitions"][0]
    assert registered["healthCheck"]["command"] == CHECK["command"]
    desk.ecs.stop_task(cluster="main", task=task)


def test_given_a_dependency_on_health_when_the_other_runs_then_the_container_starts(desk: TaskDesk) -> None:
    server = desk.container(SERVE, name="server", healthCheck=CHECK)
    client = desk.container("echo there", dependsOn=[{"containerName": "server", "condition": "HEALTHY"}])
    task = desk.until(desk.start(desk.register(client, server)), "STOPPED")
    assert desk.lines(task)[-1] == "there"
    assert {container["name"]: container["exitCode"] for container in task["containers"]} == {"main": 0, "server": 0}


def test_given_no_check_when_it_runs_then_health_is_unknown(desk: TaskDesk) -> None:
    task = desk.finish("true")
    assert (task["healthStatus"], task["containers"][0]["healthStatus"]) == ("UNKNOWN", "UNKNOWN")
