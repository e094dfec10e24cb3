"""Reads a promotion: its status, and the live progress of what it waits for."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from temporalio.api.failure.v1 import Failure
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from slipway.api import Evidence, PromotionStatus
from slipway.errors import NeedsPersonError
from slipway.temporal.start import Handle, promotion

QUERY_TIMEOUT = timedelta(seconds=10)
_RUNNING = {WorkflowExecutionStatus.RUNNING, None}


class Glance:
    """A promotion at one moment."""

    def __init__(self, status: PromotionStatus, progress: tuple[str, ...]) -> None:
        self.status = status
        self.progress = progress


async def read(client: Client, promotion_id: str) -> Glance:
    """Look at a promotion. One that is over needs no worker.

    Raises:
        SlipwayError: Its workflow was ended from outside, or no worker answers.
        RPCError: There is no such promotion.
    """
    handle = promotion(client, promotion_id)
    description = await handle.describe()
    if description.status in _RUNNING:
        pending = list(description.raw_description.pending_activities)
        for child in description.raw_description.pending_children:
            pending += await _pending(client, child.workflow_id)
        return Glance(await _query(handle), tuple(progress_of(pending)))
    if description.status is WorkflowExecutionStatus.COMPLETED:
        return Glance(await handle.result(), ())
    ended = description.status.name if description.status else "gone"
    raise NeedsPersonError(
        f"reading the promotion {promotion_id}",
        f"its workflow is {ended}: it was ended from outside, and undid nothing",
        "see its history in the Temporal UI for what it did; start a new one with --attempt",
    )


async def read_evidence(handle: Handle) -> Evidence:
    """What an approver looks at.

    Raises:
        NeedsPersonError: There is none yet, or nothing is left to decide, or no worker answers.
    """
    status = await _query(handle)
    if status.outcome:
        raise NeedsPersonError(
            f"reading the evidence of {handle.id}",
            f"there is nothing to decide any more: it is {status.outcome}",
            f"`slipway status {handle.id}` shows how it went",
        )
    evidence = await handle.query("evidence", result_type=Evidence | None, rpc_timeout=QUERY_TIMEOUT)  # pyright: ignore[reportArgumentType] -- any type that pydantic knows is right
    if evidence is None:
        stage = next((stage for stage in status.stages if stage.started_at and not stage.ended_at), status.stages[0])
        raise NeedsPersonError(
            f"reading the evidence of {handle.id}",
            f"there is none yet: it is at {stage.name} ({stage.state})",
            f"`slipway watch {handle.id}` shows when it is time to decide",
        )
    return evidence


async def _query(handle: Handle) -> PromotionStatus:
    try:
        return await handle.query("status", result_type=PromotionStatus, rpc_timeout=QUERY_TIMEOUT)
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            raise
        raise NeedsPersonError(
            f"asking the promotion {handle.id}", "no worker answered", "start a worker (`slipway-worker`) for its task queue"
        ) from error


async def _pending(client: Client, workflow_id: str) -> list[PendingActivityInfo]:
    try:
        description = await client.get_workflow_handle(workflow_id).describe()
    except RPCError:
        return []  # over since
    return list(description.raw_description.pending_activities)


def progress_of(pending: Iterable[PendingActivityInfo]) -> Iterable[str]:
    """One line for each activity that runs: what its heartbeats tell, and what its last try failed with."""
    for each in pending:
        told = next((describe_progress(payload.data) for payload in each.heartbeat_details.payloads), "")
        tries = f"attempt {each.attempt}" if each.attempt > 1 else ""
        said = said_by(each.last_failure) if each.attempt > 1 else ""
        failed = f"after {said}" if said else ""
        yield " ".join(part for part in (f"{each.activity_type.name}:", told, tries, failed) if part)


def said_by(failure: Failure) -> str:
    """The first line of what a try failed with. Temporal keeps one that is too large as the cause of its own, cut."""
    while failure.HasField("server_failure_info") and failure.HasField("cause"):
        failure = failure.cause
    return failure.message.partition("\n")[0]


def describe_progress(heartbeat: bytes) -> str:
    """A heartbeat of slipway/progress.py in one line; members that this version does not know are left out."""
    details: dict[str, Any] = json.loads(heartbeat or b"{}")
    parts = [str(details["status"])] if details.get("status") else []
    parts += [f"{step['name']} {step['status']}" for step in details.get("steps", ())]
    parts += [f"{container['name']} {container['status']}" for container in details.get("containers", ())]
    for variant in details.get("variants", ()):
        weight = f" {variant['weight']:g}" if variant.get("weight") is not None else ""
        parts.append(f"{variant['name']}{weight} {variant.get('status', '')}".strip())
    if details.get("total_bytes"):
        parts.append(f"{details['copied_bytes'] / 1e6:.1f} of {details['total_bytes'] / 1e6:.1f} MB")
    return ", ".join(parts)
