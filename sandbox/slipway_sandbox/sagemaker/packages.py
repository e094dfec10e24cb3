"""One model package: what it is, and how the API and EventBridge show it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from slipway_sandbox.core.errors import validation_error

NOT_DESCRIBED = frozenset({"Tags", "ClientToken", "ModelPackageName", "ModelPackageGroupName"})
"""Members of a create request that a Describe does not repeat as they were sent."""
CHANGEABLE = (
    "ModelApprovalStatus",
    "ModelPackageRegistrationType",
    "ApprovalDescription",
    "InferenceSpecification",
    "SourceUri",
    "ModelLifeCycle",
)
IN_LISTS = ("ModelPackageDescription", "ModelApprovalStatus", "ModelLifeCycle", "ModelPackageRegistrationType")
IN_BATCHES = ("ModelPackageDescription", "InferenceSpecification", "ModelApprovalStatus", "ModelPackageRegistrationType")
MOST_PROPERTIES = 50
MOST_SPECIFICATIONS = 15
SETTLED = ("Completed", "Failed")


@dataclass
class Package:
    """A version in a group or, without one, a package of its own. `members` are those of a Describe that clients set."""

    arn: str
    account: str
    own_name: str | None
    group_name: str | None
    group_arn: str | None
    version: int | None
    created: datetime
    members: dict[str, Any]
    status: str = "Completed"
    failure: str | None = None
    modified: datetime | None = None
    tokens: set[str] = field(default_factory=set[str])
    """Of the updates so far."""

    @property
    def name(self) -> str:
        """What `NameContains` and sorting by name look at."""
        return self.own_name or self.group_name or ""

    def summary(self) -> dict[str, Any]:
        """The package as lists show it."""
        return {**self._identity(), **{name: self.members[name] for name in IN_LISTS if name in self.members}}

    def in_batch(self) -> dict[str, Any]:
        """The package as BatchDescribeModelPackage shows it."""
        identity = {name: value for name, value in self._identity().items() if name != "ModelPackageName"}
        shown = {name: self.members[name] for name in IN_BATCHES if name in self.members}
        return {"InferenceSpecification": {"Containers": []}, **identity, **shown}

    def described(self) -> dict[str, Any]:
        """The package as DescribeModelPackage shows it. A versioned one has no name, although the model says that all have."""
        return {
            "CertifyForMarketplace": False,
            **self.members,
            **self._identity(),
            "ModelPackageStatusDetails": self._status_details(),
            "CreatedBy": {},
            "LastModifiedTime": self.modified,
            "LastModifiedBy": {} if self.modified else None,
        }

    def event(self, updated: Sequence[str]) -> dict[str, Any]:
        """The detail of its events.

        Args:
            updated: The fields that an update has changed.
        """
        described = {name: plain(value) for name, value in self.described().items() if value is not None}
        return {**described, **({"UpdatedModelPackageFields": list(updated)} if updated else {})}

    def _identity(self) -> dict[str, Any]:
        return {
            "ModelPackageName": self.own_name,
            "ModelPackageGroupName": self.group_name,
            "ModelPackageVersion": self.version,
            "ModelPackageArn": self.arn,
            "CreationTime": self.created,
            "ModelPackageStatus": self.status,
        }

    def _status_details(self) -> dict[str, Any]:
        profiles = self.members.get("ValidationSpecification", {}).get("ValidationProfiles", ())
        status = "NotStarted" if self.status == "Pending" else self.status
        rows = [{"Name": profile["ProfileName"], "Status": status} for profile in profiles]
        if self.failure:
            rows = [{**row, "FailureReason": self.failure} for row in rows] or [
                {"Name": self.name, "Status": "Failed", "FailureReason": self.failure}
            ]
        return {"ValidationStatuses": rows, "ImageScanStatuses": []}


def plain(value: Any) -> Any:
    """A value in JSON; moments are spelled as in the registry's events."""
    match value:
        case datetime():
            return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        case dict():
            return {name: plain(item) for name, item in value.items()}  # pyright: ignore[reportUnknownVariableType]
        case list():
            return [plain(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
        case _:
            return value


def updated(package: Package, request: dict[str, Any]) -> dict[str, Any]:
    """The members after an update: what it does not name stays.

    Raises:
        AwsError: There would be too many of something.
    """
    members = {**package.members, **{name: request[name] for name in CHANGEABLE if name in request}}
    if "ModelCard" in request:
        members["ModelCard"] = {**members.get("ModelCard", {}), **request["ModelCard"]}
    members["CustomerMetadataProperties"] = properties(package, request)
    members["AdditionalInferenceSpecifications"] = specifications(package, request)
    return {name: value for name, value in members.items() if value not in ({}, [])}


def properties(package: Package, request: dict[str, Any]) -> dict[str, str]:
    """The customer's properties after an update: added to or replaced, and those named for it removed.

    Raises:
        AwsError: There would be too many.
    """
    merged = {**package.members.get("CustomerMetadataProperties", {}), **request.get("CustomerMetadataProperties", {})}
    removed = set(request.get("CustomerMetadataPropertiesToRemove", ()))
    left = {key: value for key, value in merged.items() if key not in removed}
    if len(left) > MOST_PROPERTIES:
        raise validation_error(f"A model package can have at most {MOST_PROPERTIES} properties; this one would have {len(left)}.")
    return left


def specifications(package: Package, request: dict[str, Any]) -> list[dict[str, Any]]:
    """The additional inference specifications after an update.

    Raises:
        AwsError: There would be too many, or two of one name.
    """
    found = [
        *package.members.get("AdditionalInferenceSpecifications", ()),
        *request.get("AdditionalInferenceSpecificationsToAdd", ()),
    ]
    names = [each["Name"] for each in found]
    if len(set(names)) < len(names):
        raise validation_error("The names of the additional inference specifications of a model package must be unique.")
    if len(found) > MOST_SPECIFICATIONS:
        raise validation_error(
            f"A model package can have at most {MOST_SPECIFICATIONS} additional inference specifications; this one would have "
            f"{len(found)}."
        )
    return found
