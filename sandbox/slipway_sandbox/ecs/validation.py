"""What makes a task definition or a request to run it valid, in ECS's words."""

from __future__ import annotations

import re
from typing import Any

from slipway_sandbox.ecs import errors
from slipway_sandbox.ecs.store import Cluster, Task, TaskDefinition
from slipway_sandbox.errors import AwsError

NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/.+")
STARTED_BY = re.compile(r"[A-Za-z0-9/_-]{0,128}")
LONGEST_TOKEN = 64
MOST_TASKS = 10
FARGATE_MEMORY = {
    256: [512, 1024, 2048],
    512: range(1024, 4097, 1024),
    1024: range(2048, 8193, 1024),
    2048: range(4096, 16385, 1024),
    4096: range(8192, 30721, 1024),
    8192: range(16384, 61441, 4096),
    16384: range(32768, 122881, 8192),
}
"""MiB of memory that Fargate has for CPU units."""
CONTAINER_DEFAULTS: dict[str, Any] = {
    "cpu": 0,
    "portMappings": [],
    "essential": True,
    "environment": [],
    "mountPoints": [],
    "volumesFrom": [],
    "systemControls": [],
}
NOT_CONTENT = ("tags", "family")


def check_definition(request: dict[str, Any]) -> None:
    """Refuse a task definition that AWS would refuse.

    Raises:
        AwsError: `ClientException`.
    """
    if not NAME.fullmatch(request["family"]):
        raise errors.client_error("Family contains invalid characters.")
    containers = request["containerDefinitions"]
    if not containers:
        raise errors.client_error("Container list cannot be empty.")
    names = [container.get("name") for container in containers]
    for container in containers:
        _check_container(container, request)
    if len(set(names)) < len(names):
        raise errors.client_error("Container names must be unique within a task definition.")
    if not any(container.get("essential", True) for container in containers):
        raise errors.client_error("A task definition must have at least one essential container.")
    for role in ("taskRoleArn", "executionRoleArn"):
        if request.get(role) and not ROLE.fullmatch(request[role]):
            raise errors.client_error("Role is not valid")
    _check_dependencies(containers)
    if "FARGATE" in request.get("requiresCompatibilities", []):
        _check_fargate(request)


def _check_container(container: dict[str, Any], request: dict[str, Any]) -> None:
    name = container.get("name")
    if not name:
        raise errors.client_error("Container.name should not be null or empty.")
    if not NAME.fullmatch(name):
        raise errors.client_error("Container.name contains invalid characters.")
    if not container.get("image"):
        raise errors.client_error("Container.image should not be null or empty.")
    if not (container.get("memory") or container.get("memoryReservation") or request.get("memory")):
        raise errors.client_error(
            f"Invalid setting for container '{name}'. At least one of 'memory' or 'memoryReservation' must be specified."
        )
    volumes = {volume.get("name") for volume in request.get("volumes", [])}
    for mount in container.get("mountPoints", []):
        if mount.get("sourceVolume") not in volumes:
            raise errors.client_error(f"Unknown volume '{mount.get('sourceVolume')}'.")
    _check_logs(container.get("logConfiguration"))


def _check_logs(logs: dict[str, Any] | None) -> None:
    if not logs or logs["logDriver"] != "awslogs":
        return
    missing = [option for option in ("awslogs-group", "awslogs-region") if not logs.get("options", {}).get(option)]
    if missing:
        raise errors.client_error(f"Log driver awslogs requires options: {', '.join(missing)}")


def _check_dependencies(containers: list[dict[str, Any]]) -> None:
    """Each names another container, and none waits for itself by way of others."""
    waits_for = {c["name"]: {d["containerName"] for d in c.get("dependsOn", [])} for c in containers}
    for name, others in waits_for.items():
        unknown = others - waits_for.keys()
        if unknown:
            raise errors.client_error(f"Container '{name}' depends on '{unknown.pop()}', which is not in the task definition.")
    while waits_for:
        free = {name for name, others in waits_for.items() if not others}
        if not free:
            raise errors.client_error("The dependencies of the containers have a cycle.")
        waits_for = {name: others - free for name, others in waits_for.items() if name not in free}


def _check_fargate(request: dict[str, Any]) -> None:
    if request.get("networkMode") != "awsvpc":
        raise errors.client_error("Fargate only supports network mode 'awsvpc'.")
    for name in ("cpu", "memory"):
        if not request.get(name):
            raise errors.client_error(f"Fargate requires that '{name}' be defined at the task level.")
    cpu, memory = in_units(request["cpu"], "vcpu"), in_units(request["memory"], "gb")
    if memory not in FARGATE_MEMORY.get(cpu, []):
        raise errors.client_error(f"No Fargate configuration exists for given values: {cpu} CPU, {memory} memory.")
    if request.get("executionRoleArn"):
        return
    for container in request["containerDefinitions"]:
        if ".dkr.ecr." in container["image"]:
            raise errors.client_error("Fargate requires task definition to have execution role ARN to support ECR images.")
        if container.get("logConfiguration", {}).get("logDriver") == "awslogs":
            raise errors.client_error(
                "Fargate requires task definition to have execution role ARN to support log driver awslogs."
            )


