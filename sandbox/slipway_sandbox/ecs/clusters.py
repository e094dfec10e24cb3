"""Clusters without container instances."""

from __future__ import annotations

import re
from typing import Any

from slipway_sandbox.core.calls import Caller
from slipway_sandbox.core.world import Room, World, operation
from slipway_sandbox.ecs import errors
from slipway_sandbox.ecs.capacity import check_strategy
from slipway_sandbox.ecs.listing import page
from slipway_sandbox.ecs.model import Cluster, merged_tags
from slipway_sandbox.ecs.store import Store
from slipway_sandbox.ecs.tagging import check_tags

NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
INSIGHTS = ("enhanced", "enabled", "disabled")
MOST_DESCRIBED = 100
DIFFERS = "no container instances, services or capacity providers of one's own"


class ClusterRoom(Room):
    """Makes, shows, changes and deletes clusters."""

    service = "ecs"

    def __init__(self, world: World, store: Store) -> None:
        super().__init__(world)
        self._store = store

    def reset(self, account: str | None) -> None:
        """The room of tasks forgets the store, since it has to stop them first."""

    @operation("CreateCluster", differs=f"{DIFFERS}; no namespace is known, so a Service Connect default is refused")
    def create_cluster(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """Create a cluster; one of the name that is there is answered as it is."""
        name = request.get("clusterName") or "default"
        if not NAME.fullmatch(name):
            raise errors.invalid_parameter("Identifier contains invalid characters.")
        check_settings(request)
        check_tags(request.get("tags", []))
        providers = request.get("capacityProviders", [])
        check_strategy(request.get("defaultCapacityProviderStrategy", []), providers)
        known = self._store.find_cluster(caller, name)
        if known is None or known.status != "ACTIVE":
            known = Cluster(
                caller.account,
                caller.region,
                name,
                settings=request.get("settings") or [{"name": "containerInsights", "value": "disabled"}],
                configuration=request.get("configuration"),
                capacity_providers=providers,
                default_strategy=request.get("defaultCapacityProviderStrategy", []),
                tags=merged_tags([], request.get("tags", [])),
            )
            self._store.put_cluster(known)
        return {"cluster": self.shown(known, ["TAGS", "SETTINGS", "CONFIGURATIONS"])}

    @operation("DescribeClusters", differs=DIFFERS)
    def describe_clusters(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """Clusters by name or ARN; `default` where none is named."""
        names = request.get("clusters") or ["default"]
        if len(names) > MOST_DESCRIBED:
            raise errors.invalid_parameter(f"Clusters cannot have more than {MOST_DESCRIBED} elements.")
        shown: list[dict[str, Any]] = []
        failures: list[dict[str, Any]] = []
        for name in names:
            cluster = self._store.find_cluster(caller, name)
            if cluster:
                shown.append(self.shown(cluster, request.get("include", [])))
            else:
                arn = name if name.startswith("arn:") else f"arn:aws:ecs:{caller.region}:{caller.account}:cluster/{name}"
                failures.append({"arn": arn, "reason": "MISSING"})
        return {"clusters": shown, "failures": failures}

    @operation("ListClusters", differs=f"{DIFFERS}; the wording for a bad token or size of the page is not verified")
    def list_clusters(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """The ARNs of active clusters."""
        arns, token = page([c.arn for c in self._store.clusters(caller) if c.status == "ACTIVE"], request)
        return {"clusterArns": arns, "nextToken": token}

    @operation("UpdateCluster", differs="no namespace is known, so a Service Connect default is refused")
    def update_cluster(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """Change settings and configuration; what is omitted stays."""
        cluster = self._store.active_cluster(caller, request["cluster"])
        check_settings(request)
        cluster.settings = request.get("settings") or cluster.settings
        cluster.configuration = request.get("configuration") or cluster.configuration
        return {"cluster": self.shown(cluster, ["SETTINGS", "CONFIGURATIONS"])}

    @operation("UpdateClusterSettings", differs="Container Insights is shown and collects nothing")
    def update_cluster_settings(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """Change settings."""
        cluster = self._store.active_cluster(caller, request["cluster"])
        if not request["settings"]:
            raise errors.invalid_parameter("Settings cannot be empty.")
        check_settings(request)
        cluster.settings = request["settings"]
        return {"cluster": self.shown(cluster, ["SETTINGS"])}

    @operation("DeleteCluster", differs=DIFFERS)
    def delete_cluster(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """Make a cluster inactive, unless tasks run on it."""
        cluster = self._store.active_cluster(caller, request["cluster"])
        if any(task.status != "STOPPED" for task in self._store.tasks(cluster)):
            raise errors.cluster_has_tasks()
        cluster.status = "INACTIVE"
        return {"cluster": self.shown(cluster, [])}

    @operation("PutClusterCapacityProviders", differs="the only providers are FARGATE and FARGATE_SPOT; the change is immediate")
    def put_capacity_providers(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """Say which providers a cluster has, and which it takes by itself; one that tasks run on stays."""
        cluster = self._store.active_cluster(caller, request["cluster"])
        providers = request["capacityProviders"]
        check_strategy(request["defaultCapacityProviderStrategy"], providers)
        used = {task.capacity_provider for task in self._store.tasks(cluster) if task.status != "STOPPED"}
        if used & (set(cluster.capacity_providers) - set(providers)):
            raise errors.provider_in_use()
        cluster.capacity_providers = providers
        cluster.default_strategy = request["defaultCapacityProviderStrategy"]
        return {"cluster": self.shown(cluster, ["SETTINGS"])}

    def shown(self, cluster: Cluster, include: list[str]) -> dict[str, Any]:
        """As `cluster` in answers."""
        states = [task.status for task in self._store.tasks(cluster)]
        running, pending = states.count("RUNNING"), states.count("PROVISIONING") + states.count("PENDING")
        return {
            "clusterArn": cluster.arn,
            "clusterName": cluster.name,
            "configuration": cluster.configuration if "CONFIGURATIONS" in include else None,
            "status": cluster.status,
            "registeredContainerInstancesCount": 0,
            "runningTasksCount": running,
            "pendingTasksCount": pending,
            "activeServicesCount": 0,
            "statistics": statistics(running, pending) if "STATISTICS" in include else [],
            "tags": cluster.tags if "TAGS" in include else [],
            "settings": cluster.settings if "SETTINGS" in include else [],
            "capacityProviders": cluster.capacity_providers,
            "defaultCapacityProviderStrategy": cluster.default_strategy,
        }


def check_settings(request: dict[str, Any]) -> None:
    """Refuse what a cluster cannot be set to.

    Raises:
        AwsError: `InvalidParameterException`, `NamespaceNotFoundException`.
    """
    for setting in request.get("settings", []):
        if setting.get("name") != "containerInsights" or setting.get("value") not in INSIGHTS:
            raise errors.invalid_parameter(f"Invalid cluster setting: {setting.get('name')} = {setting.get('value')}.")
    if request.get("serviceConnectDefaults", {}).get("namespace"):
        raise errors.namespace_not_found()


def statistics(running: int, pending: int) -> list[dict[str, str]]:
    """Counts by launch type; all that runs is Fargate."""
    counts = {
        "runningEC2TasksCount": 0,
        "runningFargateTasksCount": running,
        "pendingEC2TasksCount": 0,
        "pendingFargateTasksCount": pending,
        "runningExternalTasksCount": 0,
        "pendingExternalTasksCount": 0,
        "activeEC2ServiceCount": 0,
        "activeFargateServiceCount": 0,
        "drainingEC2ServiceCount": 0,
        "drainingFargateServiceCount": 0,
        "activeExternalServiceCount": 0,
        "drainingExternalServiceCount": 0,
    }
    return [{"name": name, "value": str(count)} for name, count in counts.items()]
