"""What makes a task definition valid, in ECS's words, and how it looks with its defaults."""

from __future__ import annotations

import re
from typing import Any

from slipway_sandbox.ecs import errors
from slipway_sandbox.ecs.tagging import check_tags

NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/.+")
FILE_ARN = re.compile(r"arn:aws[a-z-]*:s3:::[^/]+/.+\.env")
SECRET_ARN = re.compile(r"arn:aws[a-z-]*:(?:ssm|secretsmanager):.+")
PARAMETER_NAME = re.compile(r"[A-Za-z0-9_./-]+")
MOST_CONTAINERS = 10
MOST_FILES = 10
SHORTEST_TIMEOUT = 2
LONGEST_FARGATE_TIMEOUT = 120
STORAGE = range(21, 201)
FARGATE_LOGS = ("awslogs", "splunk", "awsfirelens")
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
HEALTH_DEFAULTS = {"interval": 30, "timeout": 5, "retries": 3}
HEALTH_BOUNDS = {"interval": (5, 300), "timeout": (2, 60), "retries": (1, 10), "startPeriod": (0, 300)}
HEALTH_KINDS = ("CMD", "CMD-SHELL")
NOT_CONTENT = ("tags", "family")


def check_definition(request: dict[str, Any]) -> None:
    """Refuse a task definition that AWS would refuse.

    Raises:
        AwsError: `ClientException`.
    """
    if not NAME.fullmatch(request["family"]):
        raise errors.client_error("Family contains invalid characters.")
    if request.get("tags") == []:
        raise errors.client_error("Tags can not be empty.")
    check_tags(request.get("tags", []))
    for role in ("taskRoleArn", "executionRoleArn"):
        if request.get(role) and not ROLE.fullmatch(request[role]):
            raise errors.client_error("Role is not valid")
    _check_containers(request)
    _check_dependencies(request["containerDefinitions"])
    if "FARGATE" in request.get("requiresCompatibilities", []):
        _check_fargate(request)


def _check_containers(request: dict[str, Any]) -> None:
    containers = request["containerDefinitions"]
    if not containers:
        raise errors.client_error("Container list cannot be empty.")
    if len(containers) > MOST_CONTAINERS:
        raise errors.client_error(f"A task definition can contain at most {MOST_CONTAINERS} containers.")
    names = [container.get("name") for container in containers]
    for container in containers:
        _check_container(container, request)
    if len(set(names)) < len(names):
        raise errors.client_error("Container names must be unique within a task definition.")
    if not any(container.get("essential", True) for container in containers):
        raise errors.client_error("A task definition must have at least one essential container.")


def _check_container(container: dict[str, Any], request: dict[str, Any]) -> None:
    name = container.get("name")
    if not name:
        raise errors.client_error("Container.name should not be null or empty.")
    if not NAME.fullmatch(name):
        raise errors.client_error("Container.name contains invalid characters.")
    if not container.get("image"):
        raise errors.client_error("Container.image should not be null or empty.")
    _check_memory(container, request)
    volumes = {volume.get("name") for volume in request.get("volumes", [])}
    for mount in container.get("mountPoints", []):
        if mount.get("sourceVolume") not in volumes:
            raise errors.client_error(f"Unknown volume '{mount.get('sourceVolume')}'.")
    for kind in ("start", "stop"):
        if container.get(f"{kind}Timeout", SHORTEST_TIMEOUT) < SHORTEST_TIMEOUT:
            raise errors.client_error(
                f"Granular {kind} timeout on container '{name}' must be at least {SHORTEST_TIMEOUT} seconds."
            )
    _check_ports(container, request)
    _check_logs(container.get("logConfiguration"))
    _check_health(container.get("healthCheck"))
    _check_secrets(container, request)
    check_files(container.get("environmentFiles", []))


def _check_memory(container: dict[str, Any], request: dict[str, Any]) -> None:
    name, hard, soft = container["name"], container.get("memory"), container.get("memoryReservation")
    if not (hard or soft or request.get("memory")):
        raise errors.client_error(
            f"Invalid setting for container '{name}'. At least one of 'memory' or 'memoryReservation' must be specified."
        )
    if hard and soft and hard < soft:
        raise errors.client_error(
            f"Invalid setting for container '{name}'. 'memory' must be greater than or equal to 'memoryReservation'."
        )


