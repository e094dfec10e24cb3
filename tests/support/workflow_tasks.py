"""Which workflow tasks failed, and why: a promotion whose tasks fail again and again can be neither decided nor aborted."""

from __future__ import annotations

from temporalio.api.enums.v1 import EventType, WorkflowTaskFailedCause
from temporalio.client import WorkflowHistory

from slipway.temporal.queries import TOO_SLOW


def failed_tasks(history: WorkflowHistory) -> list[str]:
    """Why each task failed. Two causes say nothing of the workflow, and its next task repairs them.

    An event came while the task ended the run, and the server has the task done again. Or the machine was so busy that the SDK
    took the task for one that does not yield, once; a task that really does not yield fails again.
    """
    failed = [event for event in history.events if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED]
    attributes = [event.workflow_task_failed_event_attributes for event in failed]
    told = [
        f"{WorkflowTaskFailedCause.Name(each.cause)}: {each.failure.message}"
        for each in attributes
        if each.cause != WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND
    ]
    return [] if len(told) == 1 and TOO_SLOW in told[0] else told
