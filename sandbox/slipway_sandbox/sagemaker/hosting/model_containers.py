"""Resolves a model's containers: image, artifact and environment, from the model and its package."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from slipway_sandbox.core.calls import Caller
from slipway_sandbox.core.errors import AwsError, validation_error


class Packages(Protocol):
    """What a model needs of the model registry."""

    def find_package(self, caller: Caller, arn: str) -> dict[str, Any]:
        """The package as DescribeModelPackage shows it, or an AwsError."""
        ...


@dataclass(frozen=True)
class Artifact:
    """Where a container's model comes from."""

    uri: str
    packed: bool = True
    """It is one `tar.gz`; otherwise the objects below the URI, as they are."""


@dataclass(frozen=True)
class ServedContainer:
    """What an instance runs.

    Attributes:
        hostname: What the container is called within an inference pipeline.
        marketplace: It is a product of AWS Marketplace, which not everything works with.
    """

    image: str
    artifact: Artifact | None
    environment: dict[str, str]
    hostname: str = "primary"
    marketplace: bool = False

    @property
    def model_data_url(self) -> str | None:
        """The artifact's archive, where it is one."""
        return self.artifact.uri if self.artifact and self.artifact.packed else None


def served_containers(packages: Packages, caller: Caller, request: dict[str, Any]) -> tuple[ServedContainer, ...]:
    """The containers that a CreateModel request asks for, in order.

    Raises:
        AwsError: `ValidationException`, for what cannot be; or the registry's own, for a package that is not there.
    """
    primary, several = request.get("PrimaryContainer"), request.get("Containers")
    if (primary is None) == (not several):
        raise validation_error("Exactly one of PrimaryContainer and Containers must be provided.")
    asked: list[dict[str, Any]] = [primary] if primary else several or []
    for container in asked:
        _check(container)
    found = [served for container in asked for served in _resolve(packages, caller, container)]
    if len(found) == 1:
        return (replace(found[0], hostname="primary"),)
    named = _named(asked, found)
    if request.get("InferenceExecutionConfig", {}).get("Mode") == "Direct" and not all("ContainerHostname" in c for c in asked):
        raise validation_error("ContainerHostname must be specified for every container when the inference mode is Direct.")
    return named


def _check(container: dict[str, Any]) -> None:
    if "ModelPackageName" in container and ("Image" in container or "ModelDataUrl" in container):
        raise validation_error("A container names either a ModelPackageName, or an Image with its ModelDataUrl, not both.")
    if "ModelPackageName" not in container and "Image" not in container:
        raise validation_error("A container must have an Image or a ModelPackageName.")
    if "ModelDataUrl" in container and "ModelDataSource" in container:
        raise validation_error("A container names either a ModelDataUrl or a ModelDataSource, not both.")
    if container.get("Mode") == "MultiModel":
        raise AwsError("NotImplemented", "The sandbox does not run multi-model containers.", 501)


def _named(asked: Sequence[dict[str, Any]], found: Sequence[ServedContainer]) -> tuple[ServedContainer, ...]:
    """The containers of a pipeline by their names: all of them given, or none, and then by their places."""
    names = [container["ContainerHostname"] for container in asked if "ContainerHostname" in container]
    if names and len(names) < len(asked):
        raise validation_error("ContainerHostname must be specified for either all or none of the containers in the model.")
    if len(set(names)) < len(names):
        raise validation_error(f"ContainerHostname must be unique within a model, but they are {names}.")
    if len(names) != len(found):
        names = [f"container-{number}" for number in range(1, len(found) + 1)]
    return tuple(replace(container, hostname=name) for container, name in zip(found, names, strict=True))


def _resolve(packages: Packages, caller: Caller, container: dict[str, Any]) -> list[ServedContainer]:
    environment = container.get("Environment", {})
    if "ModelPackageName" not in container:
        return [ServedContainer(container["Image"], _artifact(container), environment)]
    package = _deployable_package(packages, caller, container["ModelPackageName"])
    marketplace = package.get("CertifyForMarketplace", False)
    return [
        ServedContainer(of["Image"], _artifact(of), {**of.get("Environment", {}), **environment}, marketplace=marketplace)
        for of in _specified(package, container)
    ]


def _deployable_package(packages: Packages, caller: Caller, arn: str) -> dict[str, Any]:
    package = packages.find_package(caller, arn)
    status = package["ModelPackageStatus"]
    if status != "Completed":
        raise validation_error(f'Cannot create a model from model package "{arn}": its status is {status}, not Completed.')
    approval = package.get("ModelApprovalStatus", "Approved")
    if approval != "Approved":
        raise validation_error(
            f'Cannot create a model from model package "{arn}": its approval status is {approval}, not Approved.'
        )
    return package


def _specified(package: dict[str, Any], container: dict[str, Any]) -> list[dict[str, Any]]:
    """The containers of the package's inference specification, or of the additional one that is asked for by name."""
    arn, name = container["ModelPackageName"], container.get("InferenceSpecificationName")
    specification = package.get("InferenceSpecification", {})
    if name:
        more = package.get("AdditionalInferenceSpecifications", ())
        specification = next((other for other in more if other.get("Name") == name), None)
        if specification is None:
            raise validation_error(f'Could not find inference specification "{name}" in model package "{arn}".')
    containers = specification.get("Containers", [])
    if not containers:
        raise validation_error(f'Model package "{arn}" has no inference specification.')
    return containers


def _artifact(container: dict[str, Any]) -> Artifact | None:
    source = container.get("ModelDataSource", {}).get("S3DataSource")
    if source:
        return Artifact(source["S3Uri"], source["CompressionType"] == "Gzip")
    url = container.get("ModelDataUrl")
    return Artifact(url) if url else None
