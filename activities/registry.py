"""Model Registry activities: find or make the package of an execution, set and withdraw its approval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from temporalio import activity

from activities.compensation import Compensation
from activities.origin import Origin
from activities.packages import (
    FindModelPackage,
    FoundPackage,
    PackageFinder,
    describe_package,
    generated_by,
    list_packages,
    model_of,
    models_in,
    outputs_of,
    require_complete,
)
from activities.pipelines.messages import Execution
from activities.pipelines.steps import list_steps, steps_named, told
from slipway.api import LedgerState, Message, ModelPackage, SignedCommand, StepReport
from slipway.app.spec import Container, Report
from slipway.aws.clients import Aws, region_of
from slipway.aws.errors import answer_of
from slipway.decisions.command import Delivery
from slipway.errors import NeedsPersonError, RefusedError, TransientError, cap
from slipway.names import short_hash
from slipway.served import SERVED
from slipway.text import one_line

if TYPE_CHECKING:
    from types_boto3_sagemaker.literals import ModelApprovalStatusType
    from types_boto3_sagemaker.type_defs import InferenceSpecificationTypeDef

DESCRIPTION_LIMIT = 1_024
PACKAGE_TOKEN = 36
"""Characters of CreateModelPackage's client token."""
STATUSES: dict[str, ModelApprovalStatusType] = {
    "Approved": "Approved",
    "Rejected": "Rejected",
    "PendingManualApproval": "PendingManualApproval",
}


