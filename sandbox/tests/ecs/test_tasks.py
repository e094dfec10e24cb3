"""Tasks that really run."""

import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from slipway_sandbox.testing import build_image, layer_of, member, push_image
from slipway_sandbox.testing.images import static_program

from sandbox.testkit.contract import behaviour
from sandbox.testkit.ecs import TaskDesk, until

NOBODY = "0" * 32
"""A task's id that none has."""
ALLOWED_STATES = ("PROVISIONING", "PENDING", "RUNNING", "DEPROVISIONING", "STOPPED")


def error_of(caught: pytest.ExceptionInfo[ClientError]) -> tuple[str, str]:
    """Code and message."""
    response: Any = caught.value.response
    return response["Error"]["Code"], response["Error"]["Message"]


@behaviour(
    "In a task",
    "logs",
    like="awslogs, complete before the task is STOPPED; the group made only by `awslogs-create-group`",
    differs="other drivers discard; multi-line patterns",
)
def test_given_a_script_when_its_task_stops_then_code_reason_times_and_logs_are_there(desk: TaskDesk) -> None:
    task = desk.finish("echo one; echo two >&2; exit 3", startedBy="tests/1")
    assert (task["stopCode"], task["stoppedReason"]) == ("EssentialContainerExited", "Essential container in task exited")
    container = task["containers"][0]
    assert (container["exitCode"], container["lastStatus"], container.get("reason")) == (3, "STOPPED", None)
    order = ["createdAt", "pullStartedAt", "pullStoppedAt", "startedAt", "stoppingAt", "executionStoppedAt", "stoppedAt"]
    assert [task[name] for name in order] == sorted(task[name] for name in order)
    assert (task["startedBy"], task["desiredStatus"], task["launchType"]) == ("tests/1", "STOPPED", "FARGATE")
    assert desk.lines(task) == ["one", "two"]


def test_given_a_task_when_it_is_watched_then_its_states_come_in_order(desk: TaskDesk) -> None:
    arn = desk.start(desk.register(desk.container("sleep 0.3")))
    seen = [desk.describe(arn)["lastStatus"]]
    while seen[-1] != "STOPPED":
        state = desk.describe(arn)["lastStatus"]
        if state != seen[-1]:
            seen.append(state)
    assert seen[0] == "PROVISIONING"
    assert "RUNNING" in seen
    assert [ALLOWED_STATES.index(state) for state in seen] == sorted(ALLOWED_STATES.index(state) for state in seen)


def test_given_an_image_when_it_runs_then_the_task_tells_the_digest(desk: TaskDesk) -> None:
    image = build_image([layer_of(member("app", static_program()))], entry_point=["/app"])
    uri = push_image(desk.sandbox, desk.account, "static", "v1", image)
    container = desk.container(image=f"{uri.rpartition(':')[0]}@{image.digest}")
    del container["command"]
    task = desk.until(desk.start(desk.register(container)), "STOPPED")
    assert (task["containers"][0]["imageDigest"], task["containers"][0]["exitCode"]) == (image.digest, 7)
    assert desk.lines(task) == ["static"]


def test_given_a_missing_image_when_it_runs_then_it_fails_to_start(desk: TaskDesk) -> None:
    image = desk.image.replace(":v1", ":none")
    task = desk.until(desk.start(desk.register(desk.container(image=image))), "STOPPED")
    assert task["stopCode"] == "TaskFailedToStart"
    assert task["stoppedReason"].startswith("CannotPullContainerError: ")
    assert task["stoppedReason"].endswith(f"{image}: not found")
    assert task["containers"][0]["reason"] == task["stoppedReason"]
    assert "exitCode" not in task["containers"][0]
    assert "startedAt" not in task


