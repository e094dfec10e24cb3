"""Who sent a signal, by what the server wrote on its event.

A server with an authorizer, and with `frontend.enablePrincipalPropagation`, stamps the caller of each API on the events that
the call writes. A signal's event is written by its sender's call. An update leaves no event of its sender's: what tells of it
is written by the worker's answer, and carries the worker's principal. So an update has a principal only through a signal that
announces it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterable, AsyncIterator
from typing import Any

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType, WorkflowTaskFailedCause
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflowservice.v1 import GetWorkflowExecutionHistoryReverseRequest
from temporalio.client import Client
from temporalio.common import RawValue
from temporalio.converter import DataConverter

from slipway.people import same_person
from slipway.temporal.answers import explained

EVENTS_READ = 1_000
"""How many events are looked at, from the end."""
_PAGE = 250


def payload_sha256(*payloads: Any) -> str:
    """The checksum of what a signal carries, as a handler without types gets it; "" where that is no JSON.

    Both sides compute it from the decoded values, so spaces and the order of members do not count.
    """
    if any(isinstance(payload, RawValue) for payload in payloads):
        return ""
    try:
        canonical = json.dumps(payloads, sort_keys=True, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError):
        return ""
    return hashlib.sha256(canonical.encode()).hexdigest()


async def principal_of(
    client: Client, workflow_id: str, run_id: str, *, signal: str, sha256: str, upto: int | None = None, limit: int = EVENTS_READ
) -> str:
    """The principal that the server stamped on a signal, as `jwt:ana`.

    Args:
        client: May read the history.
        workflow_id: The workflow that got the signal.
        run_id: Its run that got it.
        signal: The signal's name.
        sha256: The checksum of its payloads, by `payload_sha256`.
        upto: The history's length when the signal was handled: what came later does not count.
        limit: How many events to look at, from the end.

    Returns:
        The principal. "" where there is none: the server stamps none, the signal is not among the events looked at, it was
        sent before a reset, or different principals sent the same.

    Raises:
        TransientError: Temporal did not answer.
        NeedsPersonError: The worker may not read the history, or there is no such run.
    """
    events = _backwards(client, workflow_id, run_id, limit)
    with explained(f"looking for who sent the signal {signal} to {workflow_id}"):
        return await principal_among(events, client.data_converter, signal=signal, sha256=sha256, upto=upto)


async def principal_among(
    events: AsyncIterable[HistoryEvent], converter: DataConverter, *, signal: str, sha256: str, upto: int | None = None
) -> str:
    """The principal of a signal among these events, the last one first, as `principal_of` tells it."""
    if not sha256:
        return ""
    found: set[str] = set()
    since_task: set[str] = set()
    async for event in events:
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED:
            found |= since_task
            since_task = set()
        elif _is_reset(event):
            since_task = set()
        elif upto is None or event.event_id <= upto:
            signaled = event.workflow_execution_signaled_event_attributes
            if signaled.signal_name == signal and sha256 == payload_sha256(*await converter.decode(signaled.input.payloads)):
                since_task.add(_name_of(event))
    found |= since_task
    return found.pop() if len(found) == 1 else ""


def _is_reset(event: HistoryEvent) -> bool:
    """Whether signals follow that are older than a reset: the server writes them again, with whoever reset as their principal."""
    cause = event.workflow_task_failed_event_attributes.cause
    return cause == WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW


def is_of(principal: str, name: str) -> bool:
    """Whether a principal, as `jwt:ana`, is the person of this name."""
    kind, _, subject = principal.partition(":")
    # The server's own calls, too, have a principal.
    return kind != "temporal" and bool(subject) and same_person(subject, name)


async def _backwards(client: Client, workflow_id: str, run_id: str, limit: int) -> AsyncIterator[HistoryEvent]:
    request = GetWorkflowExecutionHistoryReverseRequest(
        namespace=client.namespace,
        execution=WorkflowExecution(workflow_id=workflow_id, run_id=run_id),
        maximum_page_size=min(_PAGE, limit),
    )
    while limit > 0:
        page = await client.workflow_service.get_workflow_execution_history_reverse(request, retry=True)
        for event in page.history.events[:limit]:
            yield event
        limit -= len(page.history.events)
        request.next_page_token = page.next_page_token
        if not page.next_page_token:
            return


def _name_of(event: HistoryEvent) -> str:
    stamped = event.principal
    return f"{stamped.type}:{stamped.name}" if stamped.name else ""
