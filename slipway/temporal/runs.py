"""The runs that Temporal keeps under a promotion's id.

A promotion is a *chain* of runs: each continue-as-new and each reset adds one. All of them have the first run's id.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from temporalio.api.common.v1 import WorkflowExecution as WorkflowRun
from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionRequest
from temporalio.client import Client, WorkflowExecution, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from slipway.errors import NeedsPersonError, TransientError
from slipway.temporal import search_attributes as attributes

_ENDED = "'Completed', 'Failed', 'Canceled', 'Terminated', 'TimedOut'"
"""How the last run of a chain closes; the others are `ContinuedAsNew`."""


def is_running(description: WorkflowExecution) -> bool:
    """Whether a workflow is not over."""
    return description.status in {WorkflowExecutionStatus.RUNNING, None}


def recorded_state(description: WorkflowExecution) -> str:
    """Where a promotion is by Temporal's own record, as `waiting` or `promoted`; `terminated` where it was ended from outside."""
    if is_running(description) or description.status is WorkflowExecutionStatus.COMPLETED:
        return description.typed_search_attributes.get(attributes.STATE) or "running"
    return description.status.name.lower() if description.status else "gone"


class EndedRun(NamedTuple):
    """The end of a promotion."""

    run_id: str
    state: str
    """How it ended (`recorded_state`)."""
    at: datetime | None


async def find_ended_before(client: Client, workflow_id: str, run_id: str) -> EndedRun | None:
    """The end of another chain under this id; none where this run's chain is the only one.

    Temporal lets an id be used again once its workflow is over. Its list is a moment late: a run that closed less than a second
    ago may be missed.

    Args:
        client: Where to look.
        workflow_id: The promotion's id.
        run_id: The run that asks.

    Raises:
        TransientError: Temporal did not answer.
        NeedsPersonError: The worker may not list workflows.
    """
    try:
        own = await _first_run_of(client, workflow_id, run_id)
        async for ended in client.list_workflows(f"WorkflowId = '{workflow_id}' AND ExecutionStatus IN ({_ENDED})"):
            if await _first_run_of(client, workflow_id, ended.run_id) not in {own, None}:
                return EndedRun(ended.run_id, recorded_state(ended), ended.close_time)
    except RPCError as error:
        tried, answered = f"looking for earlier runs of {workflow_id}", f"{error.status.name}: {error.message}"
        if error.status is RPCStatusCode.PERMISSION_DENIED:
            raise NeedsPersonError(tried, answered, "let the worker list and describe workflows, then retry") from error
        raise TransientError(tried, answered) from error
    return None


async def _first_run_of(client: Client, workflow_id: str, run_id: str) -> str | None:
    """The id of the first run of a run's chain; none where Temporal has forgotten the run."""
    execution = WorkflowRun(workflow_id=workflow_id, run_id=run_id)
    request = DescribeWorkflowExecutionRequest(namespace=client.namespace, execution=execution)
    try:
        # Not by the SDK's own description, which knows no paused workflows.
        found = await client.workflow_service.describe_workflow_execution(request, retry=True)
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return None
        raise
    return found.workflow_execution_info.first_run_id
