"""The model registry: versioned model packages, their approval and their lineage."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from slipway_sandbox.calls import Caller
from slipway_sandbox.ecr.errors import ImageNotFoundError
from slipway_sandbox.ecr.service import EcrRoom
from slipway_sandbox.errors import AwsError, validation_error
from slipway_sandbox.images import ImageUri
from slipway_sandbox.sagemaker.groups import Group, GroupRoom
from slipway_sandbox.sagemaker.resources import page, select
from slipway_sandbox.sagemaker.tags import TagRoom
from slipway_sandbox.world import Room, World, operation

NOT_DESCRIBED = frozenset({"Tags", "ClientToken", "ModelPackageName", "ModelPackageGroupName"})
"""Members of a create request that a Describe does not repeat as they were sent."""
CHANGEABLE = ("ModelApprovalStatus", "ApprovalDescription", "InferenceSpecification", "SourceUri", "ModelCard", "ModelLifeCycle")
MOST_PROPERTIES = 50


@dataclass(frozen=True)
class Package:
    """One version in a group. `members` are those of DescribeModelPackage that the clients set."""

    arn: str
    group: Group
    version: int
    created: datetime
    members: dict[str, Any]
    modified: datetime | None = None

    @property
    def name(self) -> str:
        """What `NameContains` and sorting by name look at."""
        return self.group.name

    def summary(self) -> dict[str, Any]:
        """The package as lists show it."""
        shown = ("ModelPackageDescription", "ModelApprovalStatus", "ModelLifeCycle", "ModelPackageRegistrationType")
        return {
            "ModelPackageGroupName": self.group.name,
            "ModelPackageVersion": self.version,
            "ModelPackageArn": self.arn,
            "CreationTime": self.created,
            "ModelPackageStatus": "Completed",
            **{name: self.members[name] for name in shown if name in self.members},
        }

    def described(self) -> dict[str, Any]:
        """The package as DescribeModelPackage shows it."""
        return {
            "CertifyForMarketplace": False,
            **self.members,
            **self.summary(),
            "ModelPackageStatusDetails": {"ValidationStatuses": [], "ImageScanStatuses": []},
            "CreatedBy": {},
            "LastModifiedTime": self.modified,
        }


class ModelRegistryRoom(Room):
    """CreateModelPackage and its kin.

    Args:
        world: What all rooms share.
        ecr: Says which digest an image's tag stands for.
        groups: The groups that packages are versions in.
        tags: The tags of all SageMaker resources.
    """

    service = "sagemaker"

    def __init__(self, world: World, ecr: EcrRoom, groups: GroupRoom, tags: TagRoom) -> None:
        super().__init__(world)
        self._ecr = ecr
        self._groups = groups
        self._tags = tags
        self._packages: dict[str, Package] = {}
        self._tokens: dict[tuple[str, str, str], str] = {}

    def find_package(self, caller: Caller, arn: str) -> dict[str, Any]:
        """The package as DescribeModelPackage shows it. Policies are not enforced: an ARN of another account is found, too.

        Raises:
            AwsError: There is none.
        """
        return self._get(caller, arn).described()

    @operation("CreateModelPackage")
    def create(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        token = (caller.account, caller.region, request.get("ClientToken", ""))
        if token[2] and token in self._tokens:
            return {"ModelPackageArn": self._tokens[token]}
        group = self._groups.find(caller, _group_of(request))
        members = {name: value for name, value in request.items() if name not in NOT_DESCRIBED}
        members.setdefault("ModelApprovalStatus", "PendingManualApproval")
        if "InferenceSpecification" in members:
            members["InferenceSpecification"] = self._pinned(members["InferenceSpecification"])
        group.versions += 1
        group.kept += 1
        arn = group.arn.replace(":model-package-group/", ":model-package/") + f"/{group.versions}"
        self._packages[arn] = Package(arn, group, group.versions, self.world.clock.now(), members)
        self._tags.put(arn, request.get("Tags", ()))
        if token[2]:
            self._tokens[token] = arn
        return {"ModelPackageArn": arn}

    @operation("DescribeModelPackage")
    def describe(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        return self.find_package(caller, request["ModelPackageName"])

    @operation("ListModelPackages")
    def list_packages(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        packages, token = page(select(self._listed(caller, request), request), request)
        return {"ModelPackageSummaryList": [package.summary() for package in packages], "NextToken": token}

    @operation("UpdateModelPackage")
    def update(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        package = self._get(caller, request["ModelPackageArn"])
        if "AdditionalInferenceSpecificationsToAdd" in request:
            raise AwsError("NotImplemented", "The sandbox does not add inference specifications to a model package.", 501)
        changed = {name: request[name] for name in CHANGEABLE if name in request}
        if "InferenceSpecification" in changed:
            changed["InferenceSpecification"] = self._pinned(changed["InferenceSpecification"])
        members = {**package.members, **changed, "CustomerMetadataProperties": _properties(package, request)}
        if not members["CustomerMetadataProperties"]:
            del members["CustomerMetadataProperties"]
        self._packages[package.arn] = replace(package, members=members, modified=self.world.clock.now())
        return {"ModelPackageArn": package.arn}

    @operation("DeleteModelPackage")
    def delete(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        package = self._get(caller, request["ModelPackageName"])
        del self._packages[package.arn]
        package.group.kept -= 1
        self._tags.forget(package.arn)
        return {}

    def reset(self, account: str | None) -> None:
        """Forget the packages of one account, or all."""
        self._packages = {arn: kept for arn, kept in self._packages.items() if account not in (None, arn.split(":")[4])}
        self._tokens = {token: arn for token, arn in self._tokens.items() if account not in (None, token[0])}

    def _get(self, caller: Caller, name: str) -> Package:
        arn = (
            name.lower()
            if name.startswith("arn:")
            else f"arn:aws:sagemaker:{caller.region}:{caller.account}:model-package/{name}"
        )
        if arn not in self._packages:
            raise validation_error(f"ModelPackage {arn} does not exist.")
        return self._packages[arn]

    def _listed(self, caller: Caller, request: dict[str, Any]) -> list[Package]:
        """The packages of a group; without one AWS lists unversioned packages, of which there are none here."""
        if "ModelPackageGroupName" not in request:
            return []
        group = self._groups.find(caller, request["ModelPackageGroupName"])
        approval = request.get("ModelApprovalStatus")
        mine = [package for package in self._packages.values() if package.group is group]
        return [package for package in mine if approval in (None, package.members["ModelApprovalStatus"])]

    def _pinned(self, specification: dict[str, Any]) -> dict[str, Any]:
        """The specification with a digest for each image: what is registered must not move with a tag."""
        containers = [self._with_digest(container) for container in specification.get("Containers", ())]
        return {**specification, "Containers": containers}

    def _with_digest(self, container: dict[str, Any]) -> dict[str, Any]:
        if "ImageDigest" in container or "Image" not in container:
            return container
        try:
            digest = self._ecr.find_manifest(ImageUri.parse(container["Image"])).digest
        except ValueError:
            # Images outside of ECR cannot be looked up; AWS keeps them as they are named.
            return container
        except ImageNotFoundError as error:
            raise validation_error(f"Unable to find image {container['Image']}: {error}") from error
        return {**container, "ImageDigest": digest}


def _group_of(request: dict[str, Any]) -> str:
    if "ModelPackageGroupName" in request and "ModelPackageName" in request:
        raise validation_error(
            "Both ModelPackageName and ModelPackageGroupName are provided in the input. Cannot determine which to use."
        )
    if "ModelPackageGroupName" not in request:
        raise AwsError("NotImplemented", "The sandbox keeps versioned model packages alone: name a ModelPackageGroupName.", 501)
    return request["ModelPackageGroupName"]


def _properties(package: Package, request: dict[str, Any]) -> dict[str, str]:
    """The customer's properties after an update: added to or replaced, and those named for it removed."""
    before = package.members.get("CustomerMetadataProperties", {})
    merged = {**before, **request.get("CustomerMetadataProperties", {})}
    removed = set(request.get("CustomerMetadataPropertiesToRemove", ()))
    left = {key: value for key, value in merged.items() if key not in removed}
    if len(left) > MOST_PROPERTIES:
        raise validation_error(f"A model package can have at most {MOST_PROPERTIES} properties; this one would have {len(left)}.")
    return left
