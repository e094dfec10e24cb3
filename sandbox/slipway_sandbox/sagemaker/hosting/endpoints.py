"""Endpoints: create, update, describe, list and delete."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from slipway_sandbox.autoscaling import ScalableTargets
from slipway_sandbox.core.calls import Caller
from slipway_sandbox.core.errors import validation_error
from slipway_sandbox.core.world import Room, World, operation
from slipway_sandbox.sagemaker.hosting.config_checks import check_concurrency
from slipway_sandbox.sagemaker.hosting.configs import EndpointConfig, EndpointConfigRoom
from slipway_sandbox.sagemaker.hosting.deployment import EVERYTHING, plan_of
from slipway_sandbox.sagemaker.hosting.dials import DialRoom, instances_of
from slipway_sandbox.sagemaker.hosting.endpoint import (
    BUSY,
    Capacity,
    Deployment,
    Endpoint,
    EndpointStatus,
    initial_capacities,
)
from slipway_sandbox.sagemaker.hosting.rollout import Creation, OutcomeKind, RolloutContext, Update
from slipway_sandbox.sagemaker.hosting.views import described, summary, tell_deployment, tell_state
from slipway_sandbox.sagemaker.quotas import SageMakerQuotas
from slipway_sandbox.sagemaker.resources import Table, page, select, within
from slipway_sandbox.sagemaker.tags import TagRoom

RESIZE_SECONDS = 10.0
"""Simulated seconds until new weights and instance counts are in effect."""
DELETE_SECONDS = 5.0
"""Simulated seconds that a deletion takes."""


class EndpointRoom(Room):
    """The operations on endpoints. What takes time runs on threads of its own.

    Args:
        world: What all rooms share.
        configs: The endpoint configurations.
        context: What creating and updating need of the sandbox.
        dials: The outcomes that tests force on the next create or update.
        tags: The tags of all resources.
        quotas: How many instances an account's endpoints may have.
        targets: The variants that Application Auto Scaling looks after.
    """

    service = "sagemaker"

    def __init__(
        self,
        world: World,
        configs: EndpointConfigRoom,
        context: RolloutContext,
        dials: DialRoom,
        tags: TagRoom,
        quotas: SageMakerQuotas,
        targets: ScalableTargets,
    ) -> None:
        super().__init__(world)
        self.endpoints: Table[Endpoint] = Table("endpoint", "endpoint")
        self._configs = configs
        self._context = context
        self._dials = dials
        self._tags = tags
        self._quotas = quotas
        self._targets = targets

    @operation(
        "CreateEndpoint",
        differs="10 s for instances, then as long as the containers really take; a variant is one process (a pipeline one for "
        "each container), however many instances it has; quotas only by the dial",
    )
    def create_endpoint(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        config = self._configs.read(caller, request["EndpointConfigName"])
        name, now = request["EndpointName"], self.world.clock.now()
        # A deployment configuration is for the updates to come; it is checked all the same.
        plan_of(request.get("DeploymentConfig"), config.variants, config.variants)
        served = Deployment(config, initial_capacities(config), now, percent=EVERYTHING, stage_since=now)
        served.capture = config.request.get("DataCaptureConfig")
        endpoint = Endpoint(name, self.endpoints.arn(caller, name), now, caller, served)
        endpoint.deployment_config = request.get("DeploymentConfig")
        endpoint.tags = {tag["Key"]: tag["Value"] for tag in request.get("Tags", ())}
        if self.endpoints.find(caller, name) is None:
            self._check_quotas(caller, instances_of([*config.variants, *config.shadows]))
        self.endpoints.add(caller, endpoint)
        self._tags.put(endpoint.arn, request.get("Tags", ()))
        self._context.alarms.watch(caller)
        tell_state(self.world.events, endpoint)
        forced = self._dials.forced.take(caller, name, {OutcomeKind.capacity})
        self._start(endpoint, Creation(self._context, endpoint, forced).run)
        return {"EndpointArn": endpoint.arn}

    @operation(
        "DescribeEndpoint",
        differs="while traffic shifts, CurrentWeight is the weight times the fleet's share, and StatusMessage names the share",
    )
    def describe_endpoint(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        return described(self.endpoints.get(caller, request["EndpointName"]))

    @operation("ListEndpoints")
    def list_endpoints(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        wanted = request.get("StatusEquals")
        found = [
            endpoint
            for endpoint in select(self.endpoints.all_of(caller), request)
            if wanted in (None, endpoint.status.value) and within(endpoint.modified, request, "LastModifiedTime")
        ]
        endpoints, token = page(found, request)
        return {"Endpoints": [summary(endpoint) for endpoint in endpoints], "NextToken": token}

    @operation(
        "UpdateEndpoint",
        differs="capacity errors only by the dial; variant names have to match only where there is a deployment configuration; a "
        "rollback takes 5 s, or that for each batch; an endpoint may become asynchronous; not verified on AWS: that a canary or "
        "a batch is a part of the instances that are retained, and the wording of the bounds, of the alarms' reason, of the "
        "refusal for variants that are scaled automatically, and of the second sentence of that for an endpoint that would "
        "not be asynchronous any more, and of that for one that is to become serverless; nor that an alarm in ALARM keeps the "
        "next share from the new fleet",
    )
    def update_endpoint(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        endpoint = self.endpoints.get(caller, request["EndpointName"])
        self._refuse_busy(endpoint)
        config = self._configs.read(caller, request["EndpointConfigName"])
        # AWS reads the configuration that is served, too: an endpoint whose own was deleted cannot be updated.
        self._configs.configs.get(caller, endpoint.served.config.name)
        self._refuse_scaled(endpoint, config)
        _refuse_without_async(endpoint, config)
        _refuse_serverless(endpoint, config)
        deployment = request.get("DeploymentConfig")
        if deployment is None and request.get("RetainDeploymentConfig"):
            deployment = endpoint.deployment_config
        capacities = _capacities(config, endpoint, request)
        variants = _sized(config.variants, capacities)
        plan = plan_of(deployment, variants, endpoint.served.config.variants, marketplace=config.marketplace)
        share = plan.shifts[0].percent / EVERYTHING if plan.rolling else 1.0
        self._check_quotas(caller, instances_of([*variants, *_sized(config.shadows, capacities)], share))
        now = self.world.clock.now()
        pending = Deployment(config, capacities, now, stage_since=now)
        pending.capture = _capture(config, endpoint, request)
        forced = self._dials.forced.take(caller, endpoint.name, set(OutcomeKind))
        endpoint.deployment_config = deployment
        endpoint.pending = pending
        self._context.enter(endpoint, EndpointStatus.updating)
        tell_deployment(self.world.events, endpoint)
        self._start(endpoint, Update(self._context, endpoint, pending, plan, forced).run)
        return {"EndpointArn": endpoint.arn}

    @operation(
        "UpdateEndpointWeightsAndCapacities",
        differs="it takes 10 s; instance counts are shown, and divide InvocationsPerInstance and the concurrency of asynchronous "
        "requests, but a variant stays one process; the wording for scaling in is not verified on AWS",
    )
    def update_weights(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        endpoint = self.endpoints.get(caller, request["EndpointName"])
        self._refuse_busy(endpoint)
        changed = dict(endpoint.served.capacities)
        for wish in request["DesiredWeightsAndCapacities"]:
            name = wish["VariantName"]
            if name not in changed:
                raise validation_error(f'Could not find variant "{name}" of endpoint "{endpoint.arn}".')
            changed[name] = _wished(name, changed[name], wish)
        self._check_quotas(caller, _more_instances(endpoint, changed))
        self._resize(endpoint, changed)
        return {"EndpointArn": endpoint.arn}

    @operation("DeleteEndpoint")
    def delete_endpoint(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        endpoint = self.endpoints.get(caller, request["EndpointName"])
        self._refuse_in_progress(endpoint)
        self._context.enter(endpoint, EndpointStatus.deleting)
        endpoint.router.set([])
        self._targets.forget(caller, endpoint.name)
        self._start(endpoint, lambda: stop_fleets(endpoint))
        self.world.clock.call_later(DELETE_SECONDS, lambda: self._forget(endpoint))
        return {}

    def instances(self, caller: Caller, endpoint: str, variant: str) -> int | None:
        """How many instances a variant has; None where there is no such variant, or a serverless one."""
        with self.lock:
            found = self.endpoints.find(caller, endpoint)
            capacity = found.served.capacities.get(variant) if found else None
            return None if capacity is None or capacity.serverless else capacity.instances

    def reset(self, account: str | None) -> None:
        """Forget the endpoints of one account, or all, and stop their fleets."""
        for endpoint in self.endpoints.clear(account):
            endpoint.halted.set()
            endpoint.router.set([])
            self._start(endpoint, lambda endpoint=endpoint: stop_fleets(endpoint))
        self._context.alarms.forget(account)

    def _refuse_in_progress(self, endpoint: Endpoint) -> None:
        if endpoint.status in BUSY:
            raise validation_error(f'Cannot update in-progress endpoint "{endpoint.arn}".')

    def _refuse_busy(self, endpoint: Endpoint) -> None:
        self._refuse_in_progress(endpoint)
        if endpoint.status is EndpointStatus.failed:
            raise validation_error(f'Cannot update endpoint "{endpoint.arn}" in status Failed; it can only be deleted.')

    def _refuse_scaled(self, endpoint: Endpoint, config: EndpointConfig) -> None:
        """Refuse another instance type for a variant that is scaled automatically, or its end."""
        scaled = self._targets.variants(endpoint.caller, endpoint.name)
        wanted = {variant["VariantName"]: variant.get("InstanceType") for variant in config.variants}
        changed = [
            variant["VariantName"]
            for variant in endpoint.served.config.variants
            if variant["VariantName"] in scaled and wanted.get(variant["VariantName"]) != variant.get("InstanceType")
        ]
        if changed:
            raise validation_error(
                f'Cannot update endpoint "{endpoint.arn}": the variants {changed} are registered as scalable targets with '
                "Application Auto Scaling. Deregister them before you change their instance type or remove them."
            )

    def _check_quotas(self, caller: Caller, wanted: Counter[str]) -> None:
        for kind, delta in wanted.items():
            self._quotas.check(caller, f"{kind} for endpoint usage", lambda kind=kind: self._used(caller)[kind], delta)

    def _used(self, caller: Caller) -> Counter[str]:
        used: Counter[str] = Counter()
        for endpoint in self.endpoints.all_of(caller):
            for variant in [*endpoint.served.config.variants, *endpoint.served.config.shadows]:
                if "InstanceType" in variant:
                    used[variant["InstanceType"]] += endpoint.served.capacities[variant["VariantName"]].instances
        return used

    def _resize(self, endpoint: Endpoint, capacities: dict[str, Capacity]) -> None:
        endpoint.served.wanted, endpoint.served.wanted_since = capacities, self.world.clock.now()
        self._context.enter(endpoint, EndpointStatus.updating)
        tell_deployment(self.world.events, endpoint)
        self.world.clock.call_later(RESIZE_SECONDS, lambda: self._resized(endpoint, capacities))

    def _resized(self, endpoint: Endpoint, capacities: dict[str, Capacity]) -> None:
        with self.lock:
            if not endpoint.halted.is_set():
                endpoint.served.resize(capacities)
                endpoint.split(0)
                self._context.enter(endpoint, EndpointStatus.in_service)

    def _forget(self, endpoint: Endpoint) -> None:
        with self.lock:
            endpoint.halted.set()
            if self.endpoints.find(endpoint.caller, endpoint.name) is endpoint:
                self.endpoints.remove(endpoint.caller, endpoint.name)
                self._tags.forget(endpoint.arn)

    @staticmethod
    def _start(endpoint: Endpoint, work: Callable[[], None]) -> None:
        threading.Thread(target=work, name=f"endpoint-{endpoint.name}", daemon=True).start()


def _refuse_without_async(endpoint: Endpoint, config: EndpointConfig) -> None:
    if endpoint.served.config.is_async and not config.is_async:
        raise validation_error(
            f"The AsyncInferenceConfig parameter cannot be removed from this endpoint {endpoint.name}. "
            "Create a new endpoint for requests that are answered at once."
        )


def _refuse_serverless(endpoint: Endpoint, config: EndpointConfig) -> None:
    if config.is_serverless and not endpoint.served.config.is_serverless:
        raise validation_error(f"The instance-based endpoint {endpoint.name} cannot be updated to a serverless endpoint.")


def stop_fleets(endpoint: Endpoint) -> None:
    """End everything that an endpoint runs."""
    for deployment in (endpoint.served, endpoint.pending):
        if deployment and deployment.fleet:
            deployment.fleet.stop()


def _more_instances(endpoint: Endpoint, capacities: Mapping[str, Capacity]) -> Counter[str]:
    """The instances by type that an endpoint has not got yet."""
    more: Counter[str] = Counter()
    for variant in endpoint.served.config.variants:
        added = capacities[variant["VariantName"]].instances - endpoint.served.instances(variant["VariantName"])
        if "InstanceType" in variant and added > 0:
            more[variant["InstanceType"]] += added
    return more


def _wished(name: str, capacity: Capacity, wish: dict[str, Any]) -> Capacity:
    """A variant's capacity after a request to change it."""
    serverless = capacity.serverless
    if "ServerlessUpdateConfig" in wish and serverless is None:
        raise validation_error(f"Variant {name} is not serverless and has no ServerlessConfig to update.")
    if "DesiredInstanceCount" in wish and serverless is not None:
        raise validation_error(f"Variant {name} is serverless and has no instances.")
    if serverless is not None:
        serverless = {**serverless, **wish.get("ServerlessUpdateConfig", {})}
        check_concurrency(name, serverless)
    weight, instances = wish.get("DesiredWeight", capacity.weight), wish.get("DesiredInstanceCount", capacity.instances)
    return Capacity(weight, instances, serverless)


