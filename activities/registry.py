"""Model Registry activities: find the package that an execution registered, set and withdraw its approval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from temporalio import activity

from activities.compensation import Compensation
from activities.origin import Origin
from activities.pipelines.messages import Execution
from activities.pipelines.steps import list_steps
from slipway.api import LedgerState, Message, ModelPackage, SignedCommand, StepReport
from slipway.aws.clients import Aws, region_of
from slipway.decisions.command import Delivery
from slipway.errors import NeedsPersonError, RefusedError, TransientError

if TYPE_CHECKING:
    from types_boto3_sagemaker.literals import ModelApprovalStatusType
    from types_boto3_sagemaker.type_defs import DescribeModelPackageOutputTypeDef

DESCRIPTION_LIMIT = 1_024
SCANNED = 50
"""Packages of the group whose lineage is looked at, newest first, where no step names the package."""
STATUSES: dict[str, ModelApprovalStatusType] = {
    "Approved": "Approved",
    "Rejected": "Rejected",
    "PendingManualApproval": "PendingManualApproval",
}


class FindModelPackage(Message):
    """Input of `find_model_package`."""

    execution: Execution
    group: str


class SetApproval(Message):
    """Input of `set_approval`."""

    package: ModelPackage
    status: str
    description: str
    origin: Origin | None = None
    """Absent where an older release recorded the input."""
    decisions: tuple[SignedCommand, ...] = ()
    """The signed approvals, where it becomes `Approved`."""
    deliveries: tuple[Delivery, ...] = ()
    """The approvals whose senders Temporal's server knows."""


class ApprovalSet(Message):
    """The package's approval, before and after."""

    before: str
    after: str


class WithdrawApproval(Message):
    """Input of `withdraw_approval`: the package becomes `Rejected` with the reason."""

    package: ModelPackage
    reason: str
    origin: Origin | None = None
    """Absent where an older release recorded the input."""


class RegistryActivities:
    """The package of stages 4 and 5.

    Args:
        aws: Where to find AWS.
    """

    def __init__(self, aws: Aws) -> None:
        self._aws = aws

    @activity.defn
    async def find_model_package(self, request: FindModelPackage) -> ModelPackage:
        """Finds the package that the execution registered, by lineage; the newest may be another's. Reads only.

        Raises:
            RefusedError: The execution registered none, as when its own condition was not met.
            NeedsPersonError: The package failed its own validation.
        """
        execution = request.execution
        tried = f"looking for the model package of the execution {execution.display_name} in the group {request.group}"
        steps = await list_steps(self._aws, execution.region, execution.arn)
        registered = [step.arn for step in steps if step.kind == "RegisterModel" and step.arn]
        for arn in registered or await self._newest(execution.region, request.group):
            found = await describe_package(self._aws, arn)
            if is_of(found, execution.arn, request.group, named_by_step=bool(registered)):
                require_complete(tried, found)
                return ModelPackage(
                    arn=found["ModelPackageArn"], version=found.get("ModelPackageVersion", 0), region=execution.region
                )
        raise RefusedError(
            tried,
            f"the execution succeeded but registered no package in this group; {why_none(steps)}",
            "see the pipeline's conditions, and that it registers into spec.model.packageGroup",
        )

    async def _newest(self, region: str, group: str) -> Sequence[str]:
        answer = await self._aws.call(
            f"listing the model packages of the group {group}",
            self._aws.sagemaker(region).list_model_packages,
            ModelPackageGroupName=group,
            SortBy="CreationTime",
            SortOrder="Descending",
            MaxResults=SCANNED,
        )
        return [found.get("ModelPackageArn", "") for found in answer["ModelPackageSummaryList"]]

    @activity.defn
    async def set_approval(self, request: SetApproval) -> ApprovalSet:
        """Gives the package a status, and checks that it has it: the registry has no compare-and-set.

        If it is killed after the update, the retry finds the status there and changes nothing.

        Raises:
            RefusedError: No such status.
            TransientError: Somebody else changed it at the same moment.
        """
        status = STATUSES.get(request.status)
        tried = f"setting {request.package.arn} to {request.status}"
        if status is None:
            raise RefusedError(tried, "the registry has no such approval status", f"use one of {', '.join(STATUSES)}")
        before = (await describe_package(self._aws, request.package.arn)).get("ModelApprovalStatus", "")
        if before == status:
            return ApprovalSet(before=before, after=before)
        await self._aws.call(
            tried,
            self._aws.sagemaker(request.package.region).update_model_package,
            ModelPackageArn=request.package.arn,
            ModelApprovalStatus=status,
            ApprovalDescription=request.description[:DESCRIPTION_LIMIT] or "by slipway",
        )
        after = (await describe_package(self._aws, request.package.arn)).get("ModelApprovalStatus", "")
        if after != status:
            raise TransientError(tried, f"it reads {after} right after the update")
        return ApprovalSet(before=before, after=after)

    @activity.defn
    async def withdraw_approval(self, request: WithdrawApproval) -> Compensation:
        """Makes the package `Rejected` with the reason. If it is killed after the update, the retry finds it rejected."""
        change = SetApproval(package=request.package, status="Rejected", description=request.reason, origin=request.origin)
        done = await self.set_approval(change)
        note = (
            "the package was already rejected"
            if done.before == done.after
            else f"the package went from {done.before} to Rejected"
        )
        return Compensation(state=LedgerState.undone, note=note)


async def describe_package(aws: Aws, arn: str, role_arn: str | None = None) -> DescribeModelPackageOutputTypeDef:
    """The package as the registry shows it.

    Args:
        aws: Where to find AWS.
        arn: The package's ARN.
        role_arn: The role that looks; none for the worker's own.
    """
    describe = aws.sagemaker(region_of(arn), role_arn).describe_model_package
    return await aws.call(f"looking at the model package {arn}", describe, ModelPackageName=arn)


def is_of(package: DescribeModelPackageOutputTypeDef, execution: str, group: str, *, named_by_step: bool) -> bool:
    """Whether a package is the execution's. `GeneratedBy` decides; if it is empty, the execution's own step does."""
    made_by = package.get("MetadataProperties", {}).get("GeneratedBy")
    lineage = made_by == execution if made_by else named_by_step
    return lineage and package.get("ModelPackageGroupName") == group


def require_complete(tried: str, package: DescribeModelPackageOutputTypeDef) -> None:
    """Checks that a package has passed its own validation.

    Raises:
        TransientError: The validation has not ended.
        NeedsPersonError: It failed.
    """
    status = package.get("ModelPackageStatus", "")
    if status in {"Pending", "InProgress"}:
        raise TransientError(tried, f"{package['ModelPackageArn']} is {status}")
    if status != "Completed":
        details = package.get("ModelPackageStatusDetails", {}).get("ValidationStatuses", [])
        reasons = "; ".join(reason for detail in details if (reason := detail.get("FailureReason")))
        said = f"{package['ModelPackageArn']} is {status} {reasons}".strip()
        raise NeedsPersonError(tried, said, "fix its validation and retry, or abort")


def why_none(steps: Sequence[StepReport]) -> str:
    """Why there is no package, as far as the execution's steps tell."""
    conditions = [f"the condition {step.name} was {step.outcome}" for step in steps if step.outcome]
    return ", ".join(conditions) or f"its steps were {', '.join(step.name for step in steps) or 'none'}"
