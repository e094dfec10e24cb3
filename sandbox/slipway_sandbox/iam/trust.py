"""Which roles AWS's services may assume."""

from __future__ import annotations

from slipway_sandbox.core.calls import Caller
from slipway_sandbox.core.world import World
from slipway_sandbox.iam import decision, stored
from slipway_sandbox.iam.policies import Ask

ECS_TASKS = "ecs-tasks.amazonaws.com"
SAGEMAKER = "sagemaker.amazonaws.com"
SOURCES = {ECS_TASKS: "ecs", SAGEMAKER: "sagemaker"}
"""The service in the ARN of what a role is assumed for."""


def may_assume(world: World, service: str, caller: Caller, arn: str) -> bool:
    """Whether a service may assume a role. One that IAM does not know it may, unless the role's account is strict.

    Args:
        world: Knows which accounts are strict.
        service: The service's principal, such as `sagemaker.amazonaws.com`.
        caller: The account and region of what the role is assumed for.
        arn: The role.
    """
    role = stored.role(arn)
    if role is None:
        return account_of(arn) not in world.strict
    context = {
        "aws:sourceaccount": (caller.account,),
        "aws:sourcearn": (f"arn:aws:{SOURCES[service]}:{caller.region}:{caller.account}:*",),
    }
    return role.trust is not None and decision.lets_service(role.trust, service, Ask("sts:AssumeRole", arn, context))


def account_of(arn: str) -> str:
    """The account that a role's ARN names."""
    return arn.split(":")[4]
