"""ECS, call by call: task definitions."""

from __future__ import annotations

from typing import Any

from sandbox.testkit.contract import Aws, contract


def register(aws: Aws, family: str, **more: Any) -> str:
    """A task definition's ARN."""
    container = {"name": "main", "image": "public.ecr.aws/docker/library/busybox:stable", "memory": 64, "command": ["true"]}
    request = {"family": family, "containerDefinitions": [container], **more}
    return aws.client("ecs").register_task_definition(**request)["taskDefinition"]["taskDefinitionArn"]


def drop(aws: Aws, *arns: str) -> None:
    """Leave nothing behind."""
    ecs = aws.client("ecs")
    for arn in arns:
        ecs.deregister_task_definition(taskDefinition=arn)
    ecs.delete_task_definitions(taskDefinitions=list(arns))


@contract("ecs", "RegisterTaskDefinition", errors=("ClientException", "InvalidParameterException"))
def test_register_task_definition(aws: Aws) -> None:
    ecs, family = aws.client("ecs"), aws.name("family")
    first, second = register(aws, family), register(aws, family)
    assert (first.rpartition(":")[2], second.rpartition(":")[2]) == ("1", "2")
    with aws.refused("ClientException"):
        register(aws, "no spaces")
    with aws.refused("ClientException", match="Container"):
        ecs.register_task_definition(family=family, containerDefinitions=[])
    with aws.refused("ClientException", match="No Fargate configuration exists for given values: 256 CPU, 4096 memory"):
        register(aws, family, networkMode="awsvpc", requiresCompatibilities=["FARGATE"], cpu="256", memory="4096")
    with aws.refused("InvalidParameterException"):
        register(aws, family, tags=[{"key": "aws:a", "value": "b"}])
    drop(aws, first, second)


@contract("ecs", "DescribeTaskDefinition", errors=("ClientException", "InvalidParameterException"))
@contract("ecs", "DeregisterTaskDefinition", errors=("ClientException", "InvalidParameterException"))
def test_describe_and_deregister_task_definition(aws: Aws) -> None:
    ecs, family = aws.client("ecs"), aws.name("family")
    first, second = register(aws, family, tags=[{"key": "a", "value": "b"}]), register(aws, family)
    assert ecs.describe_task_definition(taskDefinition=first, include=["TAGS"])["tags"] == [{"key": "a", "value": "b"}]
    ecs.deregister_task_definition(taskDefinition=second)
    latest = ecs.describe_task_definition(taskDefinition=family)["taskDefinition"]
    assert (latest["taskDefinitionArn"], latest["status"]) == (first, "ACTIVE")
    assert ecs.describe_task_definition(taskDefinition=f"{family}:2")["taskDefinition"]["status"] == "INACTIVE"
    with aws.refused("ClientException", match="Unable to describe task definition"):
        ecs.describe_task_definition(taskDefinition=aws.name("none"))
    with aws.refused("InvalidParameterException"):
        ecs.describe_task_definition(taskDefinition=first.replace(aws.account, "111122223333"))
    with aws.refused("ClientException"):
        ecs.deregister_task_definition(taskDefinition=family)
    with aws.refused("ClientException", match="Unable to describe task definition"):
        ecs.deregister_task_definition(taskDefinition=f"{family}:3")
    with aws.refused("InvalidParameterException"):
        ecs.deregister_task_definition(taskDefinition=second)
    ecs.deregister_task_definition(taskDefinition=first)
    ecs.delete_task_definitions(taskDefinitions=[first, second])


@contract("ecs", "DeleteTaskDefinitions", errors=("InvalidParameterException",))
def test_delete_task_definitions(aws: Aws) -> None:
    ecs, family = aws.client("ecs"), aws.name("family")
    active, inactive = register(aws, family), register(aws, family)
    ecs.deregister_task_definition(taskDefinition=inactive)
    answer = ecs.delete_task_definitions(taskDefinitions=[active, inactive])
    assert [one["status"] for one in answer["taskDefinitions"]] == ["DELETE_IN_PROGRESS"]
    assert [failure["arn"] for failure in answer["failures"]] == [active]
    assert "still in ACTIVE status" in answer["failures"][0]["reason"]
    with aws.refused("InvalidParameterException"):
        ecs.delete_task_definitions(taskDefinitions=[inactive] * 11)
    drop(aws, active)


@contract("ecs", "ListTaskDefinitions", errors=("InvalidParameterException",))
@contract("ecs", "ListTaskDefinitionFamilies", errors=("InvalidParameterException",))
def test_list_task_definitions_and_families(aws: Aws) -> None:
    ecs, family = aws.client("ecs"), aws.name("family")
    arns = [register(aws, family), register(aws, family)]
    pages = ecs.get_paginator("list_task_definitions").paginate(
        familyPrefix=family, sort="DESC", PaginationConfig={"PageSize": 1}
    )
    assert [arn for page in pages for arn in page["taskDefinitionArns"]] == arns[::-1]
    assert ecs.list_task_definition_families(familyPrefix=family, status="ACTIVE")["families"] == [family]
    with aws.refused("InvalidParameterException"):
        ecs.list_task_definitions(maxResults=101)
    with aws.refused("InvalidParameterException"):
        ecs.list_task_definition_families(maxResults=101)
    drop(aws, *arns)
    assert ecs.list_task_definitions(familyPrefix=family)["taskDefinitionArns"] == []
