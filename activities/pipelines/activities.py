"""Stage 4 activities: find the execution that the task started, follow, retry and stop it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from temporalio import activity

from activities.compensation import Compensation
from activities.pipelines.finding import ListedExecution, Witnesses
from activities.pipelines.following import (
    UNFINISHED,
    ExecutionState,
    describe_execution,
    followed_executions,
    list_executions,
    pipeline_of,
)
from activities.pipelines.messages import Execution, ExecutionVerdict, FindExecution, FollowExecution
from activities.pipelines.steps import step_failures
from activities.waiting import deadline_after, effect_key, follower
from slipway.api import LedgerState
from slipway.app.durations import format_duration
from slipway.aws.clients import Aws
from slipway.aws.errors import answer_of
from slipway.aws.looking import Described, Source, one_by_one
from slipway.aws.polling import Polling, Scope
from slipway.errors import NeedsPersonError, SlipwayError
from slipway.names import TOKEN_LENGTH, short_hash
from slipway.progress import PipelineProgress

OLDEST = timedelta(days=30)
"""How long before the latest task its execution may have begun: an earlier attempt's task may have started it before failing, and
the same client token gives the same execution."""
SETTLED = timedelta(seconds=10)
"""After this long everything is listed that the task, which has ended, started."""
PAGES = 5
"""Pages of 100 executions that are looked through."""
FINDS_EVERY = 5.0
"""Seconds between two looks for an execution that has just begun."""


class PipelineActivities:
    """Stage 4, as far as the execution's end.

    Args:
        aws: Where to find AWS.
        polling: How the executions that are followed are looked at.
    """

    def __init__(self, aws: Aws, polling: Polling) -> None:
        self._aws = aws
        self._executions = polling.pollers(self._executions_at, account_of)
        self._listings = polling.pollers(self._listings_at, account_of, at_most=FINDS_EVERY)

    @activity.defn
    async def find_execution(self, request: FindExecution) -> Execution | None:
        """Finds the execution that the task started. Reads only.

        Returns:
            It; none where there is none and it was to be stopped.

        Raises:
            NeedsPersonError: There is none, or several may be the one.
        """
        since = (request.started_after - OLDEST).isoformat()
        begun, deadline = datetime.now(UTC), deadline_after(request.within)
        witnesses, listings = Witnesses(self._aws, request), self._listings.at(request.region, request.pipeline)
        with listings.following(since):
            while True:
                try:
                    listed = await listings.next(since)
                except SlipwayError as error:
                    # The task that was stopped had not made the pipeline yet, so that it started nothing.
                    if request.for_undo and answer_of(error)[0] == "ResourceNotFound":
                        return None
                    raise
                now = datetime.now(UTC)
                if found := await witnesses.find(listed, settled=now >= min(begun + SETTLED, deadline)):
                    return found
                if request.named or now >= deadline:
                    break
        if request.for_undo and not request.named:
            return None
        raise witnesses.none(listed)

    @activity.defn
    @follower
    async def follow_execution(self, request: FollowExecution) -> ExecutionVerdict:
        """Waits until the execution has ended. Reads only.

        Raises:
            NeedsPersonError: It failed, was stopped, or did not end in time; with the steps that failed and why.
        """
        arn = request.execution.arn
        tried = f"following the pipeline execution {request.execution.display_name} ({arn})"
        state = await self._executions.at(request.execution.region, pipeline_of(arn)).until(
            arn,
            done=lambda state: state.status not in UNFINISHED,
            deadline=deadline_after(request.timeout),
            tell=lambda state: activity.heartbeat(PipelineProgress(status=state.status, steps=state.steps)),
        )
        if state.status == "Succeeded":
            return ExecutionVerdict(steps=state.steps)
        if state.status in UNFINISHED:
            said = f"it is still {state.status} after {format_duration(request.timeout)} (spec.pipeline.timeout)"
            raise NeedsPersonError(tried, said, "see its steps in SageMaker; retry follows it again, abort stops it")
        reasons = await step_failures(self._aws, request.execution.region, state.steps)
        said = "; ".join(part for part in (state.status, state.failure, reasons) if part)
        raise NeedsPersonError(tried, said, "fix what the step says, then retry: it continues from the step that failed")

    @activity.defn
    async def retry_execution(self, execution: Execution) -> Execution:
        """Retries a failed or stopped execution from the step that failed, under the same ARN.

        If it is killed after the call, the retry finds it executing, or gives the same client token.
        """
        described = await describe_execution(self._aws, execution.region, execution.arn)
        if described.get("PipelineExecutionStatus") in {*UNFINISHED, "Succeeded"}:
            return execution
        try:
            await self._aws.call(
                f"retrying the pipeline execution {execution.arn}",
                self._aws.sagemaker(execution.region).retry_pipeline_execution,
                PipelineExecutionArn=execution.arn,
                ClientRequestToken=client_token(execution.arn),
            )
        except SlipwayError as error:
            if answer_of(error)[0] != "ConflictException":
                raise
            # Somebody else retried it between the two calls, perhaps in SageMaker Studio.
            if (await describe_execution(self._aws, execution.region, execution.arn)).get(
                "PipelineExecutionStatus"
            ) not in UNFINISHED:
                raise
        return execution

    @activity.defn
    async def stop_execution(self, execution: Execution) -> Compensation:
        """Stops the execution if it runs. If it is killed after the call, the retry finds it stopping or stopped."""
        status = (await describe_execution(self._aws, execution.region, execution.arn)).get("PipelineExecutionStatus", "")
        if status == "Executing":
            await self._aws.call(
                f"stopping the pipeline execution {execution.arn}",
                self._aws.sagemaker(execution.region).stop_pipeline_execution,
                PipelineExecutionArn=execution.arn,
                ClientRequestToken=client_token(execution.arn),
            )
        elif status not in {"Stopping", "Stopped"}:
            return Compensation(state=LedgerState.kept, note=f"the execution had ended before: {status}")
        return Compensation(state=LedgerState.undone, note="the execution is stopped")

    def _executions_at(self, region: str | None, pipeline: str | None) -> Source[ExecutionState]:
        return followed_executions(self._aws, region or "", pipeline or "")

    def _listings_at(self, region: str | None, pipeline: str | None) -> Source[tuple[ListedExecution, ...]]:
        async def list_since(since: str) -> tuple[ListedExecution, ...]:
            return await list_executions(self._aws, region or "", pipeline or "", since, PAGES)

        return Described(one_by_one(list_since))


def account_of(region: str | None, pipeline: str | None) -> Scope:
    """What AWS slows down together: executions are the worker's own account's."""
    del pipeline
    return (region,)


def client_token(arn: str) -> str:
    """The token of this step on this execution; 32 to 128 characters."""
    return short_hash("execution-step", 1, effect_key(), arn, digits=TOKEN_LENGTH)
