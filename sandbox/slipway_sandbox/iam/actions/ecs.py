"""ECS's actions."""

from __future__ import annotations

from typing import Any

from slipway_sandbox.core.calls import Need
from slipway_sandbox.iam.actions.asked import Asked, passes, tags_of

TASKS = "ecs-tasks.amazonaws.com"
ROLES = ("taskRoleArn", "executionRoleArn")
ON_CLUSTERS = {
    "CreateCluster": "clusterName",
    "DeleteCluster": "cluster",
    "DescribeClusters": "clusters",
    "UpdateCluster": "cluster",
    "UpdateClusterSettings": "cluster",
    "PutClusterCapacityProviders": "cluster",
}
ON_TASKS = {"DescribeTasks": "tasks", "StopTask": "task", "ExecuteCommand": "task", "GetTaskProtection": "tasks"} | {
    "UpdateTaskProtection": "tasks"
}
ON_SERVICES = {"CreateService": "serviceName", "UpdateService": "service", "DeleteService": "service"} | {
    "DescribeServices": "services"
}


def needs(asked: Asked) -> list[Need]:
    """What a call of ECS needs."""
    name, action = asked.operation, f"ecs:{asked.operation}"
    in_cluster = {"ecs:cluster": (_cluster(asked),)}
    if name in ON_CLUSTERS:
        return [
            Need(action, asked.arns("ecs", f"cluster/{{{ON_CLUSTERS[name]}}}")),
            *_tagging(asked, f"cluster/{{{ON_CLUSTERS[name]}}}"),
        ]
    if name in ON_TASKS:
        return [Need(action, asked.arns("ecs", f"task/{_cluster_name(asked)}/{{{ON_TASKS[name]}}}"), in_cluster)]
    if name in ON_SERVICES:
        return [Need(action, asked.arns("ecs", f"service/{_cluster_name(asked)}/{{{ON_SERVICES[name]}}}"), in_cluster)]
    match name:
        case "RunTask" | "StartTask":
            return _run_task(asked, in_cluster)
        case "RegisterTaskDefinition":
            resource = "task-definition/{family}:*"
            return [Need(action, asked.arns("ecs", resource)), *passes(asked, TASKS, *ROLES), *_tagging(asked, resource)]
        case "DeleteTaskDefinitions":
            return [Need(action, asked.arns("ecs", "task-definition/{taskDefinitions}"))]
        case "ListTasks":
            return [Need(action, asked.arns("ecs", f"container-instance/{_cluster_name(asked)}/*"), in_cluster)]
        case "TagResource" | "UntagResource" | "ListTagsForResource":
            return [Need(action, asked.arns("ecs", "{resourceArn}"))]
        case _:
            return [Need(action)]


def _run_task(asked: Asked, in_cluster: dict[str, tuple[str, ...]]) -> list[Need]:
    wanted = asked.value("taskDefinition")
    found: dict[str, Any] = asked.lookup(asked.caller, "ecs", "DescribeTaskDefinition", {"taskDefinition": wanted})
    definition: dict[str, Any] = found.get("taskDefinition", {})
    resource = definition.get("taskDefinitionArn") or f"task-definition/{wanted}"
    overridden = {role: asked.value(f"overrides.{role}") or str(definition.get(role) or "") for role in ROLES}
    handed = Asked(asked.environ, asked.caller, asked.operation, overridden, asked.lookup)
    return [
        Need(f"ecs:{asked.operation}", (resource if resource.startswith("arn:") else asked.arn("ecs", resource),), in_cluster),
        *passes(handed, TASKS, *ROLES),
        *_tagging(asked, f"task/{_cluster_name(asked)}/*"),
    ]


def _tagging(asked: Asked, resource: str) -> list[Need]:
    """The right to tag what a call makes, which ECS asks for where the call has tags."""
    if not tags_of(asked.request.get("tags")):
        return []
    return [Need("ecs:TagResource", asked.arns("ecs", resource), {"ecs:createaction": (asked.operation,)})]


def _cluster(asked: Asked) -> str:
    name = asked.value("cluster") or "default"
    return name if name.startswith("arn:") else asked.arn("ecs", f"cluster/{name}")


def _cluster_name(asked: Asked) -> str:
    return _cluster(asked).rpartition("/")[2]