def test_given_a_missing_program_when_it_runs_then_the_container_was_never_started(desk: TaskDesk) -> None:
    task = desk.until(desk.start(desk.register(desk.container(command=["nosuch"]))), "STOPPED")
    assert task["stopCode"] == "TaskFailedToStart"
    assert 'exec: "nosuch": executable file not found' in task["containers"][0]["reason"]
    assert "exitCode" not in task["containers"][0]


def test_given_a_missing_log_group_when_it_runs_then_resources_cannot_be_initialized(desk: TaskDesk) -> None:
    logs = {"logDriver": "awslogs", "options": {"awslogs-group": "/none", "awslogs-region": "us-east-1"}}
    task = desk.until(desk.start(desk.register(desk.container(logConfiguration=logs))), "STOPPED")
    assert task["stopCode"] == "TaskFailedToStart"
    assert task["stoppedReason"].startswith("ResourceInitializationError: failed to validate logger args")


def test_given_the_same_token_when_run_again_then_it_is_the_same_task(desk: TaskDesk) -> None:
    definition = desk.register(desk.container())
    first, second = (desk.start(definition, clientToken="once") for _ in range(2))
    assert first == second
    assert len(desk.ecs.list_tasks(cluster="main", family="job")["taskArns"]) <= 1


def test_given_the_same_token_when_run_with_other_parameters_then_it_is_a_conflict(desk: TaskDesk) -> None:
    definition = desk.register(desk.container())
    task = desk.start(definition, clientToken="once")
    with pytest.raises(ClientError) as caught:
        desk.start(definition, clientToken="once", startedBy="other")
    assert error_of(caught)[0] == "ConflictException"
    response: Any = caught.value.response
    assert response["resourceIds"] == [task]


def test_given_a_token_when_the_answer_is_lost_and_it_is_tried_again_then_one_task_runs(desk: TaskDesk) -> None:
    definition = desk.register(desk.container())
    desk.sandbox.plant_fault("ecs", "RunTask", "lost-answer", account=desk.account)
    task = desk.sandbox.client("ecs", desk.account, attempts=3).run_task(
        cluster="main",
        taskDefinition=definition,
        launchType="FARGATE",
        networkConfiguration={"awsvpcConfiguration": {"subnets": ["subnet-0a"]}},
        clientToken="once",
    )["tasks"][0]
    stopped = desk.until(task["taskArn"], "STOPPED")
    assert desk.ecs.list_tasks(cluster="main", desiredStatus="STOPPED")["taskArns"] == [stopped["taskArn"]]


def test_given_overrides_when_it_runs_then_command_and_variables_are_theirs(desk: TaskDesk) -> None:
    environment = [{"name": "A", "value": "definition"}, {"name": "B", "value": "definition"}]
    definition = desk.register(desk.container(environment=environment))
    override = {"name": "main", "command": ["sh", "-c", "echo $A $B"], "environment": [{"name": "B", "value": "override"}]}
    task = desk.until(desk.start(definition, overrides={"containerOverrides": [override]}), "STOPPED")
    assert desk.lines(task) == ["definition override"]
    assert task["overrides"]["containerOverrides"] == [override]


FETCH = """
fetch() { local rest=${1#http://}; exec 3<>/dev/tcp/${rest%%:*}/$(p=${rest#*:}; echo ${p%%/*})
printf 'GET /%s HTTP/1.0\\r\\n\\r\\n' "${rest#*/}" >&3; cat <&3; echo; }
"""


@behaviour(
    "In a task",
    "metadata",
    like="version 4: container, task and taskWithTags",
    differs="the address in networks is 127.0.0.1; no statistics and no task protection",
)
def test_given_a_container_when_it_asks_then_metadata_and_region_are_its_own(desk: TaskDesk) -> None:
    script = FETCH + "fetch $ECS_CONTAINER_METADATA_URI_V4/task; fetch $ECS_CONTAINER_METADATA_URI_V4; echo $AWS_REGION"
    task = desk.until(desk.start(desk.register(desk.container(command=["bash", "-c", script]))), "STOPPED")
    text = "\n".join(desk.lines(task))
    assert f'"TaskARN": "{task["taskArn"]}"' in text
    assert f'"Cluster": "{desk.cluster}", ' in text
    assert '"Family": "job", "Revision": "1"' in text
    assert '"DockerName": "main"' in text
    assert text.endswith("us-east-1")


