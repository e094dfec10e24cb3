"""Endpoint configurations: which variants, on how many instances, with which share of the traffic."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from slipway_sandbox.calls import Caller
from slipway_sandbox.errors import AwsError, validation_error
from slipway_sandbox.sagemaker.hosting.models import Model, ModelRoom
from slipway_sandbox.sagemaker.resources import Table, page, select
from slipway_sandbox.sagemaker.tags import TagRoom
from slipway_sandbox.world import Room, World, operation


@dataclass(frozen=True)
class EndpointConfig:
    """A configuration, with the models as they were when it was created: deleting a model does not stop what serves it."""

    name: str
    arn: str
    created: datetime
    request: dict[str, Any]
    models: dict[str, Model]
    """By variant name."""

    @property
    def variants(self) -> list[dict[str, Any]]:
        """The production variants, as requested."""
        return self.request["ProductionVariants"]


class EndpointConfigRoom(Room):
    """CreateEndpointConfig and its kin."""

    service = "sagemaker"

    def __init__(self, world: World, models: ModelRoom, tags: TagRoom) -> None:
        super().__init__(world)
        self.configs: Table[EndpointConfig] = Table("endpoint configuration", "endpoint-config")
        self._models = models
        self._tags = tags

    @operation("CreateEndpointConfig")
    def create_endpoint_config(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        name = request["EndpointConfigName"]
        if "ShadowProductionVariants" in request:
            raise AwsError("NotImplemented", "The sandbox does not run shadow variants.", 501)
        variants = request["ProductionVariants"]
        _check_variants(variants)
        models = {variant["VariantName"]: self._models.models.get(caller, variant["ModelName"]) for variant in variants}
        config = EndpointConfig(name, self.configs.arn(caller, name), self.world.clock.now(), request, models)
        self.configs.add(caller, config)
        self._tags.put(config.arn, request.get("Tags", ()))
        return {"EndpointConfigArn": config.arn}

    @operation("DescribeEndpointConfig")
    def describe_endpoint_config(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        config = self.configs.get(caller, request["EndpointConfigName"])
        told = {name: value for name, value in config.request.items() if name != "Tags"}
        variants = [{"InitialVariantWeight": 1.0, **variant} for variant in config.variants]
        return {
            "EnableNetworkIsolation": False,
            **told,
            "ProductionVariants": variants,
            "EndpointConfigArn": config.arn,
            "CreationTime": config.created,
        }

    @operation("DeleteEndpointConfig")
    def delete_endpoint_config(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        # AWS lets go of a configuration even while an endpoint serves it; that endpoint cannot be updated any more.
        config = self.configs.get(caller, request["EndpointConfigName"])
        self.configs.remove(caller, config.name)
        self._tags.forget(config.arn)
        return {}

    @operation("ListEndpointConfigs")
    def list_endpoint_configs(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        configs, token = page(select(self.configs.all_of(caller), request), request)
        rows = [
            {"EndpointConfigName": config.name, "EndpointConfigArn": config.arn, "CreationTime": config.created}
            for config in configs
        ]
        return {"EndpointConfigs": rows, "NextToken": token}

    def reset(self, account: str | None) -> None:
        """Forget the configurations of one account, or all."""
        self.configs.clear(account)


def _check_variants(variants: list[dict[str, Any]]) -> None:
    names = [variant["VariantName"] for variant in variants]
    if len(set(names)) < len(names):
        raise validation_error(f"Variant names must be unique within an endpoint configuration, but they are {names}.")
    for variant in variants:
        _check_variant(variant)


def _check_variant(variant: dict[str, Any]) -> None:
    name = variant["VariantName"]
    if "ModelName" not in variant:
        raise validation_error(f"ModelName is required for production variant {name}.")
    if "ServerlessConfig" in variant:
        if "InstanceType" in variant or "InitialInstanceCount" in variant:
            raise validation_error(f"Production variant {name} is serverless and cannot have an instance type or count.")
        return
    missing = [field for field in ("InstanceType", "InitialInstanceCount") if field not in variant]
    if missing:
        raise validation_error(f"{' and '.join(missing)} must be specified for production variant {name}.")
