"""Endpoint configurations: which variants, on how many instances, with which share of the traffic."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import Field

from slipway_sandbox.core.calls import Caller
from slipway_sandbox.core.models import Frozen
from slipway_sandbox.core.world import Room, World, dial, operation
from slipway_sandbox.sagemaker.hosting.config_checks import check_config, check_models
from slipway_sandbox.sagemaker.hosting.models import Model, ModelRoom
from slipway_sandbox.sagemaker.quotas import SageMakerQuotas
from slipway_sandbox.sagemaker.resources import Table, page, select
from slipway_sandbox.sagemaker.tags import TagRoom

QUOTA = "Number of endpoint configurations"


@dataclass(frozen=True)
class EndpointConfig:
    """A configuration, with the models as they were when it was created: deleting a model does not stop what serves it."""

    name: str
    arn: str
    created: datetime
    request: dict[str, Any]
    models: dict[str, Model]
    """By variant name, of shadow variants too."""
    readable: float = field(default=0.0, compare=False)
    """The simulated second from which CreateEndpoint and UpdateEndpoint see it."""

    @property
    def variants(self) -> list[dict[str, Any]]:
        """The production variants, as requested."""
        return self.request["ProductionVariants"]

    @property
    def shadows(self) -> list[dict[str, Any]]:
        """The shadow variants, as requested."""
        return self.request.get("ShadowProductionVariants", [])

    @property
    def is_async(self) -> bool:
        """Whether it answers by objects in S3."""
        return "AsyncInferenceConfig" in self.request

    @property
    def is_serverless(self) -> bool:
        """Whether a variant has no instances."""
        return any("ServerlessConfig" in variant for variant in self.variants)

    @property
    def marketplace(self) -> bool:
        """Whether one of its containers is a product of AWS Marketplace."""
        return any(container.marketplace for model in self.models.values() for container in model.containers)

    def role(self, variant: str) -> str | None:
        """The role that a variant's containers act in: the model's, else the configuration's."""
        return self.models[variant].role or self.request.get("ExecutionRoleArn")


class Consistency(Frozen):
    """How late endpoints see a new configuration."""

    seconds: float = Field(ge=0)
    account: str | None = None


class EndpointConfigRoom(Room):
    """The operations on endpoint configurations.

    Args:
        world: What all rooms share.
        models: The models.
        tags: The tags of all resources.
        quotas: How many configurations an account may have.
    """

    service = "sagemaker"

    def __init__(self, world: World, models: ModelRoom, tags: TagRoom, quotas: SageMakerQuotas) -> None:
        super().__init__(world)
        self.configs: Table[EndpointConfig] = Table("endpoint configuration", "endpoint-config")
        self._models = models
        self._tags = tags
        self._quotas = quotas
        self._late: dict[str | None, float] = {}

    def read(self, caller: Caller, name: str) -> EndpointConfig:
        """A configuration as endpoints see it, which may be later than DescribeEndpointConfig does.

        Raises:
            AwsError: `Could not find endpoint configuration …`.
        """
        config = self.configs.get(caller, name)
        if config.readable > self.world.clock.seconds():
            raise self.configs.missing(caller, name)
        return config

    @operation(
        "CreateEndpointConfig",
        differs="data capture, explainers, KMS keys, VPC settings, core dumps, SSM access, instance pools and capacity "
        "reservations are shown and do nothing; inference components (variants without a model) answer `NotImplemented`; the "
        "wording of most refusals, and the quota's name, are not verified on AWS",
    )
    def create_endpoint_config(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        name = request["EndpointConfigName"]
        check_config(request)
        wanted = [*request["ProductionVariants"], *request.get("ShadowProductionVariants", ())]
        models = {variant["VariantName"]: self._models.models.get(caller, variant["ModelName"]) for variant in wanted}
        late = self._late.get(caller.account, self._late.get(None, 0.0))
        readable = self.world.clock.seconds() + late if late else 0.0
        config = EndpointConfig(name, self.configs.arn(caller, name), self.world.clock.now(), request, models, readable)
        check_models(name, request, models)
        if self.configs.find(caller, name) is None:
            self._quotas.check(caller, QUOTA, lambda: len(self.configs.all_of(caller)), unit="endpoint configurations")
        self.configs.add(caller, config)
        self._tags.put(config.arn, request.get("Tags", ()))
        self._tell(caller, config)
        return {"EndpointConfigArn": config.arn}

    @operation("DescribeEndpointConfig")
    def describe_endpoint_config(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        config = self.configs.get(caller, request["EndpointConfigName"])
        told = {name: value for name, value in config.request.items() if name != "Tags"}
        for variants in ("ProductionVariants", "ShadowProductionVariants"):
            if variants in told:
                told[variants] = [{"InitialVariantWeight": 1.0, **variant} for variant in told[variants]]
        return {"EnableNetworkIsolation": False, **told, "EndpointConfigArn": config.arn, "CreationTime": config.created}

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

    @dial("config-consistency")
    def set_consistency(self, body: dict[str, Any]) -> dict[str, Any]:
        """For `seconds` of simulated time CreateEndpoint and UpdateEndpoint do not find a new configuration.

        DescribeEndpointConfig finds it at once. `{"seconds": 30, "account": "…"}`; without an account it goes for all.
        """
        setting = Consistency.model_validate(body)
        self._late[setting.account] = setting.seconds
        return {}

    def reset(self, account: str | None) -> None:
        """Forget the configurations of one account, or all."""
        self.configs.clear(account)
        if account is None:
            self._late.clear()
        self._late.pop(account, None)

    def _tell(self, caller: Caller, config: EndpointConfig) -> None:
        detail = {
            "EndpointConfigName": config.name,
            "EndpointConfigArn": config.arn,
            "ProductionVariants": [{"InitialVariantWeight": 1.0, **variant} for variant in config.variants],
            "CreationTime": round(config.created.timestamp() * 1000),
            "Tags": {tag["Key"]: tag["Value"] for tag in config.request.get("Tags", ())},
        }
        self.world.events.emit(caller, "aws.sagemaker", "SageMaker Endpoint Config State Change", detail, [config.arn])
