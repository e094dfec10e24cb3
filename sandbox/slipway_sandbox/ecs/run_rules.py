"""What makes a request to run a task valid, in ECS's words."""

from __future__ import annotations

import json
import re
from typing import Any

from slipway_sandbox.core.calls import Caller
from slipway_sandbox.core.errors import AwsError
from slipway_sandbox.core.world import World
from slipway_sandbox.ecs import errors
from slipway_sandbox.ecs.capacity import FARGATE, PROVIDERS, check_strategy
from slipway_sandbox.ecs.definition_rules import ROLE, check_files
from slipway_sandbox.ecs.model import Cluster, TaskDefinition
from slipway_sandbox.ecs.tagging import check_tags
from slipway_sandbox.iam.trust import ECS_TASKS, may_assume

STARTED_BY = re.compile(r"[A-Za-z0-9/_-]{0,128}")
LONGEST_TOKEN = 64
LONGEST_OVERRIDES = 8192
LONGEST_REFERENCE = 1024
MOST_TASKS = 10
MOST_SUBNETS = 16
MOST_GROUPS = 5
PLATFORMS = ("LATEST", "1.4.0", "1.3.0")
OLD_PLATFORM = "1.3.0"


def check_run(request: dict[str, Any]) -> None:
    """Refuse a RunTask request that makes no sense by itself.

    Raises:
        AwsError: `InvalidParameterException`, `ClientException`, `PlatformUnknownException`.
    """
    if not 1 <= request.get("count", 1) <= MOST_TASKS:
        raise errors.invalid_parameter(f"Tasks per request must be between 1 and {MOST_TASKS}.")
    if not STARTED_BY.fullmatch(request.get("startedBy", "")):
        raise errors.invalid_parameter("startedBy has at most 128 characters, out of letters, digits, -, / and _.")
    token = request.get("clientToken", "")
    if len(token) > LONGEST_TOKEN or not token.isascii():
        raise errors.invalid_parameter(f"clientToken has at most {LONGEST_TOKEN} ASCII characters.")
    if len(request.get("referenceId", "")) > LONGEST_REFERENCE:
        raise errors.invalid_parameter(f"referenceId has at most {LONGEST_REFERENCE} characters.")
    if request.get("launchType") and request.get("capacityProviderStrategy"):
        raise errors.invalid_parameter(
            "Specifying both a launch type and capacity provider strategy is not supported. Remove one and try again."
        )
    if len(json.dumps(request.get("overrides", {}), separators=(",", ":"))) > LONGEST_OVERRIDES:
        raise errors.invalid_parameter(f"Container Overrides length must be at most {LONGEST_OVERRIDES}")
    check_tags(request.get("tags", []))
    for override in request.get("overrides", {}).get("containerOverrides", []):
        check_files(override.get("environmentFiles", []))
    if request.get("platformVersion", "LATEST") not in PLATFORMS:
        raise errors.platform_unknown()


def strategy_of(request: dict[str, Any], cluster: Cluster) -> list[dict[str, Any]]:
    """The capacity provider strategy that a request is placed by; none where it names a launch type.

    Raises:
        AwsError: `InvalidParameterException`; it cannot be followed.
    """
    if request.get("launchType"):
        return []
    strategy = request.get("capacityProviderStrategy") or cluster.default_strategy
    check_strategy(strategy, cluster.capacity_providers)
    return strategy


def check_placement(request: dict[str, Any], strategy: list[dict[str, Any]], definition: TaskDefinition) -> AwsError | None:
    """Why a definition cannot run as requested, if so. There are no container instances: only Fargate has room."""
    if definition.status != "ACTIVE":
        return errors.task_definition_inactive()
    network = request.get("networkConfiguration", {}).get("awsvpcConfiguration")
    refusal = network_refusal(network, definition)
    if refusal:
        return errors.invalid_parameter(refusal)
    if request.get("launchType") != FARGATE and not {item["capacityProvider"] for item in strategy} & set(PROVIDERS):
        return errors.invalid_parameter("No Container Instances were found in your cluster.")
    if "FARGATE" not in definition.content["compatibilities"]:
        return errors.invalid_parameter("Task definition does not support launch_type FARGATE.")
    known = {container["name"] for container in definition.containers}
    for override in request.get("overrides", {}).get("containerOverrides", []):
        if override.get("name") not in known:
            return errors.invalid_parameter(
                f"Override for container named {override.get('name')} is not a container in the TaskDefinition."
            )
    if request.get("platformVersion") == OLD_PLATFORM and needs_new_platform(definition):
        return errors.platform_incompatible()
    return None


def check_roles(world: World, caller: Caller, request: dict[str, Any], definition: TaskDefinition) -> None:
    """Refuse roles that ECS cannot act as. One that IAM does not know is taken as it is, unless its account is strict.

    Raises:
        AwsError: `ClientException`.
    """
    for name in ("taskRoleArn", "executionRoleArn"):
        arn = request.get("overrides", {}).get(name) or definition.content.get(name)
        if not arn:
            continue
        if not ROLE.fullmatch(arn):
            raise errors.client_error("Role is not valid")
        if not may_assume(world, ECS_TASKS, caller, arn):
            raise errors.role_not_assumed(arn)


def network_refusal(network: dict[str, Any] | None, definition: TaskDefinition) -> str | None:
    """What is wrong with a network configuration."""
    if definition.content.get("networkMode") == "awsvpc" and not network:
        return "Network Configuration must be provided when networkMode 'awsvpc' is specified."
    if definition.content.get("networkMode") != "awsvpc" and network:
        return "Network Configuration is not valid for the given networkMode of this task definition."
    if network and not network["subnets"]:
        return "subnets can not be empty."
    if network and len(network["subnets"]) > MOST_SUBNETS:
        return f"subnets can have at most {MOST_SUBNETS} items."
    if network and len(network.get("securityGroups", [])) > MOST_GROUPS:
        return f"securityGroups can have at most {MOST_GROUPS} items."
    return None


def needs_new_platform(definition: TaskDefinition) -> bool:
    """Whether a definition has what only platform 1.4.0 can."""
    return (
        "ephemeralStorage" in definition.content
        or any("efsVolumeConfiguration" in volume for volume in definition.content["volumes"])
        or any(container.get("environmentFiles") for container in definition.containers)
    )