@behaviour(
    "In a task",
    "credentials",
    like="of the task role, by AssumeRole, at `AWS_CONTAINER_CREDENTIALS_FULL_URI`; none without a role",
    differs="no relative URI; a role that IAM does not know has no policies",
)
def test_given_a_task_role_when_a_container_asks_then_it_gets_that_roles_credentials(desk: TaskDesk) -> None:
    other = "222222222222"
    script = FETCH + "fetch $AWS_CONTAINER_CREDENTIALS_FULL_URI"
    container = desk.container(command=["bash", "-c", script])
    role = f"arn:aws:iam::{other}:role/task"
    task = desk.until(desk.start(desk.register(container, taskRoleArn=role)), "STOPPED")
    answer = next(line for line in desk.lines(task) if line.startswith("{"))
    values = json.loads(answer)
    assert values["RoleArn"] == role
    assert set(values) == {"RoleArn", "AccessKeyId", "SecretAccessKey", "Token", "Expiration"}
    assert desk.sandbox.client("sts", values["AccessKeyId"]).get_caller_identity()["Account"] == other


def test_given_no_task_role_when_it_runs_then_there_are_no_credentials(desk: TaskDesk) -> None:
    task = desk.finish("env")
    names = {line.partition("=")[0] for line in desk.lines(task)}
    assert {"AWS_ENDPOINT_URL", "AWS_REGION", "ECS_CONTAINER_METADATA_URI_V4"} <= names
    assert not any("CREDENTIALS" in name or "SECRET" in name for name in names)


def test_given_a_running_task_when_stopped_then_it_gets_sigterm_and_the_reason_is_kept(desk: TaskDesk) -> None:
    arn = desk.start(desk.register(desk.container("trap 'echo bye; exit 9' TERM; echo ready; sleep 60 & wait", stopTimeout=20)))
    desk.until(arn, "RUNNING")
    desk.until_line(arn, "ready")
    desk.ecs.stop_task(cluster="main", task=arn, reason="enough")
    task = desk.until(arn, "STOPPED")
    assert (task["stopCode"], task["stoppedReason"]) == ("UserInitiated", "enough")
    assert task["containers"][0]["exitCode"] == 9
    assert desk.lines(task) == ["ready", "bye"]


def test_given_a_program_deaf_to_sigterm_when_stopped_then_it_is_killed(desk: TaskDesk) -> None:
    arn = desk.start(desk.register(desk.container(command=["sleep", "600"], stopTimeout=2)))
    desk.until(arn, "RUNNING")
    desk.ecs.stop_task(cluster="main", task=arn)
    assert desk.until(arn, "STOPPED")["containers"][0]["exitCode"] == 137


def test_given_a_task_on_its_way_when_stopped_then_it_never_runs(desk: TaskDesk) -> None:
    arn = desk.start(desk.register(desk.container()))
    desk.ecs.stop_task(cluster="main", task=arn)
    task = desk.until(arn, "STOPPED")
    assert task["stopCode"] == "UserInitiated"
    assert "exitCode" not in task["containers"][0]


@behaviour(
    "In a task",
    "several containers",
    like="essential or not; volumes that they share",
    differs="no restart policies, no init process; they share the host's network, with all other containers",
)
def test_given_two_containers_when_the_essential_one_ends_then_the_other_is_stopped(desk: TaskDesk) -> None:
    volume = [{"sourceVolume": "shared", "containerPath": "/shared"}]
    script = "trap 'exit 0' TERM; echo > /shared/up; sleep 600 & wait"
    side = desk.container(script, name="side", essential=False, mountPoints=volume)
    main = desk.container("until [ -e /shared/up ]; do sleep 0.05; done; exit 2", mountPoints=volume)
    task = desk.until(desk.start(desk.register(main, side, volumes=[{"name": "shared"}])), "STOPPED")
    assert {container["name"]: container["exitCode"] for container in task["containers"]} == {"main": 2, "side": 0}