def _check_ports(container: dict[str, Any], request: dict[str, Any]) -> None:
    if request.get("networkMode") not in ("awsvpc", "host"):
        return
    for mapping in container.get("portMappings", []):
        if mapping.get("hostPort") not in (None, 0, mapping.get("containerPort")):
            raise errors.client_error(
                f"When networkMode={request['networkMode']}, the host ports and container ports in port mappings must match."
            )


def _check_logs(logs: dict[str, Any] | None) -> None:
    if not logs or logs["logDriver"] != "awslogs":
        return
    missing = [option for option in ("awslogs-group", "awslogs-region") if not logs.get("options", {}).get(option)]
    if missing:
        raise errors.client_error(f"Log driver awslogs requires options: {', '.join(missing)}")


def _check_health(check: dict[str, Any] | None) -> None:
    if check is None:
        return
    command = check["command"]
    if not command or (command[0] in HEALTH_KINDS and len(command) == 1):
        raise errors.client_error("Health check command cannot be empty.")
    for name, (least, most) in HEALTH_BOUNDS.items():
        if not least <= check.get(name, least) <= most:
            raise errors.client_error(f"Health check {name} must be between {least} and {most}.")


def _check_secrets(container: dict[str, Any], request: dict[str, Any]) -> None:
    secrets = container.get("secrets", [])
    if secrets and not request.get("executionRoleArn"):
        raise errors.client_error(
            "When you are specifying container secrets, you must also specify a value for 'executionRoleArn'."
        )
    taken = [item.get("name") for item in container.get("environment", [])]
    for secret in secrets:
        if secret["name"] in taken:
            raise errors.client_error(
                "The secret name must be unique and not shared with any new or existing environment variables set on the "
                f"container, such as '{secret['name']}'."
            )
        taken.append(secret["name"])
        if not SECRET_ARN.fullmatch(secret["valueFrom"]) and not PARAMETER_NAME.fullmatch(secret["valueFrom"]):
            raise errors.client_error(
                f"The Systems Manager parameter name specified for secret {secret['name']} is invalid. The parameter name can be "
                "up to 2048 characters and include the following letters and symbols: a-zA-Z0-9_.-,"
            )


def check_files(files: list[dict[str, str]]) -> None:
    """Refuse environment files that are none.

    Raises:
        AwsError: `ClientException`.
    """
    if len(files) > MOST_FILES:
        raise errors.client_error(f"A container can have at most {MOST_FILES} environment files.")
    for file in files:
        if not FILE_ARN.fullmatch(file["value"]):
            raise errors.client_error("The environment file must be the ARN of an Amazon S3 object with the extension .env.")


def _check_dependencies(containers: list[dict[str, Any]]) -> None:
    """Each names another container that can reach the condition, and there are no cycles."""
    by_name = {container["name"]: container for container in containers}
    for container in containers:
        for dependency in container.get("dependsOn", []):
            other = by_name.get(dependency["containerName"])
            if other is None:
                raise errors.client_error(
                    f"Cannot depend on container + '{dependency['containerName']}' because it does not exist"
                )
            _check_condition(dependency["condition"], other)
    waits_for = {c["name"]: {d["containerName"] for d in c.get("dependsOn", [])} for c in containers}
    while waits_for:
        free = {name for name, others in waits_for.items() if not others}
        if not free:
            raise errors.client_error("The dependencies of the containers have a cycle.")
        waits_for = {name: others - free for name, others in waits_for.items() if name not in free}


def _check_condition(condition: str, other: dict[str, Any]) -> None:
    if condition in ("SUCCESS", "COMPLETE") and other.get("essential", True):
        raise errors.client_error("A dependency container with SUCCESS or COMPLETE condition cannot be an essential container")
    if condition == "HEALTHY" and not other.get("healthCheck"):
        raise errors.client_error("A dependency container with HEALTHY condition must have a health check configured")


