"""ECS in a snapshot of its account."""

from __future__ import annotations

from sandbox.testkit.ecs import TaskDesk


def test_given_a_snapshot_when_it_is_put_back_then_what_ran_then_has_lost_its_host(desk: TaskDesk) -> None:
    definition = desk.register(desk.container("echo up; sleep 600", stopTimeout=2))
    ended = desk.finish("exit 3")
    running = desk.start(definition)
    desk.until_line(running, "up")
    name = f"tasks-{desk.account}"
    desk.sandbox.take_snapshot(name, desk.account)
    desk.ecs.deregister_task_definition(taskDefinition=definition)
    desk.ecs.put_account_setting_default(name="containerInsights", value="enabled")

    desk.sandbox.restore_snapshot(name)

    assert desk.describe(ended["taskArn"]) == ended
    lost = desk.describe(running)
    assert (lost["lastStatus"], lost["stopCode"]) == ("STOPPED", "InfrastructureHealth")
    assert desk.ecs.describe_task_definition(taskDefinition=definition)["taskDefinition"]["status"] == "ACTIVE"
    assert desk.ecs.list_account_settings()["settings"] == []
