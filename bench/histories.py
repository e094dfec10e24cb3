"""What a promotion leaves in Temporal: its own history, and that of each of its rollouts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WorkflowHandle


async def histories(client: Client, promotion: WorkflowHandle[Any, Any]) -> list[Sequence[HistoryEvent]]:
    """The promotion's events, then those of its children in the order in which they were started."""
    parent = (await promotion.fetch_history()).events
    started = [
        event.child_workflow_execution_started_event_attributes.workflow_execution.workflow_id
        for event in parent
        if event.HasField("child_workflow_execution_started_event_attributes")
    ]
    return [parent, *[(await client.get_workflow_handle(child).fetch_history()).events for child in started]]


def size_of(found: Sequence[Sequence[HistoryEvent]]) -> dict[str, float]:
    """Events and bytes of all these histories together."""
    events = [event for history in found for event in history]
    return {"history_events": len(events), "history_bytes": sum(event.ByteSize() for event in events)}
