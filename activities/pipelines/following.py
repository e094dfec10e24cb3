"""How executions of a pipeline are followed: by the list of them, a hundred a call."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from activities.pipelines.finding import ListedExecution
from activities.pipelines.steps import list_steps
from slipway.api import StepReport
from slipway.aws.clients import Aws
from slipway.aws.looking import Listed, Listing

if TYPE_CHECKING:
    from types_boto3_sagemaker.type_defs import DescribePipelineExecutionResponseTypeDef, PipelineExecutionSummaryTypeDef

UNFINISHED = frozenset({"Executing", "Stopping"})
PAGES = 10
"""Pages that are listed: the newest executions first, back to the first one that is followed."""
CLOCKS_DIFFER = timedelta(minutes=2)


class ExecutionState:
    """An execution and its steps at one time."""

    def __init__(self, execution: DescribePipelineExecutionResponseTypeDef, steps: tuple[StepReport, ...]) -> None:
        self.status = str(execution.get("PipelineExecutionStatus", ""))
        self.failure = execution.get("FailureReason", "")
        self.began = execution.get("CreationTime", datetime.now(UTC))
        self.steps = steps


def followed_executions(aws: Aws, region: str, pipeline: str) -> Listed[ExecutionState]:
    """How executions of one pipeline are followed.

    Args:
        aws: Where to find AWS.
        region: The pipeline's.
        pipeline: Its name or ARN.
    """

    async def describe(arn: str) -> ExecutionState:
        # The execution first: steps that are listed after it was seen at its end are all there are.
        execution = await describe_execution(aws, region, arn)
        return ExecutionState(execution, await list_steps(aws, region, arn))

    async def statuses(known: Mapping[str, ExecutionState]) -> Listing:
        first = min(state.began for state in known.values()) - CLOCKS_DIFFER
        listed = await list_executions(aws, region, pipeline, first.isoformat(), PAGES)
        return Listing({found.arn: found.status for found in listed}, whole=False)

    return Listed(describe, statuses, mark_of=lambda state: state.status, is_at_rest=lambda state: state.status not in UNFINISHED)


async def describe_execution(aws: Aws, region: str, arn: str) -> DescribePipelineExecutionResponseTypeDef:
    """One execution."""
    describe = aws.sagemaker(region).describe_pipeline_execution
    return await aws.call(f"looking at the pipeline execution {arn}", describe, PipelineExecutionArn=arn)


async def list_executions(aws: Aws, region: str, pipeline: str, since: str, pages: int) -> tuple[ListedExecution, ...]:
    """The executions of a pipeline, the newest first."""
    listed: list[ListedExecution] = []
    token = ""
    for _ in range(pages):
        more = {"NextToken": token} if token else {}
        answer = await aws.call(
            f"listing the executions of the pipeline {pipeline}",
            aws.sagemaker(region).list_pipeline_executions,
            PipelineName=pipeline,
            CreatedAfter=since,
            SortBy="CreationTime",
            SortOrder="Descending",
            MaxResults=100,
            **more,
        )
        listed += map(listed_execution, answer["PipelineExecutionSummaries"])
        token = answer.get("NextToken", "")
        if not token:
            break
    return tuple(listed)


def listed_execution(found: PipelineExecutionSummaryTypeDef) -> ListedExecution:
    """An execution as AWS lists it."""
    return ListedExecution(
        arn=found.get("PipelineExecutionArn", ""),
        name=found.get("PipelineExecutionDisplayName", ""),
        started=found.get("StartTime", datetime.min.replace(tzinfo=UTC)),
        status=found.get("PipelineExecutionStatus", ""),
    )


def pipeline_of(arn: str) -> str:
    """The ARN of an execution's pipeline."""
    return arn.partition("/execution/")[0]
