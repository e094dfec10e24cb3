"""The runs that Temporal keeps under a promotion's id.

A promotion is a *chain* of runs: each continue-as-new and each reset adds one. All of them have the first run's id.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import NamedTuple

from temporalio.api.common.v1 import WorkflowExecution as WorkflowRun
from temporalio.api.workflow.v1 import WorkflowExecutionInfo
from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionRequest
from temporalio.client import Client, WorkflowExecution, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from slipway.temporal import search_attributes as attributes
from slipway.temporal.answers import explained
from slipway.temporal.connect import PROMOTION

_ENDED = "'Completed', 'Failed', 'Canceled', 'Terminated', 'TimedOut'"
"""How the last run of a chain closes; the others are `ContinuedAsNew`."""
_COMPLETED = "'Completed'"
"""How a promotion closes by itself, whatever its outcome."""


def is_running(description: WorkflowExecution) -> bool:
    """Whether a workflow is not over."""
    return description.status in {WorkflowExecutionStatus.RUNNING, None}


def recorded_state(description: WorkflowExecution) -> str:
    """Where a promotion is by Temporal's own record, as `waiting` or `promoted`; `terminated` where it was ended from outside."""
    if is_running(description) or description.status is WorkflowExecutionStatus.COMPLETED:
        return description.typed_search_attributes.get(attributes.STATE) or "running"
    return description.status.name.lower() if description.status else "gone"


def running_rollouts(slug: str) -> str:
    """The query for the promotions of an application that are at their rollout.

    Args:
        slug: The application's short name, which has letters, digits and hyphens only.
    """
    return (
        f"WorkflowType = '{PROMOTION}' AND {attributes.APP.name} = '{slug}' AND {attributes.STAGE.name} = 'rollout' "
        "AND ExecutionStatus = 'Running'"
    )


class EndedRun(NamedTuple):
    """The end of a promotion."""

    run_id: str
    state: str
    """How it ended (`recorded_state`)."""
    at: datetime | None

    def __str__(self) -> str:
        """As `promoted at 2026-01-02 03:04:05 UTC, run …`."""
        at = f" at {self.at:%Y-%m-%d %H:%M:%S} UTC" if self.at else ""
        return f"{self.state}{at}, run {self.run_id}"


async def find_ended_before(client: Client, workflow_id: str, run_id: str) -> EndedRun | None:
    """The end of an earlier promotion under this id; none where this run's chain is the only one and had no end of its own.

    Temporal lets an id be used again once its workflow is over. A reset of a promotion that ended by itself is one that had its
    end; a reset of one that ran, or that was terminated, goes on. Temporal's list is a moment late: a run that closed less than
    a second ago may be missed.

    Args:
        client: Where to look.
        workflow_id: The promotion's id.
        run_id: The run that asks.

    Raises:
        TransientError: Temporal did not answer.
        NeedsPersonError: The worker may not list workflows.
    """
    with explained(f"looking for earlier runs of {workflow_id}"):
        async for ended in _closed(client, workflow_id, run_id, _ENDED):
            if ended.status is WorkflowExecutionStatus.COMPLETED:
                return _end(ended)
            own = await _first_run_of(client, workflow_id, run_id)
            if await _first_run_of(client, workflow_id, ended.run_id) not in {own, None}:
                return _end(ended)
    return None


async def find_end(client: Client, workflow_id: str, run_id: str) -> EndedRun | None:
    """How a promotion ended by itself in another run than the one that asks; none where it did not.

    Raises:
        TransientError: Temporal did not answer.
        NeedsPersonError: The worker may not list workflows.
    """
    with explained(f"looking for earlier runs of {workflow_id}"):
        async for ended in _closed(client, workflow_id, run_id, _COMPLETED):
            return _end(ended)
    return None


def _closed(client: Client, workflow_id: str, run_id: str, states: str) -> AsyncIterator[WorkflowExecution]:
    query = f"WorkflowId = '{workflow_id}' AND RunId != '{run_id}' AND ExecutionStatus IN ({states})"
    return client.list_workflows(query)


def _end(ended: WorkflowExecution) -> EndedRun:
    return EndedRun(ended.run_id, recorded_state(ended), ended.close_time)


async def describe_run(client: Client, workflow_id: str, run_id: str = "") -> WorkflowExecutionInfo | None:
    """What Temporal knows of a run; none where it does not know it.

    Args:
        client: Where to look.
        workflow_id: The workflow.
        run_id: Its run; empty for the newest.

    Raises:
        RPCError: Temporal did not answer, or the worker may not look.
    """
    execution = WorkflowRun(workflow_id=workflow_id, run_id=run_id)
    request = DescribeWorkflowExecutionRequest(namespace=client.namespace, execution=execution)
    try:
        # Not by the SDK's own description, which knows no paused workflows.
        found = await client.workflow_service.describe_workflow_execution(request, retry=True)
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return None
        raise
    return found.workflow_execution_info


async def _first_run_of(client: Client, workflow_id: str, run_id: str) -> str | None:
    """The id of the first run of a run's chain; none where Temporal has forgotten the run."""
    found = await describe_run(client, workflow_id, run_id)
    return found.first_run_id if found else None