def _check_fargate(request: dict[str, Any]) -> None:
    if request.get("networkMode") != "awsvpc":
        # The quotes are AWS's own.
        raise errors.client_error("Fargate only supports network mode ‘awsvpc’.")  # noqa: RUF001
    for name in ("cpu", "memory"):
        if not request.get(name):
            raise errors.client_error(f"Fargate requires that '{name}' be defined at the task level.")
    cpu, memory = in_units(request["cpu"], "cpu"), in_units(request["memory"], "memory")
    if memory not in FARGATE_MEMORY.get(cpu, []):
        raise errors.client_error(
            f"No Fargate configuration exists for given values: {cpu} CPU, {memory} memory. "
            "See the Amazon ECS documentation for the valid values."
        )
    if request.get("ephemeralStorage", {}).get("sizeInGiB", STORAGE[0]) not in STORAGE:
        raise errors.client_error(f"Ephemeral storage size must be between {STORAGE[0]} and {STORAGE[-1]} GiB.")
    for container in request["containerDefinitions"]:
        _check_on_fargate(container, request.get("executionRoleArn"))


def _check_on_fargate(container: dict[str, Any], role: str | None) -> None:
    driver = container.get("logConfiguration", {}).get("logDriver")
    if driver and driver not in FARGATE_LOGS:
        raise errors.client_error(f"{driver} is not a valid log driver. Must be one of [{','.join(FARGATE_LOGS)}]")
    for kind in ("start", "stop"):
        if container.get(f"{kind}Timeout", 0) > LONGEST_FARGATE_TIMEOUT:
            raise errors.client_error(
                f"Tasks using the Fargate launch type must have a container {kind} timeout of less than "
                f"{LONGEST_FARGATE_TIMEOUT} seconds."
            )
    if role:
        return
    if ".dkr.ecr." in container["image"]:
        raise errors.client_error("Fargate requires task definition to have execution role ARN to support ECR images.")
    if driver == "awslogs":
        raise errors.client_error("Fargate requires task definition to have execution role ARN to support log driver awslogs.")


def in_units(value: str, kind: str) -> int:
    """CPU units or MiB: `256`, `.25 vCPU`, `1 GB`.

    Raises:
        AwsError: `ClientException`, where it is none.
    """
    large = "vcpu" if kind == "cpu" else "gb"
    found = re.fullmatch(rf"(?P<number>\d*\.?\d+)\s*(?P<large>{large})?", value.strip().lower())
    if not found:
        raise errors.client_error(
            f"Invalid '{kind}' setting for task. For more information, see the Troubleshooting section of the "
            "Amazon ECS Developer Guide."
        )
    return int(float(found["number"]) * (1024 if found["large"] else 1))


def normalised(request: dict[str, Any]) -> dict[str, Any]:
    """A definition's members as AWS shows them, with defaults."""
    content = {name: value for name, value in request.items() if name not in NOT_CONTENT}
    for name in ("cpu", "memory"):
        if request.get(name):
            content[name] = str(in_units(request[name], name))
    content["containerDefinitions"] = [_normalised_container(container, request) for container in request["containerDefinitions"]]
    fargate = request.get("networkMode") == "awsvpc" and request.get("cpu") and request.get("memory")
    return {
        "volumes": [],
        "placementConstraints": [],
        "compatibilities": ["EC2", "FARGATE"] if fargate else ["EC2"],
        "requiresAttributes": [],
        **content,
    }


def _normalised_container(container: dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:
    content = {**CONTAINER_DEFAULTS, **container}
    if "healthCheck" in container:
        check = container["healthCheck"]
        # A command that names neither kind is the container's shell's.
        command = check["command"] if check["command"][0] in HEALTH_KINDS else ["CMD-SHELL", *check["command"]]
        content["healthCheck"] = {**HEALTH_DEFAULTS, **check, "command": command}
    same_port = request.get("networkMode") in ("awsvpc", "host")
    content["portMappings"] = [_normalised_port(mapping, same_port=same_port) for mapping in content["portMappings"]]
    return content


def _normalised_port(mapping: dict[str, Any], *, same_port: bool) -> dict[str, Any]:
    host = mapping.get("hostPort") or (mapping.get("containerPort") if same_port else 0)
    return {"protocol": "tcp", **mapping, "hostPort": host}
