"""Model package groups, and the policies on them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from slipway_sandbox.core.calls import Caller
from slipway_sandbox.core.errors import AwsError, validation_error
from slipway_sandbox.core.world import Room, World, operation
from slipway_sandbox.sagemaker.group_policies import NO_POLICY, refuse_malformed, refuse_stranger
from slipway_sandbox.sagemaker.quotas import SageMakerQuotas
from slipway_sandbox.sagemaker.resources import Table, page, select
from slipway_sandbox.sagemaker.tags import TagRoom

QUOTA = "Number of model package groups"


@dataclass
class Group:
    """A model package group. Versions are never given twice, not even after a package is deleted."""

    name: str
    arn: str
    created: datetime
    description: str | None
    managed: dict[str, Any] | None = None
    policy: str | None = None
    versions: int = 0
    packages: int = 0
    """Packages that are in it now; a group that has any cannot be deleted."""

    @property
    def account(self) -> str:
        """Whose it is."""
        return self.arn.split(":")[4]

    @property
    def packages_arn(self) -> str:
        """The ARN of all its packages, as policies name them."""
        return self.arn.replace(":model-package-group/", ":model-package/") + "/*"

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
    """The operations on model package groups."""

    service = "sagemaker"

    def __init__(self, world: World, tags: TagRoom, quotas: SageMakerQuotas) -> None:
        super().__init__(world)
        self._groups: Table[Group] = Table("model package group", "model-package-group")
        self._tags = tags
        self._quotas = quotas

    def find(self, caller: Caller, name_or_arn: str) -> Group:
        """The group, by its name in the caller's account or by its ARN. Whether the caller may have it is not looked at.

        Raises:
            AwsError: There is none.
        """
        group, arn = self._look(caller, name_or_arn)
        if group is None:
            raise validation_error(f"ModelPackageGroup {arn} does not exist.")
        return group

    def of(self, arn: str) -> Group | None:
        """The group of an ARN, or None."""
        return next((group for group in self._groups.rows.values() if group.arn == arn), None)

    def policy_of(self, arn: str) -> str | None:
        """The policy on a group, or on the package of one; one that allows no other account where the group has none."""
        kind, _, name = arn.split(":", 5)[-1].partition("/")
        if kind not in ("model-package-group", "model-package"):
            return None
        head = ":".join(arn.split(":", 5)[:5]).lower()
        group = self.of(f"{head}:model-package-group/{name.partition('/')[0].lower()}")
        return None if group is None else group.policy or NO_POLICY

    @operation("CreateModelPackageGroup", differs="`Completed` at once; the quota's name and unit are not verified on AWS")
    def create(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        name = request["ModelPackageGroupName"]
        arn = self._groups.arn(caller, name)
        # Names that differ only in case would share an ARN.
        if self.of(arn) is not None:
            raise validation_error(f"Model Package Group already exists: {arn}")
        self._quotas.check(caller, QUOTA, lambda: len(self._groups.all_of(caller)), unit="groups")
        described = request.get("ModelPackageGroupDescription")
        group = Group(name, arn, self.world.clock.now(), described, request.get("ManagedConfiguration"))
        self._groups.add(caller, group)
        self._tags.put(group.arn, request.get("Tags", ()))
        return {"ModelPackageGroupArn": group.arn}

    @operation("DescribeModelPackageGroup", differs="CreatedBy is empty")
    def describe(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        group = self.find(caller, request["ModelPackageGroupName"])
        refuse_stranger(group.policy, group.account, caller, "sagemaker:DescribeModelPackageGroup", group.arn)
        return {**group.summary(), "CreatedBy": {}, "ManagedConfiguration": group.managed}

    @operation("ListModelPackageGroups", differs="groups of other accounts are not listed: CrossAccount finds none")
    def list_groups(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        own = self._groups.all_of(caller) if request.get("CrossAccountFilterOption") != "CrossAccount" else []
        groups, token = page(select(own, request), request)
        return {"ModelPackageGroupSummaryList": [group.summary() for group in groups], "NextToken": token}

    @operation("DeleteModelPackageGroup", differs="wording for a group that still has packages is not verified on AWS")
    def delete(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        group = self.find(caller, request["ModelPackageGroupName"])
        refuse_stranger(group.policy, group.account, caller, "sagemaker:DeleteModelPackageGroup", group.arn)
        if group.packages:
            raise AwsError(
                "ConflictException",
                f"Model Package Group {group.arn} cannot be deleted: it still has {group.packages} model packages.",
            )
        _, _, _, region, account, _ = group.arn.split(":", 5)
        self._groups.remove(Caller(account, region, ""), group.name)
        self._tags.forget(group.arn)
        return {}

    @operation("PutModelPackageGroupPolicy", differs="wording for a policy that is none is not verified on AWS")
    def put_policy(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        group = self._with_policy(caller, request)
        refuse_malformed(request["ResourcePolicy"])
        group.policy = request["ResourcePolicy"]
        return {"ModelPackageGroupArn": group.arn}

    @operation("GetModelPackageGroupPolicy")
    def get_policy(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        group = self._with_policy(caller, request)
        if group.policy is None:
            raise validation_error(f"Cannot find resource policy for: {group.arn}")
        return {"ResourcePolicy": group.policy}

    @operation("DeleteModelPackageGroupPolicy")
    def delete_policy(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        group = self._with_policy(caller, request)
        if group.policy is None:
            raise validation_error(f"Cannot find resource policy for: {group.arn}")
        group.policy = None
        return {}

    def reset(self, account: str | None) -> None:
        """Forget the groups of one account, or all."""
        self._groups.clear(account)

    def _look(self, caller: Caller, name_or_arn: str) -> tuple[Group | None, str]:
        """The group, if it is there, and its ARN."""
        if name_or_arn.startswith("arn:"):
            arn = name_or_arn.lower()
            return self.of(arn), arn
        return self._groups.find(caller, name_or_arn), self._groups.arn(caller, name_or_arn)

    def _with_policy(self, caller: Caller, request: dict[str, Any]) -> Group:
        """The group that a call about policies names; these calls have their own wording for a missing group.

        Raises:
            AwsError: There is none.
        """
        group, arn = self._look(caller, request["ModelPackageGroupName"])
        if group is None:
            raise validation_error(f"Cannot find Model Package Group: {arn}")
        return group