def _capacities(config: EndpointConfig, endpoint: Endpoint, request: dict[str, Any]) -> dict[str, Capacity]:
    """What the new fleet's variants get: as configured, or as the live ones have it where they are to be retained."""
    capacities = initial_capacities(config)
    if not request.get("RetainAllVariantProperties"):
        return capacities
    excluded = _excluded(request)
    for name, live in endpoint.served.capacities.items():
        if name in capacities and "DesiredInstanceCount" not in excluded:
            capacities[name] = replace(capacities[name], instances=live.instances)
        if name in capacities and "DesiredWeight" not in excluded:
            capacities[name] = replace(capacities[name], weight=live.weight)
    return capacities


def _sized(variants: Sequence[dict[str, Any]], capacities: Mapping[str, Capacity]) -> list[dict[str, Any]]:
    """Variants with the instances that they get: what a canary or a batch is a part of, and what quotas count."""
    return [
        {**variant, "InitialInstanceCount": capacities[variant["VariantName"]].instances}
        if "InitialInstanceCount" in variant
        else variant
        for variant in variants
    ]


def _capture(config: EndpointConfig, endpoint: Endpoint, request: dict[str, Any]) -> dict[str, Any] | None:
    """The new fleet's data capture: as configured, or the live one where it is to be retained."""
    retained = request.get("RetainAllVariantProperties") and "DataCaptureConfig" not in _excluded(request)
    return endpoint.served.capture if retained else config.request.get("DataCaptureConfig")


def _excluded(request: dict[str, Any]) -> set[str]:
    return {item["VariantPropertyType"] for item in request.get("ExcludeRetainedVariantProperties", ())}
