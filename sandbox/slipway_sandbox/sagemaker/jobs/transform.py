"""Transform jobs: create, describe, list and stop."""

from __future__ import annotations

from typing import Any, Protocol

from slipway_sandbox.core.calls import Caller
from slipway_sandbox.core.errors import validation_error
from slipway_sandbox.core.world import World, operation
from slipway_sandbox.sagemaker.access import check_role
from slipway_sandbox.sagemaker.hosting.models import Model
from slipway_sandbox.sagemaker.jobs.contract import not_implemented, refuse_experiment
from slipway_sandbox.sagemaker.jobs.job import Job
from slipway_sandbox.sagemaker.jobs.room import JobRoom, JobStarter
from slipway_sandbox.sagemaker.jobs.serving import Served
from slipway_sandbox.sagemaker.jobs.transform_work import TransformWork
from slipway_sandbox.sagemaker.quotas import SageMakerQuotas
from slipway_sandbox.sagemaker.tags import TagRoom

DATA_PROCESSING = {"InputFilter": "$", "OutputFilter": "$", "JoinSource": "None"}
"""What SageMaker fills in: whole records, and answers alone."""
MOST_MEGABYTES = 100
"""Of one payload, and of all payloads that are under way at once."""


class Models(Protocol):
    """Where models are found."""

    def get(self, caller: Caller, name: str) -> Model:
        """The model, or an AwsError."""
        ...


class TransformRoom(JobRoom):
    """Answers for transform jobs.

    Args:
        world: What all rooms share.
        starter: Runs them.
        models: What they serve.
        tags: The tags of all SageMaker resources.
        quotas: How many instances an account may have.
    """

    kind = "transform job"
    segment = "transform-job"
    noun = "Transform Job"
    not_there = "Could not find requested job with name: {name}"

    def __init__(self, world: World, starter: JobStarter, models: Models, tags: TagRoom, quotas: SageMakerQuotas) -> None:
        super().__init__(world, starter, tags, quotas)
        self._models = models

    def described(self, job: Job) -> dict[str, Any]:
        """The job as DescribeTransformJob shows it."""
        shown = {name: value for name, value in summary(job).items() if name != "LastModifiedTime"}
        return {**job.request, **shown, "TransformStartTime": job.started}

    def instances(self, request: dict[str, Any]) -> tuple[str, int]:
        """The type and number of instances that a request asks for."""
        return request["TransformResources"]["InstanceType"], request["TransformResources"]["InstanceCount"]

    @operation(
        "CreateTransformJob",
        differs="one container answers for all instances; SplitType RecordIO and TFRecord, filters and joins of "
        "DataProcessing, data capture and Converse answer `NotImplemented`; FailureReasons other than `See job logs for more "
        "information`, and the wording of the bounds on payloads, are not verified on AWS",
    )
    def create_job(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        refuse_experiment(request)
        refuse(request)
        model = Served.of(self._models.get(caller, request["ModelName"]))
        check_role(self.world, caller, model.role)
        asked = with_defaults(request)
        job = self.create(caller, request["TransformJobName"], asked, lambda job: TransformWork(self.world, job, model))
        return {"TransformJobArn": job.arn}

    @operation("DescribeTransformJob")
    def describe_job(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        job = self.find(caller, request["TransformJobName"])
        with job.lock:
            return self.described(job)

    @operation("StopTransformJob")
    def stop_job(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        self.stop(caller, request["TransformJobName"])
        return {}

    @operation("ListTransformJobs")
    def list_jobs(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        jobs, token = self.listed(caller, request)
        return {"TransformJobSummaries": [summary(job) for job in jobs], "NextToken": token}


def refuse(request: dict[str, Any]) -> None:
    """Refuse what SageMaker would not take, and what the sandbox cannot do.

    Raises:
        AwsError: It is one of these.
    """
    source = request["TransformInput"]
    kind = source["DataSource"]["S3DataSource"]["S3DataType"]
    if kind not in ("S3Prefix", "ManifestFile"):
        raise not_implemented(f"S3DataType {kind}")
    if source.get("SplitType", "None") not in ("None", "Line"):
        raise not_implemented(f"SplitType {source['SplitType']}")
    if "DataCaptureConfig" in request:
        raise not_implemented("a DataCaptureConfig")
    payload, parallel = request.get("MaxPayloadInMB", 0), request.get("MaxConcurrentTransforms", 0)
    if payload > MOST_MEGABYTES or payload * max(parallel, 1) > MOST_MEGABYTES:
        raise validation_error(
            f"MaxPayloadInMB ({payload}) and its product with MaxConcurrentTransforms ({parallel}) must not exceed "
            f"{MOST_MEGABYTES} MB."
        )
    if {**DATA_PROCESSING, **request.get("DataProcessing", {})} != DATA_PROCESSING:
        raise not_implemented("a DataProcessing that filters or joins records")


def with_defaults(request: dict[str, Any]) -> dict[str, Any]:
    """The request with what SageMaker fills in."""
    return {
        **request,
        "TransformInput": {"CompressionType": "None", "SplitType": "None", **request["TransformInput"]},
        "TransformOutput": {"AssembleWith": "None", **request["TransformOutput"]},
        "DataProcessing": {**DATA_PROCESSING, **request.get("DataProcessing", {})},
    }


def summary(job: Job) -> dict[str, Any]:
    """The job as lists show it."""
    return {
        "TransformJobName": job.name,
        "TransformJobArn": job.arn,
        "CreationTime": job.created,
        "TransformEndTime": job.ended,
        "LastModifiedTime": job.modified,
        "TransformJobStatus": job.status,
        "FailureReason": job.reason,
    }
