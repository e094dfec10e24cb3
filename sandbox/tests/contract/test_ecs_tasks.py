"""ECS, call by call: tasks. They need an image in a registry, so they run against the sandbox only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from slipway_sandbox.testing.iam import RoleMaker

from sandbox.testkit.contract import Aws, contract
from sandbox.testkit.ecs import TaskDesk

NOBODY = "0" * 32
SERVE = "trap 'exit 0' TERM; sleep 60 & wait"


@dataclass
class Tasks:
    """A desk whose calls are checked."""

    aws: Aws
    desk: TaskDesk
    ecs: Any

    def refused(self, code: str, definition: str, match: str = "", **more: Any) -> None:
        """Expect RunTask to refuse."""
        with self.aws.refused(code, match):
            self.desk.run(definition, **more)


@pytest.fixture
def tasks(aws: Aws) -> Tasks:
    """An account with a cluster and an image."""
    if aws.sandbox is None:
        pytest.skip("it needs an image in ECR, and a network")
    desk = TaskDesk(aws.sandbox, aws.account)
    desk.ecs = aws.client("ecs")
    return Tasks(aws, desk, desk.ecs)


@contract(
    "ecs",
    "RunTask",
    errors=(
        "ConflictException",
        "InvalidParameterException",
        "ClientException",
        "ClusterNotFoundException",
        "PlatformUnknownException",
        "PlatformTaskDefinitionIncompatibilityException",
    ),
)
def test_run_task(tasks: Tasks) -> None:
    desk = tasks.desk
    definition = desk.register(desk.container(SERVE))
    answer = desk.run(definition, clientToken="once", startedBy="contract", count=2)
    assert [task["lastStatus"] for task in answer["tasks"]] == ["PROVISIONING", "PROVISIONING"]
    assert answer["failures"] == []
    assert desk.run(definition, clientToken="once", startedBy="contract", count=2)["tasks"]
    tasks.refused("ConflictException", definition, match="already in use", clientToken="once")
    tasks.refused("InvalidParameterException", definition, count=11)
    tasks.refused("ClientException", "none", match="TaskDefinition not found")
    tasks.refused("ClusterNotFoundException", definition, match="Cluster not found", cluster="none")
    tasks.refused("PlatformUnknownException", definition, platformVersion="9.9.9")
    large = desk.register(desk.container(), ephemeralStorage={"sizeInGiB": 30})
    tasks.refused("PlatformTaskDefinitionIncompatibilityException", large, platformVersion="1.3.0")
    role = RoleMaker(desk.sandbox, desk.account).create()
    tasks.refused("ClientException", definition, match="unable to assume the role", overrides={"taskRoleArn": role})
    tasks.refused("ClientException", definition, match="Role is not valid", overrides={"taskRoleArn": "admin"})
    tasks.ecs.deregister_task_definition(taskDefinition=large)
    tasks.refused("ClientException", large, match="TaskDefinition is inactive")


@pytest.mark.parametrize(
    ("request_part", "message"),
    [
        ({"capacityProviderStrategy": [{"capacityProvider": "FARGATE"}]}, "Specifying both a launch type and capacity"),
        (
            {"launchType": None, "capacityProviderStrategy": [{"capacityProvider": "FARGATE"}]},
            "cannot contain a capacity provider that is not associated with the cluster",
        ),
        ({"launchType": None}, "No Container Instances were found in your cluster"),
        (
            {"overrides": {"containerOverrides": [{"name": "main", "command": ["x" * 8192]}]}},
            "Container Overrides length must be at most 8192",
        ),
        ({"taskDefinition": "arn:aws:ecs:us-east-1:111122223333:task-definition/a:1"}, "AccountIDs mismatch"),
        ({"networkConfiguration": {"awsvpcConfiguration": {"subnets": []}}}, "subnets can not be empty"),
    ],
    ids=["both", "not-associated", "no-instances", "overrides", "other-account", "no-subnets"],
)
@contract("ecs", "RunTask", errors=("InvalidParameterException",))
def test_run_task_with_parameters_that_make_no_sense(tasks: Tasks, request_part: dict[str, Any], message: str) -> None:
    desk = tasks.desk
    definition = desk.register(desk.container())
    request = {**request_part}
    tasks.refused("InvalidParameterException", request.pop("taskDefinition", definition), match=message, **request)
    desk.run(definition)


@contract("ecs", "DescribeTasks", errors=("ClusterNotFoundException", "InvalidParameterException"))
@contract("ecs", "StopTask", errors=("ClusterNotFoundException", "InvalidParameterException"))
def test_describe_and_stop_task(tasks: Tasks) -> None:
    aws, desk, ecs = tasks.aws, tasks.desk, tasks.ecs
    arn = desk.start(desk.register(desk.container(SERVE)), tags=[{"key": "a", "value": "b"}])
    desk.until(arn, "RUNNING")
    answer = ecs.describe_tasks(cluster="main", tasks=[arn, NOBODY], include=["TAGS"])
    assert answer["tasks"][0]["tags"] == [{"key": "a", "value": "b"}]
    assert [failure["reason"] for failure in answer["failures"]] == ["MISSING"]
    assert ecs.stop_task(cluster="main", task=arn, reason="enough")["task"]["desiredStatus"] == "STOPPED"
    stopped = desk.until(arn, "STOPPED")
    assert (stopped["stopCode"], stopped["stoppedReason"]) == ("UserInitiated", "enough")
    with aws.refused("ClusterNotFoundException", match="Cluster not found"):
        ecs.describe_tasks(cluster="none", tasks=[NOBODY])
    with aws.refused("InvalidParameterException", match="Tasks cannot be empty"):
        ecs.describe_tasks(cluster="main", tasks=[])
    with aws.refused("InvalidParameterException", match="100"):
        ecs.describe_tasks(cluster="main", tasks=[NOBODY] * 101)
    with aws.refused("InvalidParameterException", match=r"taskId length should be one of \[32,36\]"):
        ecs.describe_tasks(cluster="main", tasks=["none"])
    with aws.refused("ClusterNotFoundException"):
        ecs.stop_task(cluster="none", task=NOBODY)
    with aws.refused("InvalidParameterException", match="The referenced task was not found"):
        ecs.stop_task(cluster="main", task=NOBODY)


@contract("ecs", "ListTasks", errors=("ClusterNotFoundException", "ServiceNotFoundException", "InvalidParameterException"))
def test_list_tasks(tasks: Tasks) -> None:
    aws, desk, ecs = tasks.aws, tasks.desk, tasks.ecs
    definition = desk.register(desk.container(SERVE))
    arns = [desk.start(definition, startedBy="contract") for _ in range(3)]
    pages = ecs.get_paginator("list_tasks").paginate(cluster="main", family="job", PaginationConfig={"PageSize": 2})
    assert sorted(arn for page in pages for arn in page["taskArns"]) == sorted(arns)
    assert ecs.list_tasks(cluster="main", launchType="EC2")["taskArns"] == []
    assert ecs.list_tasks(cluster="main", startedBy="nobody")["taskArns"] == []
    assert ecs.list_tasks(cluster="main", containerInstance=NOBODY)["taskArns"] == []
    with aws.refused("ClusterNotFoundException"):
        ecs.list_tasks(cluster="none")
    with aws.refused("ServiceNotFoundException", match="Service not found"):
        ecs.list_tasks(cluster="main", serviceName="none")
    with aws.refused("InvalidParameterException"):
        ecs.list_tasks(cluster="main", maxResults=101)


@contract("ecs", "DeleteCluster", errors=("ClusterContainsTasksException",))
@contract("ecs", "PutClusterCapacityProviders", errors=("ResourceInUseException",))
def test_clusters_that_are_in_use(tasks: Tasks) -> None:
    aws, desk, ecs = tasks.aws, tasks.desk, tasks.ecs
    spot = {"capacityProviders": ["FARGATE_SPOT"], "defaultCapacityProviderStrategy": [{"capacityProvider": "FARGATE_SPOT"}]}
    ecs.put_cluster_capacity_providers(cluster="main", **spot)
    task = desk.start(desk.register(desk.container(SERVE)), launchType=None)
    with aws.refused("ClusterContainsTasksException"):
        ecs.delete_cluster(cluster="main")
    with aws.refused("ResourceInUseException"):
        ecs.put_cluster_capacity_providers(cluster="main", capacityProviders=[], defaultCapacityProviderStrategy=[])
    ecs.stop_task(cluster="main", task=task)
    desk.until(task, "STOPPED")
    assert ecs.delete_cluster(cluster="main")["cluster"]["status"] == "INACTIVE"


@pytest.mark.parametrize("call", ["list_services", "list_container_instances"])
def test_what_is_not_there_says_so_in_awss_format(tasks: Tasks, call: str) -> None:
    with tasks.aws.refused("NotImplemented"):
        getattr(tasks.ecs, call)(cluster="main")
