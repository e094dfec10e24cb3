"""The model registry: model packages, their approval and their lineage."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

from pydantic import Field

from slipway_sandbox.containers.image_uri import ImageUri
from slipway_sandbox.core.calls import Caller
from slipway_sandbox.core.errors import AwsError, validation_error
from slipway_sandbox.core.models import Frozen
from slipway_sandbox.core.world import Room, World, dial, operation
from slipway_sandbox.ecr.errors import ImageNotFoundError
from slipway_sandbox.ecr.service import EcrRoom
from slipway_sandbox.sagemaker.group_policies import refuse_stranger
from slipway_sandbox.sagemaker.groups import Group, GroupRoom
from slipway_sandbox.sagemaker.packages import NOT_DESCRIBED, SETTLED, Package, updated
from slipway_sandbox.sagemaker.quotas import SageMakerQuotas
from slipway_sandbox.sagemaker.resources import page, select
from slipway_sandbox.sagemaker.tags import UNTAGGABLE, TagRoom

QUOTA = "Number of model packages"
PENDING_SECONDS = 1.0
VALIDATION_SECONDS = 60.0
"""Simulated time that a package with a ValidationSpecification is validated."""


class PackageOutcome(Frozen):
    """How an account's next model package ends."""

    account: str
    status: Literal["Completed", "Failed"] = "Completed"
    reason: str | None = None
    """The FailureReason in ModelPackageStatusDetails."""
    seconds: float = Field(default=VALIDATION_SECONDS, ge=0)
    """Simulated time that it is InProgress."""


