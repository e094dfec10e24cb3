"""Models: which containers, from which package, with which artifact."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from slipway_sandbox.calls import Caller
from slipway_sandbox.errors import AwsError, validation_error
from slipway_sandbox.sagemaker.resources import Table, page, select
from slipway_sandbox.sagemaker.tags import TagRoom
from slipway_sandbox.world import Room, World, operation


class Packages(Protocol):
    """What a model needs of the model registry."""

    def find_package(self, caller: Caller, arn: str) -> dict[str, Any]:
        """The package as DescribeModelPackage shows it, or an AwsError."""
        ...


class NoPackages:
    """A model registry that has no packages."""

    def find_package(self, caller: Caller, arn: str) -> dict[str, Any]:  # noqa: ARG002  (the protocol's signature)
        """There is none.

        Raises:
            AwsError: `Could not find …`.
        """
        raise validation_error(f'Could not find model package "{arn}".')


@dataclass(frozen=True)
class ServedContainer:
    """What an instance runs: image, artifact and environment, of the package and of the model together."""

    image: str
    model_data_url: str | None
    environment: dict[str, str]


@dataclass(frozen=True)
class Model:
    """A model, with what its container came to when it was created."""

    name: str
    arn: str
    created: datetime
    request: dict[str, Any]
    container: ServedContainer


class ModelRoom(Room):
    """CreateModel and its kin."""

    service = "sagemaker"

    def __init__(self, world: World, packages: Packages, tags: TagRoom) -> None:
        super().__init__(world)
        self.models: Table[Model] = Table("model", "model")
        self._packages = packages
        self._tags = tags

    @operation("CreateModel")
    def create_model(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        name = request["ModelName"]
        served = self._resolve(caller, _requested_container(request))
        model = Model(name, self.models.arn(caller, name), self.world.clock.now(), request, served)
        self.models.add(caller, model)
        self._tags.put(model.arn, request.get("Tags", ()))
        return {"ModelArn": model.arn}

    @operation("DescribeModel")
    def describe_model(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        model = self.models.get(caller, request["ModelName"])
        told = {name: value for name, value in model.request.items() if name != "Tags"}
        return {"EnableNetworkIsolation": False, **told, "ModelArn": model.arn, "CreationTime": model.created}

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

    def _resolve(self, caller: Caller, container: dict[str, Any]) -> ServedContainer:
        environment = container.get("Environment", {})
        if "ModelPackageName" not in container:
            return ServedContainer(container["Image"], _artifact(container), environment)
        first = self._deployable_package(caller, container["ModelPackageName"])
        merged = {**first.get("Environment", {}), **environment}
        return ServedContainer(first["Image"], _artifact(first), merged)

    def _deployable_package(self, caller: Caller, arn: str) -> dict[str, Any]:
        """The first container of a package that may be deployed."""
        package = self._packages.find_package(caller, arn)
        status = package["ModelPackageStatus"]
        if status != "Completed":
            raise validation_error(f'Cannot create a model from model package "{arn}": its status is {status}, not Completed.')
        approval = package.get("ModelApprovalStatus", "Approved")
        if approval != "Approved":
            raise validation_error(
                f'Cannot create a model from model package "{arn}": its approval status is {approval}, not Approved.'
            )
        containers = package.get("InferenceSpecification", {}).get("Containers", [])
        if not containers:
            raise validation_error(f'Model package "{arn}" has no inference specification.')
        return containers[0]


def _requested_container(request: dict[str, Any]) -> dict[str, Any]:
    primary, several = request.get("PrimaryContainer"), request.get("Containers")
    if (primary is None) == (not several):
        raise validation_error("Exactly one of PrimaryContainer and Containers must be provided.")
    containers: list[dict[str, Any]] = [primary] if primary else several or []
    if len(containers) > 1:
        raise AwsError("NotImplemented", "The sandbox does not run inference pipelines of several containers.", 501)
    container = containers[0]
    if "ModelPackageName" in container and ("Image" in container or "ModelDataUrl" in container):
        raise validation_error("A container names either a ModelPackageName, or an Image with its ModelDataUrl, not both.")
    if "ModelPackageName" not in container and "Image" not in container:
        raise validation_error("A container must have an Image or a ModelPackageName.")
    return container


def _artifact(container: dict[str, Any]) -> str | None:
    source = container.get("ModelDataSource", {}).get("S3DataSource", {})
    if source.get("CompressionType") == "None":
        raise AwsError("NotImplemented", "The sandbox serves model artifacts that are gzipped tar archives.", 501)
    return container.get("ModelDataUrl") or source.get("S3Uri")