class CreateModelPackage(Message):
    """Input of `create_model_package`."""

    execution: Execution
    group: str
    """Its name or ARN."""
    step: str
    """The training step whose model it is."""
    container: Container
    instance_types: tuple[str, ...]
    """What it may run on, in real time."""
    report: Report | None = None
    origin: Origin | None = None


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
    async def find_model_package(self, request: FindModelPackage) -> FoundPackage:
        """Finds the package that the execution made; the newest may be another's. Reads only.

        Raises:
            RefusedError: The execution made none, as when its own condition was not met.
            NeedsPersonError: Several may be it, or it failed its own validation.
        """
        return await PackageFinder(self._aws, request).find()

    @activity.defn
    async def create_model_package(self, request: CreateModelPackage) -> FoundPackage:
        """Makes a package of the model that a training step of the execution made.

        If it is killed after the call, the retry finds a package of this model that names the execution. A client token covers
        the time until it is listed.

        Raises:
            NeedsPersonError: The execution has no such step, or the step made no model.
        """
        execution, region = request.execution, request.execution.region
        tried = f"making a model package of the step {request.step} of {execution.arn}"
        steps = await list_steps(self._aws, region, execution.arn)
        model = await model_of(self._aws, region, job_of(tried, steps, request.step, "Training"))
        if not model:
            raise NeedsPersonError(tried, "its training job has no model", "see the job in SageMaker; then retry, or abort")
        report = await self._report(tried, request.report, steps, region)
        arn = await self._made_before(request, model) or await self._make(tried, request, model, report)
        found = await describe_package(self._aws, arn)
        require_complete(tried, found)
        return FoundPackage(
            arn=arn,
            version=found.get("ModelPackageVersion", 0),
            region=region_of(arn),
            witness=f"made of the step {request.step}",
        )

    async def _report(self, tried: str, report: Report | None, steps: Sequence[StepReport], region: str) -> str | None:
        """The S3 URI of the evaluation report, where the spec names one."""
        if report is None:
            return None
        outputs = await outputs_of(self._aws, region, job_of(tried, steps, report.step, "Processing"))
        if report.output not in outputs:
            known = ", ".join(outputs) or "none"
            said = f"the step {report.step} has no output {report.output}; its outputs: {known}"
            raise NeedsPersonError(tried, said, "correct spec.model.report, and start a promotion anew")
        return outputs[report.output] + report.file

    async def _made_before(self, request: CreateModelPackage, model: str) -> str | None:
        execution = request.execution
        describe = self._aws.sagemaker(execution.region).describe_pipeline_execution
        tried = f"looking at the pipeline execution {execution.arn}"
        began = (await self._aws.call(tried, describe, PipelineExecutionArn=execution.arn))["CreationTime"]
        for listed in await list_packages(self._aws, execution.region, request.group, began):
            found = await describe_package(self._aws, listed.get("ModelPackageArn", ""))
            if generated_by(found) == execution.arn and models_in(found) == [model]:
                return found["ModelPackageArn"]
        return None

    async def _make(self, tried: str, request: CreateModelPackage, model: str, report: str | None) -> str:
        container = request.container
        contract: InferenceSpecificationTypeDef = {
            "Containers": [{"Image": container.image, "ModelDataUrl": model, "Environment": container.environment or {}}],
            "SupportedContentTypes": list(container.content_types),
            "SupportedResponseMIMETypes": list(container.response_types),
            "SupportedRealtimeInferenceInstanceTypes": cast("Any", list(request.instance_types)),
        }
        statistics = {"ContentType": "application/json", "S3Uri": report}
        more: dict[str, Any] = {"ModelMetrics": {"ModelQuality": {"Statistics": statistics}}} if report else {}
        answer = await self._aws.call(
            tried,
            self._aws.sagemaker(request.execution.region).create_model_package,
            ModelPackageGroupName=request.group,
            InferenceSpecification=contract,
            ModelApprovalStatus="PendingManualApproval",
            MetadataProperties={"GeneratedBy": request.execution.arn},
            ClientToken=short_hash("model-package", 1, request.execution.arn, request.group, model, digits=PACKAGE_TOKEN),
            **more,
        )
        return answer["ModelPackageArn"]

    @activity.defn
    async def set_approval(self, request: SetApproval) -> ApprovalSet:
        """Gives the package a status, and checks that it has it: the registry has no compare-and-set.

        If it is killed after the update, the retry finds the status there and changes nothing. A status that the pipeline has set
        gets the description alone: why, and on which evidence. Words that somebody else has left stay.

        Raises:
            RefusedError: No such status.
            TransientError: Somebody else changed it at the same moment.
        """
        status = STATUSES.get(request.status)
        tried = f"setting {request.package.arn} to {request.status}"
        if status is None:
            raise RefusedError(tried, "the registry has no such approval status", f"use one of {', '.join(STATUSES)}")
        found = await describe_package(self._aws, request.package.arn)
        before = found.get("ModelApprovalStatus", "")
        if before == status and found.get("ApprovalDescription"):
            return ApprovalSet(before=before, after=before)
        more: Any = {} if before == status else {"ModelApprovalStatus": status}
        await self._aws.call(
            tried,
            self._aws.sagemaker(request.package.region).update_model_package,
            ModelPackageArn=request.package.arn,
            # SageMaker's pattern for it has no line ends, and people's reasons may.
            ApprovalDescription=cap(one_line(request.description), DESCRIPTION_LIMIT) or "by slipway",
            **more,
        )
        after = (await describe_package(self._aws, request.package.arn)).get("ModelApprovalStatus", "")
        if after != status:
            raise TransientError(tried, f"it reads {after} right after the update")
        return ApprovalSet(before=before, after=after)

    @activity.defn
    async def withdraw_approval(self, request: WithdrawApproval) -> Compensation:
        """Makes the package `Rejected` with the reason. If it is killed after the update, the retry finds it rejected."""
        change = SetApproval(package=request.package, status="Rejected", description=request.reason, origin=request.origin)
        try:
            done = await self.set_approval(change)
        except NeedsPersonError as error:
            if "does not exist" not in answer_of(error)[1]:
                raise
            return Compensation(state=LedgerState.kept, note="the package does not exist any more")
        await self._take_off_record(request)
        note = (
            "the package was already rejected"
            if done.before == done.after
            else f"the package went from {done.before} to Rejected"
        )
        return Compensation(state=LedgerState.undone, note=note)

    async def _take_off_record(self, request: WithdrawApproval) -> None:
        """A promotion that is aborted right after it recorded the package as served has put its targets back."""
        record = f"{SERVED}{request.origin.promotion_id}" if request.origin else ""
        found = await describe_package(self._aws, request.package.arn)
        if record in found.get("CustomerMetadataProperties", {}):
            await self._aws.call(
                f"taking off {request.package.arn} that it served",
                self._aws.sagemaker(request.package.region).update_model_package,
                ModelPackageArn=request.package.arn,
                CustomerMetadataPropertiesToRemove=[record],
            )


def job_of(tried: str, steps: Sequence[StepReport], name: str, kind: str) -> str:
    """The ARN of the job of a step.

    Raises:
        NeedsPersonError: There is no such step, there are several, or it ran no such job.
    """
    jobs = [step.arn for step in steps_named([step for step in steps if step.kind == kind], name) if step.arn]
    if len(jobs) == 1:
        return jobs[0]
    found = f"{len(jobs)} {kind.lower()} steps" if jobs else f"no {kind.lower()} step"
    said = f"the execution has {found} {name}; its steps: {told(steps)}"
    raise NeedsPersonError(tried, said, "correct spec.model, and start a promotion anew")
