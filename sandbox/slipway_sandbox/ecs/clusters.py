"""Clusters, and the tags of everything in ECS."""

from __future__ import annotations

import re
from typing import Any

from slipway_sandbox.calls import Caller
from slipway_sandbox.ecs import errors
from slipway_sandbox.ecs.store import Cluster, Store, merged_tags
from slipway_sandbox.pages import page
from slipway_sandbox.world import Room, World, operation

NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
MOST_TAGS = 50


class ClusterRoom(Room):
    """Clusters without container instances."""

    service = "ecs"

    def __init__(self, world: World, store: Store) -> None:
        super().__init__(world)
        self._store = store

    def reset(self, account: str | None) -> None:
        """The room of tasks forgets the store, since it has to stop them first."""

    @operation("CreateCluster")
    def create_cluster(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """Create a cluster; one of the name that is there is answered as it is."""
        name = request.get("clusterName") or "default"
        if not NAME.fullmatch(name):
            raise errors.invalid_parameter("Identifier contains invalid characters.")
        known = self._store.find_cluster(caller, name)
        if known is None or known.status != "ACTIVE":
            known = Cluster(
                caller.account,
                caller.region,
                name,
                settings=request.get("settings", []),
                capacity_providers=request.get("capacityProviders", []),
                default_strategy=request.get("defaultCapacityProviderStrategy", []),
                tags=merged_tags([], request.get("tags", [])),
            )
            self._store.put_cluster(known)
        return {"cluster": self._shown(known, ["TAGS", "SETTINGS"])}

    @operation("DescribeClusters")
    def describe_clusters(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """Clusters by name or ARN; `default` where none is named."""
        shown: list[dict[str, Any]] = []
        failures: list[dict[str, Any]] = []
        for name in request.get("clusters") or ["default"]:
            cluster = self._store.find_cluster(caller, name)
            if cluster:
                shown.append(self._shown(cluster, request.get("include", [])))
            else:
                arn = name if name.startswith("arn:") else f"arn:aws:ecs:{caller.region}:{caller.account}:cluster/{name}"
                failures.append({"arn": arn, "reason": "MISSING"})
        return {"clusters": shown, "failures": failures}

    @operation("ListClusters")
    def list_clusters(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """The ARNs of active clusters."""
        arns, token = page([c.arn for c in self._store.clusters(caller) if c.status == "ACTIVE"], request)
        return {"clusterArns": arns, "nextToken": token}

    @operation("DeleteCluster")
    def delete_cluster(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """Make a cluster inactive, unless tasks run on it."""
        cluster = self._store.active_cluster(caller, request["cluster"])
        if self._counts(cluster) != (0, 0):
            raise errors.cluster_has_tasks()
        cluster.status = "INACTIVE"
        return {"cluster": self._shown(cluster, [])}

    @operation("TagResource")
    def tag_resource(self, _caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """Set tags of a cluster, task or task definition."""
        resource = self._store.tagged(request["resourceArn"])
        tags = merged_tags(resource.tags, request["tags"])
        if len(tags) > MOST_TAGS:
            raise errors.invalid_parameter(f"Too many tags: at most {MOST_TAGS} are allowed.")
        resource.tags = tags
        return {}

    @operation("UntagResource")
    def untag_resource(self, _caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """Remove tags by key."""
        resource = self._store.tagged(request["resourceArn"])
        resource.tags = [tag for tag in resource.tags if tag["key"] not in request["tagKeys"]]
        return {}

    @operation("ListTagsForResource")
    def list_tags_for_resource(self, _caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """The tags of a cluster, task or task definition."""
        return {"tags": self._store.tagged(request["resourceArn"]).tags}

    def _counts(self, cluster: Cluster) -> tuple[int, int]:
        """Tasks that run, and tasks that are on their way to it."""
        states = [task.status for task in self._store.tasks(cluster, self.world.clock.now())]
        return states.count("RUNNING"), states.count("PROVISIONING") + states.count("PENDING")

    def _shown(self, cluster: Cluster, include: list[str]) -> dict[str, Any]:
        running, pending = self._counts(cluster)
        return {
            "clusterArn": cluster.arn,
            "clusterName": cluster.name,
            "status": cluster.status,
            "registeredContainerInstancesCount": 0,
            "runningTasksCount": running,
            "pendingTasksCount": pending,
            "activeServicesCount": 0,
            "statistics": [],
            "tags": cluster.tags if "TAGS" in include else [],
            "settings": cluster.settings if "SETTINGS" in include else [],
            "capacityProviders": cluster.capacity_providers,
            "defaultCapacityProviderStrategy": cluster.default_strategy,
        }
