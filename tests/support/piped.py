"""A task as PipeCD's piped leaves it on ECS."""

from __future__ import annotations

from typing import Any


def run_as_piped(ecs: Any, account: str, commit: str, image: str, **tags: str) -> str:
    """Register a revision of the family `screening`, and run a task of the family with piped's tags; returns the task's ARN.

    Args:
        ecs: A client of ECS.
        account: Whose it is.
        commit: The commit that piped deployed.
        image: What the container `pipeline` runs.
        tags: Other values of the tags, by what follows `pipecd-dev-`.
    """
    ecs.register_task_definition(
        family="screening",
        cpu="256",
        memory="512",
        networkMode="awsvpc",
        requiresCompatibilities=["FARGATE"],
        executionRoleArn=f"arn:aws:iam::{account}:role/task",
        containerDefinitions=[{"name": "pipeline", "image": image, "essential": True}],
    )
    named = {"managed-by": "piped", "piped": "p", "application": "a", "commit-hash": commit} | tags
    answer = ecs.run_task(
        taskDefinition="screening",
        cluster="pipelines",
        launchType="FARGATE",
        networkConfiguration={"awsvpcConfiguration": {"subnets": ["subnet-1"]}},
        tags=[{"key": f"pipecd-dev-{name}", "value": value} for name, value in named.items()],
    )
    return answer["tasks"][0]["taskArn"]
