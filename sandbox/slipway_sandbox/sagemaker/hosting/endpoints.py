"""Endpoints: CreateEndpoint, UpdateEndpoint and their kin."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from slipway_sandbox.calls import Caller
from slipway_sandbox.errors import validation_error
from slipway_sandbox.sagemaker.hosting.configs import EndpointConfig, EndpointConfigRoom
from slipway_sandbox.sagemaker.hosting.deployment import EVERYTHING, plan_of
from slipway_sandbox.sagemaker.hosting.dials import Dials
from slipway_sandbox.sagemaker.hosting.endpoint import BUSY, Capacity, Deployment, Endpoint, EndpointStatus
from slipway_sandbox.sagemaker.hosting.rollout import Creation, FateKind, Update, Workshop
from slipway_sandbox.sagemaker.resources import Table, page, select, within
from slipway_sandbox.sagemaker.tags import TagRoom
from slipway_sandbox.world import Room, World, operation

RESIZE_SECONDS = 10.0
"""Simulated seconds until new weights and instance counts are in effect."""
DELETE_SECONDS = 5.0
"""Simulated seconds that a deletion takes."""


class EndpointRoom(Room):
    """The operations on endpoints. What takes time runs on threads of its own.

    Args:
        world: What all rooms share.
        configs: The endpoint configurations.
        workshop: What creating and updating work with.
        dials: What tests set to become of the next create or update.
        tags: The tags of all resources.
    """

    service = "sagemaker"

    def __init__(self, world: World, configs: EndpointConfigRoom, workshop: Workshop, dials: Dials, tags: TagRoom) -> None:
        super().__init__(world)
        self.endpoints: Table[Endpoint] = Table("endpoint", "endpoint")
        self._configs = configs.configs
        self._shop = workshop
        self._dials = dials
        self._tags = tags

    @operation("CreateEndpoint")
    def create_endpoint(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        config = self._configs.get(caller, request["EndpointConfigName"])
        name, now = request["EndpointName"], self.world.clock.now()
        # A deployment configuration is for the updates to come; it is checked all the same.
        plan_of(request.get("DeploymentConfig"), config.variants, config.variants)
        served = Deployment(config, _initial(config), now, percent=EVERYTHING, stage_since=now)
        endpoint = Endpoint(name, self.endpoints.arn(caller, name), now, caller, served)
        endpoint.deployment_config = request.get("DeploymentConfig")
        self.endpoints.add(caller, endpoint)
        self._tags.put(endpoint.arn, request.get("Tags", ()))
        self._shop.alarms.watch(caller)
        fate = self._dials.take(caller, name, {FateKind.capacity})
        self._start(endpoint, Creation(self._shop, endpoint, fate).run)
        return {"EndpointArn": endpoint.arn}

    @operation("DescribeEndpoint")
    def describe_endpoint(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        return self.endpoints.get(caller, request["EndpointName"]).describe()

    @operation("ListEndpoints")
    def list_endpoints(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        wanted = request.get("StatusEquals")
        found = [
            endpoint
            for endpoint in select(self.endpoints.all_of(caller), request)
            if wanted in (None, endpoint.status.value) and within(endpoint.modified, request, "LastModifiedTime")
        ]
        endpoints, token = page(found, request)
        return {"Endpoints": [endpoint.summary() for endpoint in endpoints], "NextToken": token}

    @operation("UpdateEndpoint")
    def update_endpoint(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        endpoint = self.endpoints.get(caller, request["EndpointName"])
        self._refuse_busy(endpoint)
        config = self._configs.get(caller, request["EndpointConfigName"])
        # AWS reads the configuration that is served, too: an endpoint whose own was deleted cannot be updated.
        self._configs.get(caller, endpoint.served.config.name)
        deployment = request.get("DeploymentConfig")
        if deployment is None and request.get("RetainDeploymentConfig"):
            deployment = endpoint.deployment_config
        plan = plan_of(deployment, config.variants, endpoint.served.config.variants)
        now = self.world.clock.now()
        pending = Deployment(config, _capacities(config, endpoint, request), now, stage_since=now)
        fate = self._dials.take(caller, endpoint.name, set(FateKind))
        endpoint.deployment_config = deployment
        endpoint.pending = pending
        endpoint.enter(EndpointStatus.updating, now)
        self._start(endpoint, Update(self._shop, endpoint, pending, plan, fate).run)
        return {"EndpointArn": endpoint.arn}

    @operation("UpdateEndpointWeightsAndCapacities")
    def update_weights(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        endpoint = self.endpoints.get(caller, request["EndpointName"])
        self._refuse_busy(endpoint)
        changed = dict(endpoint.served.capacities)
        for wish in request["DesiredWeightsAndCapacities"]:
            name = wish["VariantName"]
            if name not in changed:
                raise validation_error(f'Could not find variant "{name}" of endpoint "{endpoint.arn}".')
            changed[name] = Capacity(
                wish.get("DesiredWeight", changed[name].weight), wish.get("DesiredInstanceCount", changed[name].instances)
            )
        endpoint.enter(EndpointStatus.updating, self.world.clock.now())
        self.world.clock.call_later(RESIZE_SECONDS, lambda: self._resize(endpoint, changed))
        return {"EndpointArn": endpoint.arn}

    @operation("DeleteEndpoint")
    def delete_endpoint(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        endpoint = self.endpoints.get(caller, request["EndpointName"])
        self._refuse_in_progress(endpoint)
        endpoint.enter(EndpointStatus.deleting, self.world.clock.now())
        endpoint.router.set([])
        self._start(endpoint, lambda: stop_fleets(endpoint))
        self.world.clock.call_later(DELETE_SECONDS, lambda: self._forget(caller, endpoint))
        return {}

    def reset(self, account: str | None) -> None:
        """Forget the endpoints of one account, or all, and stop their fleets."""
        for endpoint in self.endpoints.clear(account):
            endpoint.halted.set()
            endpoint.router.set([])
            self._start(endpoint, lambda endpoint=endpoint: stop_fleets(endpoint))
        self._dials.clear(account)
        self._shop.alarms.forget(account)

    def _refuse_in_progress(self, endpoint: Endpoint) -> None:
        if endpoint.status in BUSY:
            raise validation_error(f'Cannot update in-progress endpoint "{endpoint.arn}".')

    def _refuse_busy(self, endpoint: Endpoint) -> None:
        self._refuse_in_progress(endpoint)
        if endpoint.status is EndpointStatus.failed:
            raise validation_error(f'Cannot update endpoint "{endpoint.arn}" in status Failed; it can only be deleted.')

    def _resize(self, endpoint: Endpoint, capacities: dict[str, Capacity]) -> None:
        with self.lock:
            endpoint.served.capacities = capacities
            endpoint.split(0)
            endpoint.enter(EndpointStatus.in_service, self.world.clock.now())

    def _forget(self, caller: Caller, endpoint: Endpoint) -> None:
        with self.lock:
            endpoint.halted.set()
            if self.endpoints.find(caller, endpoint.name) is endpoint:
                self.endpoints.remove(caller, endpoint.name)
                self._tags.forget(endpoint.arn)

    @staticmethod
    def _start(endpoint: Endpoint, work: Callable[[], None]) -> None:
        threading.Thread(target=work, name=f"endpoint-{endpoint.name}", daemon=True).start()


def stop_fleets(endpoint: Endpoint) -> None:
    """End everything that an endpoint runs."""
    for deployment in (endpoint.served, endpoint.pending):
        if deployment and deployment.fleet:
            deployment.fleet.stop()


def _initial(config: EndpointConfig) -> dict[str, Capacity]:
    return {variant["VariantName"]: Capacity.of(variant) for variant in config.variants}


def _capacities(config: EndpointConfig, endpoint: Endpoint, request: dict[str, Any]) -> dict[str, Capacity]:
    """What the new fleet's variants get: as configured, or as the live ones have it where they are to be retained."""
    capacities = _initial(config)
    if not request.get("RetainAllVariantProperties"):
        return capacities
    excluded = {item["VariantPropertyType"] for item in request.get("ExcludeRetainedVariantProperties", ())}
    for name, live in endpoint.served.capacities.items():
        if name in capacities and "DesiredInstanceCount" not in excluded:
            capacities[name] = replace(capacities[name], instances=live.instances)
        if name in capacities and "DesiredWeight" not in excluded:
            capacities[name] = replace(capacities[name], weight=live.weight)
    return capacities
