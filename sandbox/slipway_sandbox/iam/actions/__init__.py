"""What a call needs to be allowed: IAM's actions and resources, by AWS's Service Authorization Reference."""

from __future__ import annotations

from slipway_sandbox.core.calls import Need
from slipway_sandbox.iam.actions import ecr, ecs, others, s3, sagemaker
from slipway_sandbox.iam.actions.asked import Asked

TABLE = {
    **others.TABLE,
    "ecr": ecr.needs,
    "registry": ecr.registry_needs,
    "ecs": ecs.needs,
    "sagemaker": sagemaker.needs,
    "sagemaker-runtime": sagemaker.needs,
    "s3": s3.needs,
}


def needs_of(service: str, asked: Asked) -> list[Need]:
    """The actions that a call takes, each with its resources. All of them have to be allowed."""
    table = TABLE.get(service)
    return table(asked) if table else [Need(f"{service}:{asked.operation}")]
