"""The steps of a pipeline execution, and why they failed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
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
_MADE_UP = re.compile(r"(?P<base>.{1,26})-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""The name that the SDK gives a `@step` function that has none: the function's, cut, and another UUID with each upsert."""
_BASE = 26
_REGISTERS = "-RegisterModel"
"""What the SDK's ModelStep adds to the name that it was given."""


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


def steps_named(steps: Sequence[StepReport], wanted: str) -> tuple[StepReport, ...]:
    """The steps that a spec means by a name: those that have it, else those that are shown by it, else `@step` functions.

    A definition by the SDK may have several steps of one display name, or one function twice.
    """
    ranks: tuple[Callable[[StepReport], bool], ...] = (
        lambda step: step.name in {wanted, f"{wanted}{_REGISTERS}"},
        lambda step: step.display_name == wanted,
        lambda step: _function_of(step) == wanted[:_BASE],
    )
    return next((found for rank in ranks if (found := tuple(step for step in steps if rank(step)))), ())


def _function_of(step: StepReport) -> str | None:
    """The function that a step is of, cut as the SDK cuts it; none for a step with a name of its own."""
    found = _MADE_UP.fullmatch(step.name)
    return found["base"] if found else None


def told(steps: Sequence[StepReport]) -> str:
    """Steps in a message, by the names that a spec may have."""
    return ", ".join(f"{step.display_name or step.name} ({step.kind})" for step in steps) or "none"


def step_report(step: Mapping[str, Any]) -> StepReport:
    """A step as AWS lists it, as a report."""
    metadata: Mapping[str, Any] = step.get("Metadata", {})
    started, ended = step.get("StartTime"), step.get("EndTime")
    failure = metadata.get("Fail", {}).get("ErrorMessage", "") or step.get("FailureReason", "")
    name, display_name = step.get("StepName", ""), step.get("StepDisplayName", "")
    return StepReport(
        name=name,
        display_name=display_name if display_name != name else "",
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