class ModelRegistryRoom(Room):
    """The operations on model packages.

    Args:
        world: What all rooms share.
        ecr: Says which digest an image's tag stands for.
        groups: The groups that packages are versions in.
        tags: The tags of all SageMaker resources.
        quotas: How many packages an account may have.
    """

    service = "sagemaker"

    def __init__(self, world: World, ecr: EcrRoom, groups: GroupRoom, tags: TagRoom, quotas: SageMakerQuotas) -> None:
        super().__init__(world)
        self._ecr = ecr
        self._groups = groups
        self._tags = tags
        self._quotas = quotas
        self._packages: dict[str, Package] = {}
        self._tokens: dict[tuple[str, str, str], str] = {}
        self._outcomes: dict[str, PackageOutcome] = {}

    def find_package(self, caller: Caller, arn: str) -> dict[str, Any]:
        """The package as DescribeModelPackage shows it, for a model that is made of it.

        Raises:
            AwsError: There is none, or its group's policy does not let the caller's account make models of it.
        """
        return self._get(caller, arn, "CreateModel").described()

    @operation(
        "CreateModelPackage",
        differs="`Completed` at once, unless it has a ValidationSpecification, which takes 61 s and starts nothing; artifacts "
        "are not looked for; not verified on AWS: the error for an unversioned name that is taken, the quota's name, and the "
        "wording for an image that is not there",
    )
    def create(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        token = (caller.account, caller.region, request.get("ClientToken", ""))
        if token[2] and token in self._tokens:
            return {"ModelPackageArn": self._tokens[token]}
        refuse(request)
        self._quotas.check(caller, QUOTA, lambda: self._count(caller), unit="packages")
        package = self._new(caller, request)
        self._packages[package.arn] = package
        self._tags.put(package.arn, request.get("Tags", ()))
        if token[2]:
            self._tokens[token] = package.arn
        self._begin(package)
        return {"ModelPackageArn": package.arn}

    @operation("DescribeModelPackage", differs="CreatedBy and LastModifiedBy are empty")
    def describe(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        described = self._get(caller, request["ModelPackageName"], "DescribeModelPackage").described()
        if request.get("IncludedData") == "MetadataOnly":
            described.pop("ModelCard", None)
        return described

    @operation("BatchDescribeModelPackage", differs="ErrorCode and ErrorResponse are those of DescribeModelPackage; not verified")
    def describe_batch(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        errors: dict[str, Any] = {}
        for arn in request["ModelPackageArnList"]:
            try:
                found[arn] = self._get(caller, arn, "DescribeModelPackage").in_batch()
            except AwsError as error:
                errors[arn] = {"ErrorCode": error.code, "ErrorResponse": error.message}
        return {"ModelPackageSummaries": found, "BatchDescribeModelPackageErrorMap": errors}

    @operation("ListModelPackages")
    def list_packages(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        packages, token = page(select(self._listed(caller, request), request), request)
        return {"ModelPackageSummaryList": [package.summary() for package in packages], "NextToken": token}

    @operation("UpdateModelPackage", differs="wording of its errors is not verified on AWS")
    def update(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        package = self._get(caller, request["ModelPackageArn"], "UpdateModelPackage")
        token = request.get("ClientToken")
        if token in package.tokens:
            return {"ModelPackageArn": package.arn}
        self._refuse_unsettled(package, "updated")
        pinned = self._pinned_all(request)
        package.members = updated(package, pinned)
        package.modified = self.world.clock.now()
        if token:
            package.tokens.add(token)
        self._emit(package, [name for name in request if name not in ("ModelPackageArn", "ClientToken")])
        return {"ModelPackageArn": package.arn}

    @operation("DeleteModelPackage", differs="gone at once; wording for one that is not `Completed` yet is not verified on AWS")
    def delete(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        package = self._get(caller, request["ModelPackageName"], "DeleteModelPackage")
        self._refuse_unsettled(package, "deleted")
        del self._packages[package.arn]
        group = self._groups.of(package.group_arn) if package.group_arn else None
        if group:
            group.packages -= 1
        self._tags.forget(package.arn)
        package.status = "Deleting"
        self._emit(package, ())
        return {}

    @dial("model-package-outcome")
    def set_outcome(self, body: dict[str, Any]) -> dict[str, Any]:
        """Decide on the account's next package: `{"account": …, "status": "Failed", "reason": …, "seconds": 60}`.

        It is `Pending`, then `InProgress` for `seconds` of simulated time, then `Completed` or `Failed`.
        """
        outcome = PackageOutcome.model_validate(body)
        self._outcomes[outcome.account] = outcome
        return {}

    def reset(self, account: str | None) -> None:
        """Forget the packages of one account, or all."""
        for arn in [arn for arn, package in self._packages.items() if account in (None, package.account)]:
            del self._packages[arn]
        for token in [token for token in self._tokens if account in (None, token[0])]:
            del self._tokens[token]
        for owner in [owner for owner in self._outcomes if account in (None, owner)]:
            del self._outcomes[owner]

    def _count(self, caller: Caller) -> int:
        return sum(package.account == caller.account for package in self._packages.values())

    def _new(self, caller: Caller, request: dict[str, Any]) -> Package:
        members = {name: value for name, value in self._pinned_all(request).items() if name not in NOT_DESCRIBED}
        now = self.world.clock.now()
        if "ModelPackageGroupName" in request:
            group = self._group(caller, request["ModelPackageGroupName"], "CreateModelPackage")
            members.setdefault("ModelApprovalStatus", "PendingManualApproval")
            group.versions += 1
            group.packages += 1
            arn = f"{group.packages_arn.removesuffix('*')}{group.versions}"
            return Package(arn, group.account, None, group.name, group.arn, group.versions, now, members)
        name = request["ModelPackageName"]
        arn = arn_of(caller, name)
        if arn in self._packages:
            raise AwsError("ConflictException", f"ModelPackage {arn} already exists.")
        return Package(arn, caller.account, name, None, None, None, now, members)

    def _begin(self, package: Package) -> None:
        """Take a new package to its first status."""
        outcome = self._outcomes.pop(package.account, None)
        if outcome or "ValidationSpecification" in package.members:
            package.status = "Pending"
            self._validate(package, outcome or PackageOutcome(account=package.account))
        self._emit(package, ())

    def _validate(self, package: Package, outcome: PackageOutcome) -> None:
        clock = self.world.clock
        clock.call_later(PENDING_SECONDS, partial(self._settle, package, "InProgress", None))
        clock.call_later(PENDING_SECONDS + outcome.seconds, partial(self._settle, package, outcome.status, outcome.reason))

    def _settle(self, package: Package, status: str, reason: str | None) -> None:
        with self.lock:
            if self._packages.get(package.arn) is not package:
                return
            package.status = status
            package.failure = reason
            self._emit(package, ())

    def _emit(self, package: Package, fields: Sequence[str]) -> None:
        caller = Caller(package.account, package.arn.split(":")[3], "")
        self.world.events.emit(
            caller, "aws.sagemaker", "SageMaker Model Package State Change", package.event(fields), [package.arn]
        )

    def _get(self, caller: Caller, name: str, action: str) -> Package:
        """The package, if the caller may do that with it.

        Raises:
            AwsError: There is none, or its group's policy does not let the caller in.
        """
        arn = name.lower() if name.startswith("arn:") else arn_of(caller, name)
        package = self._packages.get(arn)
        if package is None:
            raise validation_error(f"ModelPackage {arn} does not exist.")
        group = self._groups.of(package.group_arn) if package.group_arn else None
        refuse_stranger(group.policy if group else None, package.account, caller, f"sagemaker:{action}", arn)
        return package

    def _group(self, caller: Caller, name: str, action: str) -> Group:
        """The group, if the caller may do that with its packages.

        Raises:
            AwsError: There is none, or its policy does not let the caller in.
        """
        group = self._groups.find(caller, name)
        refuse_stranger(group.policy, group.account, caller, f"sagemaker:{action}", group.packages_arn)
        return group

    def _listed(self, caller: Caller, request: dict[str, Any]) -> list[Package]:
        """The packages of a group or, without one, of the type that is asked for: unversioned, unless it says otherwise."""
        approval = request.get("ModelApprovalStatus")
        if "ModelPackageGroupName" in request:
            group = self._group(caller, request["ModelPackageGroupName"], "ListModelPackages")
            found = [package for package in self._packages.values() if package.group_arn == group.arn]
            kind = request.get("ModelPackageType", "Versioned")
        else:
            head = arn_of(caller, "")
            found = [package for package in self._packages.values() if package.arn.startswith(head)]
            kind = request.get("ModelPackageType", "Unversioned")
        if kind != "Both":
            found = [package for package in found if (package.group_arn is not None) == (kind == "Versioned")]
        return [package for package in found if approval in (None, package.members.get("ModelApprovalStatus"))]

    @staticmethod
    def _refuse_unsettled(package: Package, verb: str) -> None:
        if package.status not in SETTLED:
            raise AwsError(
                "ConflictException", f"ModelPackage {package.arn} cannot be {verb} while its status is {package.status}."
            )

    def _pinned_all(self, request: dict[str, Any]) -> dict[str, Any]:
        """The request with a digest for each image: what is registered must not move with a tag."""
        pinned = dict(request)
        if "InferenceSpecification" in request:
            pinned["InferenceSpecification"] = self._pinned(request["InferenceSpecification"])
        for member in ("AdditionalInferenceSpecifications", "AdditionalInferenceSpecificationsToAdd"):
            if member in request:
                pinned[member] = [self._pinned(specification) for specification in request[member]]
        return pinned

    def _pinned(self, specification: dict[str, Any]) -> dict[str, Any]:
        return {**specification, "Containers": [self._with_digest(container) for container in specification["Containers"]]}

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


def arn_of(caller: Caller, name: str) -> str:
    """The ARN of a package in the caller's account and region."""
    return f"arn:aws:sagemaker:{caller.region}:{caller.account}:model-package/{name.lower()}"


def refuse(request: dict[str, Any]) -> None:
    """Refuse a package that SageMaker would not take.

    Raises:
        AwsError: It is one.
    """
    versioned, unversioned = "ModelPackageGroupName" in request, "ModelPackageName" in request
    if versioned and unversioned:
        raise validation_error(
            "Both ModelPackageName and ModelPackageGroupName are provided in the input. Cannot determine which one to use."
        )
    if not versioned and not unversioned:
        raise validation_error("Missing ARN.")
    if versioned and request.get("Tags"):
        raise validation_error(UNTAGGABLE)
    if "InferenceSpecification" in request and "SourceAlgorithmSpecification" in request:
        raise validation_error("Exactly one of InferenceSpecification and SourceAlgorithmSpecification can be given.")
    names = [each["Name"] for each in request.get("AdditionalInferenceSpecifications", ())]
    if len(set(names)) < len(names):
        raise validation_error("The names of the additional inference specifications of a model package must be unique.")
