"""Models: which containers, from which package, with which artifact."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from slipway_sandbox.core.calls import Caller
from slipway_sandbox.core.world import Room, World, operation
from slipway_sandbox.sagemaker.access import check_role
from slipway_sandbox.sagemaker.hosting.model_containers import Packages, ServedContainer, served_containers
from slipway_sandbox.sagemaker.quotas import SageMakerQuotas
from slipway_sandbox.sagemaker.resources import Table, page, select
from slipway_sandbox.sagemaker.tags import TagRoom

QUOTA = "Number of models"


@dataclass(frozen=True)
class Model:
    """A model, with its containers as they were resolved when it was created."""

    name: str
    arn: str
    created: datetime
    request: dict[str, Any]
    containers: tuple[ServedContainer, ...]

    @property
    def container(self) -> ServedContainer:
        """The first container; the only one, unless the model is an inference pipeline."""
        return self.containers[0]

    @property
    def role(self) -> str | None:
        """The role that its containers act in."""
        return self.request.get("ExecutionRoleArn")

    @property
    def direct(self) -> bool:
        """Whether each request names the one container that is to answer it."""
        return self.request.get("InferenceExecutionConfig", {}).get("Mode") == "Direct"

    @property
    def isolated(self) -> bool:
        """Whether its containers may make no calls, so that they get no credentials either."""
        return self.request.get("EnableNetworkIsolation", False)


class ModelRoom(Room):
    """The operations on models.

    Args:
        world: What all rooms share.
        packages: The model registry.
        tags: The tags of all resources.
        quotas: How many models an account may have.
    """

    service = "sagemaker"

    def __init__(self, world: World, packages: Packages, tags: TagRoom, quotas: SageMakerQuotas) -> None:
        super().__init__(world)
        self.models: Table[Model] = Table("model", "model")
        self._packages = packages
        self._tags = tags
        self._quotas = quotas

    @operation(
        "CreateModel",
        differs="image and artifact are looked for when an endpoint is created; multi-model containers, VPC settings, image "
        "configuration and additional data sources do nothing or answer `NotImplemented`; wording for a package that is not "
        "approved, and the quota's name, are not verified on AWS",
    )
    def create_model(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        name = request["ModelName"]
        check_role(self.world, caller, request.get("ExecutionRoleArn"))
        containers = served_containers(self._packages, caller, request)
        model = Model(name, self.models.arn(caller, name), self.world.clock.now(), request, containers)
        if self.models.find(caller, name) is None:
            self._quotas.check(caller, QUOTA, lambda: len(self.models.all_of(caller)), unit="models")
        self.models.add(caller, model)
        self._tags.put(model.arn, request.get("Tags", ()))
        self._tell(caller, model)
        return {"ModelArn": model.arn}

    @operation("DescribeModel")
    def describe_model(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        return described(self.models.get(caller, request["ModelName"]))

    @operation("DeleteModel")
    def delete_model(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        model = self.models.get(caller, request["ModelName"])
        self.models.remove(caller, model.name)
        self._tags.forget(model.arn)
        return {}

    @operation("ListModels")
    def list_models(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        models, token = page(select(self.models.all_of(caller), request), request)
        rows = [{"ModelName": model.name, "ModelArn": model.arn, "CreationTime": model.created} for model in models]
        return {"Models": rows, "NextToken": token}

    def reset(self, account: str | None) -> None:
        """Forget the models of one account, or all."""
        self.models.clear(account)

    def _tell(self, caller: Caller, model: Model) -> None:
        shown = {**described(model), "CreationTime": round(model.created.timestamp() * 1000)}
        self.world.events.emit(caller, "aws.sagemaker", "SageMaker Model State Change", shown, [model.arn])


def described(model: Model) -> dict[str, Any]:
    """A model as DescribeModel shows it."""
    told = {name: value for name, value in model.request.items() if name != "Tags"}
    if "PrimaryContainer" in told:
        told["PrimaryContainer"] = {"Mode": "SingleModel", **told["PrimaryContainer"]}
    if told.get("Containers"):
        told["Containers"] = [{"Mode": "SingleModel", **container} for container in told["Containers"]]
    return {"EnableNetworkIsolation": False, **told, "ModelArn": model.arn, "CreationTime": model.created}