def in_units(value: str, large: str) -> int:
    """CPU units or MiB: `256`, `.25 vCPU`, `1 GB`.

    Raises:
        AwsError: `ClientException`, where it is none.
    """
    found = re.fullmatch(rf"(?P<number>\d*\.?\d+)\s*(?P<large>{large})?", value.strip().lower())
    if not found:
        raise errors.client_error(f"Invalid value '{value}' for cpu or memory.")
    return int(float(found["number"]) * (1024 if found["large"] else 1))


def normalised(request: dict[str, Any]) -> dict[str, Any]:
    """A definition's members as AWS shows them, with defaults."""
    content = {name: value for name, value in request.items() if name not in NOT_CONTENT}
    for name, large in (("cpu", "vcpu"), ("memory", "gb")):
        if request.get(name):
            content[name] = str(in_units(request[name], large))
    content["containerDefinitions"] = [{**CONTAINER_DEFAULTS, **container} for container in request["containerDefinitions"]]
    fargate = request.get("networkMode") == "awsvpc" and request.get("cpu") and request.get("memory")
    return {
        "volumes": [],
        "placementConstraints": [],
        "compatibilities": ["EC2", "FARGATE"] if fargate else ["EC2"],
        "requiresAttributes": [],
        **content,
    }


def check_run(request: dict[str, Any]) -> None:
    """Refuse a RunTask request that makes no sense by itself.

    Raises:
        AwsError: `InvalidParameterException`.
    """
    if not 1 <= request.get("count", 1) <= MOST_TASKS:
        raise errors.invalid_parameter(f"Tasks per request must be between 1 and {MOST_TASKS}.")
    if not STARTED_BY.fullmatch(request.get("startedBy", "")):
        raise errors.invalid_parameter("startedBy has at most 128 characters, out of letters, digits, -, / and _.")
    token = request.get("clientToken", "")
    if len(token) > LONGEST_TOKEN or not token.isascii():
        raise errors.invalid_parameter(f"clientToken has at most {LONGEST_TOKEN} ASCII characters.")
    if request.get("launchType") and request.get("capacityProviderStrategy"):
        raise errors.invalid_parameter("Specifying both a launch type and capacity provider strategy is not supported.")


def check_placement(request: dict[str, Any], cluster: Cluster, definition: TaskDefinition) -> AwsError | None:
    """Why a definition cannot run on a cluster as requested, if so. There are no container instances: only Fargate has room."""
    launch_type = request.get("launchType")
    strategy = request.get("capacityProviderStrategy") or ([] if launch_type else cluster.default_strategy)
    providers = {item["capacityProvider"] for item in strategy}
    if not definition.active:
        return errors.task_definition_inactive()
    network = request.get("networkConfiguration", {}).get("awsvpcConfiguration")
    if definition.content.get("networkMode") == "awsvpc" and not network:
        return errors.invalid_parameter("Network Configuration must be provided when networkMode 'awsvpc' is specified.")
    if definition.content.get("networkMode") != "awsvpc" and network:
        return errors.invalid_parameter("Network Configuration is not valid for the given networkMode of this task definition.")
    if launch_type != "FARGATE" and not providers & {"FARGATE", "FARGATE_SPOT"}:
        return errors.invalid_parameter("No Container Instances were found in your cluster.")
    if "FARGATE" not in definition.content["compatibilities"]:
        return errors.invalid_parameter("Task definition does not support launch_type FARGATE.")
    known = {container["name"] for container in definition.containers}
    for override in request.get("overrides", {}).get("containerOverrides", []):
        if override.get("name") not in known:
            return errors.invalid_parameter(
                f"Override for container named {override.get('name')} is not a container in the TaskDefinition."
            )
    return None


def environment_of(task: Task, container: dict[str, Any]) -> dict[str, str]:
    """A container's variables by its definition, with RunTask's on top."""
    own = {item["name"]: item.get("value", "") for item in container["environment"]}
    return own | {item["name"]: item.get("value", "") for item in override_of(task, container).get("environment", [])}


def override_of(task: Task, container: dict[str, Any]) -> dict[str, Any]:
    """What RunTask said of one container."""
    overrides: list[dict[str, Any]] = task.overrides.get("containerOverrides", [])
    own = [override for override in overrides if override["name"] == container["name"]]
    return own[0] if own else {}
