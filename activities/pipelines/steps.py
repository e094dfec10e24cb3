"""The steps of a pipeline execution, and why they failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from activities.logs import Stream, last_lines, log_excerpt
from slipway.api import StepReport
from slipway.aws.clients import Aws

LOG_GROUPS = {
    "Training": "/aws/sagemaker/TrainingJobs",
    "Processing": "/aws/sagemaker/ProcessingJobs",
    "Transform": "/aws/sagemaker/TransformJobs",
}
_JOBS = (
    "TrainingJob",
    "ProcessingJob",
    "TransformJob",
    "TuningJob",
    "Model",
    "RegisterModel",
    "AutoMLJob",
    "Endpoint",
    "EndpointConfig",
)


async def list_steps(aws: Aws, region: str, execution: str) -> tuple[StepReport, ...]:
    """The steps that have begun, in the order in which they did."""
    steps: list[StepReport] = []
    token = ""
    while True:
        more = {"NextToken": token} if token else {}
        answer = await aws.call(
            f"listing the steps of the pipeline execution {execution}",
            aws.sagemaker(region).list_pipeline_execution_steps,
            PipelineExecutionArn=execution,
            SortOrder="Ascending",
            MaxResults=100,
            **more,
        )
        steps += [step_report(step) for step in answer["PipelineExecutionSteps"]]
        token = answer.get("NextToken", "")
        if not token:
            return tuple(steps)


def step_report(step: Mapping[str, Any]) -> StepReport:
    """A step as AWS lists it, as a report."""
    metadata: Mapping[str, Any] = step.get("Metadata", {})
    started, ended = step.get("StartTime"), step.get("EndTime")
    failure = metadata.get("Fail", {}).get("ErrorMessage", "") or step.get("FailureReason", "")
    return StepReport(
        name=step.get("StepName", ""),
        kind=kind_of(metadata),
        status=step.get("StepStatus", ""),
        seconds=(ended - started).total_seconds() if started and ended else None,
        arn=next((metadata[job]["Arn"] for job in _JOBS if "Arn" in metadata.get(job, {})), None),
        cached_from=step.get("CacheHitResult", {}).get("SourcePipelineExecutionArn"),
        outcome=metadata.get("Condition", {}).get("Outcome", ""),
        failure=failure,
    )


def kind_of(metadata: Mapping[str, Any]) -> str:
    """The type of a step as its definition calls it: AWS's metadata has the job's name as its key."""
    return next((name.removesuffix("Job") for name in metadata), "")


async def step_failures(aws: Aws, region: str, steps: Sequence[StepReport]) -> str:
    """The failed steps with their reasons, and the last lines of the first one's log."""
    failed = [step for step in steps if step.status == "Failed"]
    if not failed:
        return ""
    reasons = "; ".join(f"step {step.name} ({step.kind}) failed: {step.failure or 'no reason given'}" for step in failed)
    return reasons + log_excerpt(await last_lines(aws, region, job_streams(failed[0])))


def job_streams(step: StepReport) -> list[Stream]:
    """Where a job's log is: SageMaker begins the streams' names with the job's."""
    group = LOG_GROUPS.get(step.kind)
    if group is None or step.arn is None:
        return []
    return [Stream(group, f"{step.arn.rpartition('/')[2]}/", by_prefix=True)]