def test_given_a_container_that_is_not_essential_when_it_ends_then_the_task_goes_on(desk: TaskDesk) -> None:
    side = desk.container("exit 1", name="side", essential=False)
    task = desk.until(desk.start(desk.register(desk.container("sleep 0.5; echo done"), side)), "STOPPED")
    assert {container["name"]: container["exitCode"] for container in task["containers"]} == {"main": 0, "side": 1}
    assert desk.lines(task) == ["done"]


def test_given_a_dependency_when_it_succeeds_then_the_other_starts_after_it_and_sees_its_files(desk: TaskDesk) -> None:
    volume = [{"sourceVolume": "shared", "containerPath": "/shared"}]
    first = desk.container("sleep 0.2; echo ready > /shared/file", name="init", essential=False, mountPoints=volume)
    depends = [{"containerName": "init", "condition": "SUCCESS"}]
    second = desk.container("cat /shared/file", mountPoints=volume, dependsOn=depends)
    task = desk.until(desk.start(desk.register(second, first, volumes=[{"name": "shared"}])), "STOPPED")
    assert desk.lines(task) == ["ready"]


def test_given_a_dependency_when_it_fails_then_the_task_does_too(desk: TaskDesk) -> None:
    first = desk.container("exit 4", name="init", essential=False)
    second = desk.container(dependsOn=[{"containerName": "init", "condition": "SUCCESS"}])
    task = desk.until(desk.start(desk.register(second, first)), "STOPPED")
    assert task["stopCode"] == "TaskFailedToStart"
    assert "init" in task["stoppedReason"]


def test_given_tasks_when_listed_then_filters_narrow_them(desk: TaskDesk) -> None:
    definition = desk.register(desk.container("sleep 600", stopTimeout=2))
    one = desk.start(definition, startedBy="one")
    two = desk.start(definition, startedBy="two")
    assert desk.ecs.list_tasks(cluster="main")["taskArns"] == [one, two]
    assert desk.ecs.list_tasks(cluster="main", startedBy="two")["taskArns"] == [two]
    assert desk.ecs.list_tasks(cluster="main", desiredStatus="STOPPED")["taskArns"] == []
    assert desk.ecs.list_tasks(cluster="main", family="other")["taskArns"] == []
    with pytest.raises(ClientError) as caught:
        desk.ecs.delete_cluster(cluster="main")
    assert error_of(caught)[0] == "ClusterContainsTasksException"


def test_given_a_reset_when_tasks_run_then_their_processes_end(desk: TaskDesk) -> None:
    arn = desk.start(desk.register(desk.container("echo up; sleep 600")))
    desk.until_line(arn, "up")
    task_id = arn.rpartition("/")[2]
    assert runs(task_id)
    desk.sandbox.reset(desk.account)
    until(lambda: not runs(task_id), "the task's end")
    assert desk.ecs.list_clusters()["clusterArns"] == []


