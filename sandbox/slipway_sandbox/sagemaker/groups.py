"""Model package groups, and the policies on them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from slipway_sandbox.calls import Caller
from slipway_sandbox.errors import validation_error
from slipway_sandbox.sagemaker.resources import Table, page, select
from slipway_sandbox.sagemaker.tags import TagRoom
from slipway_sandbox.world import Room, World, operation


@dataclass
class Group:
    """A model package group. Versions are never given twice, not even after a package is deleted."""

    name: str
    arn: str
    created: datetime
    description: str | None
    policy: str | None = None
    versions: int = 0
    kept: int = 0
    """Packages that are there now; a group that has any cannot be deleted."""

    def summary(self) -> dict[str, Any]:
        """The group as lists show it."""
        return {
            "ModelPackageGroupName": self.name,
            "ModelPackageGroupArn": self.arn,
            "ModelPackageGroupDescription": self.description,
            "CreationTime": self.created,
            "ModelPackageGroupStatus": "Completed",
        }


class GroupRoom(Room):
    """CreateModelPackageGroup and its kin."""

    service = "sagemaker"

    def __init__(self, world: World, tags: TagRoom) -> None:
        super().__init__(world)
        self._groups: Table[Group] = Table("model package group", "model-package-group")
        self._tags = tags

    def find(self, caller: Caller, name_or_arn: str) -> Group:
        """The group, by its name in the caller's account or by its ARN.

        Raises:
            AwsError: There is none.
        """
        if name_or_arn.startswith("arn:"):
            _, _, _, region, account, resource = name_or_arn.split(":", 5)
            owner = Caller(account, region, caller.access_key)
            found = [group for group in self._groups.all_of(owner) if group.arn == name_or_arn.lower()]
            name = found[0].name if found else resource.rpartition("/")[2]
            return self._get(owner, name)
        return self._get(caller, name_or_arn)

    def _get(self, caller: Caller, name: str) -> Group:
        group = self._groups.find(caller, name)
        if group is None:
            raise validation_error(f"Model Package Group {self._groups.arn(caller, name)} does not exist.")
        return group

    @operation("CreateModelPackageGroup")
    def create(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        name = request["ModelPackageGroupName"]
        if self._groups.find(caller, name) is not None:
            raise validation_error(f"Model Package Group already exists: {self._groups.arn(caller, name)}")
        group = Group(name, self._groups.arn(caller, name), self.world.clock.now(), request.get("ModelPackageGroupDescription"))
        self._groups.add(caller, group)
        self._tags.put(group.arn, request.get("Tags", ()))
        return {"ModelPackageGroupArn": group.arn}

    @operation("DescribeModelPackageGroup")
    def describe(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        return {**self.find(caller, request["ModelPackageGroupName"]).summary(), "CreatedBy": {}}

    @operation("ListModelPackageGroups")
    def list_groups(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        groups, token = page(select(self._groups.all_of(caller), request), request)
        return {"ModelPackageGroupSummaryList": [group.summary() for group in groups], "NextToken": token}

    @operation("DeleteModelPackageGroup")
    def delete(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        group = self.find(caller, request["ModelPackageGroupName"])
        if group.kept:
            raise validation_error(f"Cannot delete Model Package Group {group.arn}: it still has {group.kept} model packages.")
        self._groups.remove(caller, group.name)
        self._tags.forget(group.arn)
        return {}

    @operation("PutModelPackageGroupPolicy")
    def put_policy(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        group = self.find(caller, request["ModelPackageGroupName"])
        group.policy = request["ResourcePolicy"]
        return {"ModelPackageGroupArn": group.arn}

    @operation("GetModelPackageGroupPolicy")
    def get_policy(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        group = self.find(caller, request["ModelPackageGroupName"])
        if group.policy is None:
            raise validation_error(f"Model Package Group {group.arn} has no resource policy.")
        return {"ResourcePolicy": group.policy}

    @operation("DeleteModelPackageGroupPolicy")
    def delete_policy(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        self.find(caller, request["ModelPackageGroupName"]).policy = None
        return {}

    def policy_of(self, arn: str) -> str | None:
        """The policy of a group, which is that of its packages, too."""
        _, _, _, region, account, resource = arn.split(":", 5)
        group = self._groups.find(Caller(account, region, ""), resource.split("/")[1]) if "/" in resource else None
        return group.policy if group else None

    def reset(self, account: str | None) -> None:
        """Forget the groups of one account, or all."""
        self._groups.clear(account)
