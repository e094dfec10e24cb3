"""Clusters, task definitions and tags."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from sandbox.testkit.ecs import TaskDesk, until


def refused(call: Any, **request: Any) -> tuple[str, str]:
    """Code and message of the error that a call ends with."""
    with pytest.raises(ClientError) as caught:
        call(**request)
    response: Any = caught.value.response
    return response["Error"]["Code"], response["Error"]["Message"]


def test_given_the_same_definition_when_registered_twice_then_there_are_two_revisions(desk: TaskDesk) -> None:
    first, second = desk.register(desk.container()), desk.register(desk.container())
    assert (first.rpartition(":")[2], second.rpartition(":")[2]) == ("1", "2")


def test_given_a_definition_when_registered_then_defaults_and_units_are_filled_in(desk: TaskDesk) -> None:
    arn = desk.register(desk.container(), cpu=".25 vCPU", memory="0.5 GB")
    definition = desk.ecs.describe_task_definition(taskDefinition=arn)["taskDefinition"]
    assert (definition["cpu"], definition["memory"], definition["status"]) == ("256", "512", "ACTIVE")
    assert definition["compatibilities"] == ["EC2", "FARGATE"]
    assert definition["containerDefinitions"][0]["essential"] is True
    assert definition["volumes"] == []


def test_given_two_revisions_when_the_latest_is_deregistered_then_the_family_means_the_one_before(desk: TaskDesk) -> None:
    first, second = desk.register(desk.container()), desk.register(desk.container())
    gone = desk.ecs.deregister_task_definition(taskDefinition=second)["taskDefinition"]
    assert gone["status"] == "INACTIVE"
    assert desk.ecs.describe_task_definition(taskDefinition="job")["taskDefinition"]["taskDefinitionArn"] == first
    assert desk.ecs.describe_task_definition(taskDefinition="job:2")["taskDefinition"]["status"] == "INACTIVE"
    assert desk.register(desk.container()).endswith(":3")


def test_given_no_such_definition_when_described_then_it_is_a_client_exception(desk: TaskDesk) -> None:
    code, message = refused(desk.ecs.describe_task_definition, taskDefinition="none")
    assert (code, message) == ("ClientException", "Unable to describe task definition.")


def test_given_tags_when_asked_for_then_they_are_shown(desk: TaskDesk) -> None:
    arn = desk.register(desk.container(), tags=[{"key": "hash", "value": "1"}])
    assert "tags" not in desk.ecs.describe_task_definition(taskDefinition=arn)
    assert desk.ecs.describe_task_definition(taskDefinition=arn, include=["TAGS"])["tags"] == [{"key": "hash", "value": "1"}]
    desk.ecs.tag_resource(resourceArn=arn, tags=[{"key": "more", "value": "2"}])
    desk.ecs.untag_resource(resourceArn=arn, tagKeys=["hash"])
    assert desk.ecs.list_tags_for_resource(resourceArn=arn)["tags"] == [{"key": "more", "value": "2"}]


def test_given_families_when_listed_then_prefix_status_and_order_count(desk: TaskDesk) -> None:
    one, two = desk.register(desk.container()), desk.register(desk.container())
    other = desk.register(desk.container(), family="jobs-other")
    desk.ecs.deregister_task_definition(taskDefinition=other)
    assert desk.ecs.list_task_definitions(familyPrefix="job", sort="DESC")["taskDefinitionArns"] == [two, one]
    assert desk.ecs.list_task_definitions(status="INACTIVE")["taskDefinitionArns"] == [other]
    assert desk.ecs.list_task_definition_families(familyPrefix="job")["families"] == ["job", "jobs-other"]
    assert desk.ecs.list_task_definition_families(status="ACTIVE")["families"] == ["job"]
    assert desk.ecs.list_task_definition_families(status="INACTIVE")["families"] == ["jobs-other"]


def test_given_many_revisions_when_listed_then_pages_lead_through_all(desk: TaskDesk) -> None:
    arns = [desk.register(desk.container()) for _ in range(5)]
    pages = desk.ecs.get_paginator("list_task_definitions").paginate(familyPrefix="job", PaginationConfig={"PageSize": 2})
    assert [arn for page in pages for arn in page["taskDefinitionArns"]] == arns


INVALID: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"networkMode": "bridge"}, {}, "Fargate only supports network mode \u2018awsvpc\u2019."),
    ({"cpu": ""}, {}, "Fargate requires that 'cpu' be defined at the task level."),
    (
        {"memory": "4096"},
        {},
        (
            "No Fargate configuration exists for given values: 256 CPU, 4096 memory. "
            "See the Amazon ECS documentation for the valid values."
        ),
    ),
    ({"executionRoleArn": ""}, {}, "Fargate requires task definition to have execution role ARN to support ECR images."),
    ({"taskRoleArn": "admin"}, {}, "Role is not valid"),
    ({}, {"image": ""}, "Container.image should not be null or empty."),
    ({}, {"name": ""}, "Container.name should not be null or empty."),
    ({"tags": []}, {}, "Tags can not be empty."),
    (
        {},
        {"stopTimeout": 121},
        "Tasks using the Fargate launch type must have a container stop timeout of less than 120 seconds.",
    ),
    ({}, {"startTimeout": 1}, "Granular start timeout on container 'main' must be at least 2 seconds."),
    ({}, {"healthCheck": {"command": ["CMD", "true"], "interval": 4}}, "Health check interval must be between 5 and 300."),
    (
        {},
        {"dependsOn": [{"containerName": "none", "condition": "START"}]},
        "Cannot depend on container + 'none' because it does not exist",
    ),
    (
        {},
        {"dependsOn": [{"containerName": "main", "condition": "SUCCESS"}]},
        "A dependency container with SUCCESS or COMPLETE condition cannot be an essential container",
    ),
    (
        {},
        {"environment": [{"name": "A", "value": "b"}], "secrets": [{"name": "A", "valueFrom": "a"}]},
        (
            "The secret name must be unique and not shared with any new or existing environment variables set on the container, "
            "such as 'A'."
        ),
    ),
    (
        {},
        {"logConfiguration": {"logDriver": "syslog"}},
        "syslog is not a valid log driver. Must be one of [awslogs,splunk,awsfirelens]",
    ),
    ({}, {"essential": False}, "A task definition must have at least one essential container."),
    ({}, {"mountPoints": [{"sourceVolume": "v", "containerPath": "/v"}]}, "Unknown volume 'v'."),
    ({}, {"logConfiguration": {"logDriver": "awslogs"}}, "Log driver awslogs requires options: awslogs-group, awslogs-region"),
]


@pytest.mark.parametrize(("request_part", "container_part", "message"), INVALID, ids=[row[2][:40] for row in INVALID])
def test_given_an_invalid_definition_when_registered_then_aws_words_say_why(
    desk: TaskDesk, request_part: dict[str, Any], container_part: dict[str, Any], message: str
) -> None:
    container = desk.container(**container_part)
    assert refused(lambda: desk.register(container, **request_part)) == ("ClientException", message)


def test_given_a_cluster_when_made_again_then_it_is_the_same_and_it_can_be_deleted(desk: TaskDesk) -> None:
    assert desk.ecs.create_cluster(clusterName="main")["cluster"]["clusterArn"] == desk.cluster
    assert desk.ecs.list_clusters()["clusterArns"] == [desk.cluster]
    assert desk.ecs.delete_cluster(cluster="main")["cluster"]["status"] == "INACTIVE"
    assert desk.ecs.list_clusters()["clusterArns"] == []
    described = desk.ecs.describe_clusters(clusters=["main", "none"])
    assert described["clusters"][0]["status"] == "INACTIVE"
    assert described["failures"] == [{"arn": desk.cluster.replace("main", "none"), "reason": "MISSING"}]


def test_given_a_deleted_definition_when_no_task_runs_then_it_is_gone_and_its_number_stays_taken(desk: TaskDesk) -> None:
    arn = desk.register(desk.container())
    desk.ecs.deregister_task_definition(taskDefinition=arn)
    deleted = desk.ecs.delete_task_definitions(taskDefinitions=[arn])["taskDefinitions"][0]
    assert deleted["status"] == "DELETE_IN_PROGRESS"
    assert deleted["deleteRequestedAt"] >= deleted["deregisteredAt"]
    until(lambda: not desk.ecs.list_task_definitions(status="DELETE_IN_PROGRESS")["taskDefinitionArns"], "the end of it")
    assert refused(desk.ecs.describe_task_definition, taskDefinition=arn)[1] == "Unable to describe task definition."
    assert desk.register(desk.container()).endswith(":2")


def test_given_a_deleted_definition_when_a_task_of_it_runs_then_it_stays_until_that_ends(desk: TaskDesk) -> None:
    arn = desk.register(desk.container("trap 'exit 0' TERM; sleep 60 & wait"))
    task = desk.start(arn)
    desk.until(task, "RUNNING")
    desk.ecs.deregister_task_definition(taskDefinition=arn)
    desk.ecs.delete_task_definitions(taskDefinitions=[arn])
    assert refused(lambda: desk.run(arn)) == ("ClientException", "TaskDefinition is inactive")
    assert desk.describe(task)["lastStatus"] == "RUNNING"
    desk.ecs.stop_task(cluster="main", task=task)
    until(lambda: not desk.ecs.list_task_definitions(status="DELETE_IN_PROGRESS")["taskDefinitionArns"], "the end of it")


def test_given_another_accounts_identifiers_when_used_then_they_are_refused(desk: TaskDesk) -> None:
    other = desk.cluster.replace(desk.account, "111122223333")
    assert refused(desk.ecs.describe_clusters, clusters=[other]) == ("InvalidParameterException", "AccountIDs mismatch")