def runs(task_id: str) -> bool:
    """Whether a process on this machine is in a container of that task; its metadata's address has the id."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment = (process / "environ").read_bytes()
        except OSError:
            continue
        if f"/_ecs/v4/{task_id}".encode() in environment:
            return True
    return False


def test_given_tags_when_run_then_they_are_shown_only_when_asked_for(desk: TaskDesk) -> None:
    tag = [{"key": "a", "value": "b"}]
    definition = desk.register(desk.container(), tags=[{"key": "d", "value": "e"}])
    arn = desk.start(definition, tags=tag, propagateTags="TASK_DEFINITION")
    assert desk.describe(arn)["tags"] == []
    assert sorted(item["key"] for item in desk.describe(arn, include=["TAGS"])["tags"]) == ["a", "d"]


def test_given_an_unknown_task_when_described_then_it_is_missing(desk: TaskDesk) -> None:
    answer = desk.ecs.describe_tasks(cluster="main", tasks=[NOBODY])
    assert answer["failures"] == [{"arn": f"arn:aws:ecs:us-east-1:{desk.account}:task/main/{NOBODY}", "reason": "MISSING"}]


@behaviour(
    "In a task",
    "failures to place or start",
    like="by faults of the kind `error`: `ecs` `RunTask.failures` (RunTask answers 200 with the message as a failure's reason) "
    "and `ecs` `RunTask.start` (the task fails to start with the message as stoppedReason); by the dial `ecs/capacity`",
)
def test_given_no_capacity_when_run_then_it_is_a_failure_and_no_error(desk: TaskDesk) -> None:
    reason = "Capacity is unavailable at this time. Please try again later or in a different availability zone"
    desk.sandbox.plant_fault("ecs", "RunTask.failures", "error", message=reason, account=desk.account)
    definition = desk.register(desk.container())
    answer = desk.run(definition, clientToken="once")
    assert (answer["tasks"], answer["failures"]) == ([], [{"reason": reason}])
    assert len(desk.run(definition, clientToken="once")["tasks"]) == 1


def test_given_a_network_that_does_not_come_up_when_run_then_the_task_fails_to_start(desk: TaskDesk) -> None:
    reason = "Timeout waiting for network interface provisioning to complete."
    desk.sandbox.plant_fault("ecs", "RunTask.start", "error", message=reason, account=desk.account)
    task = desk.finish("true")
    assert (task["stopCode"], task["stoppedReason"]) == ("TaskFailedToStart", reason)


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"cluster": "none"}, "ClusterNotFoundException", "Cluster not found."),
    ({"taskDefinition": "none"}, "ClientException", "TaskDefinition not found."),
    ({"count": 11}, "InvalidParameterException", "Tasks per request must be between 1 and 10."),
    ({"launchType": "EC2"}, "InvalidParameterException", "No Container Instances were found in your cluster."),
    (
        {"networkConfiguration": {}},
        "InvalidParameterException",
        "Network Configuration must be provided when networkMode 'awsvpc' is specified.",
    ),
    (
        {"overrides": {"containerOverrides": [{"name": "nobody"}]}},
        "InvalidParameterException",
        "Override for container named nobody is not a container in the TaskDefinition.",
    ),
    (
        {"startedBy": "no spaces"},
        "InvalidParameterException",
        "startedBy has at most 128 characters, out of letters, digits, -, / and _.",
    ),
]


@pytest.mark.parametrize(("request_part", "code", "message"), REFUSED, ids=[row[2][:40] for row in REFUSED])
def test_given_a_request_that_makes_no_sense_when_run_then_aws_words_say_why(
    desk: TaskDesk, request_part: dict[str, Any], code: str, message: str
) -> None:
    request = {"taskDefinition": desk.register(desk.container()), **request_part}
    with pytest.raises(ClientError) as caught:
        desk.run(request.pop("taskDefinition"), **request)
    assert error_of(caught) == (code, message)


def test_given_a_deregistered_definition_when_run_by_arn_then_it_is_refused(desk: TaskDesk) -> None:
    definition = desk.register(desk.container())
    desk.ecs.deregister_task_definition(taskDefinition=definition)
    with pytest.raises(ClientError) as caught:
        desk.run(definition)
    assert error_of(caught) == ("ClientException", "TaskDefinition is inactive")


def test_given_an_unknown_task_when_stopped_then_it_is_refused(desk: TaskDesk) -> None:
    with pytest.raises(ClientError) as caught:
        desk.ecs.stop_task(cluster="main", task=NOBODY)
    assert error_of(caught) == ("InvalidParameterException", "The referenced task was not found.")
