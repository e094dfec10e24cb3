"""Reads a promotion: its status, its evidence, and the live progress of what it waits for."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from temporalio.api.failure.v1 import Failure
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.client import Client, WorkflowExecutionDescription, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from slipway.api import Evidence, PromotionStatus
from slipway.errors import NeedsPersonError, RefusedError
from slipway.evidence_hash import hash_of, sha256_of
from slipway.temporal import search_attributes as attributes
from slipway.temporal.connect import PROMOTION
from slipway.temporal.runs import is_running, recorded_state
from slipway.temporal.start import Handle, promotion

QUERY_TIMEOUT = timedelta(seconds=10)
"""How long a look waits for the worker, and for Temporal."""


class NoWorkerError(NeedsPersonError):
    """No worker answers for a promotion that is not over."""


@dataclass(frozen=True)
class Snapshot:
    """A promotion at one moment."""

    status: PromotionStatus
    progress: tuple[str, ...] = ()


@dataclass(frozen=True)
class Opened:
    """A promotion that can take a command."""

    handle: Handle
    run: str
    """The first of its runs."""
    namespace: str
    status: PromotionStatus


@dataclass(frozen=True)
class FoundEvidence:
    """Evidence as a promotion answered it."""

    document: dict[str, Any]
    """All of it, with members that this version does not know."""

    @property
    def evidence(self) -> Evidence:
        """What this version knows of it."""
        return Evidence.model_validate(self.document)

    @property
    def computed(self) -> str:
        """The hash, computed here from the document."""
        return hash_of(self.document)

    @property
    def sha256(self) -> str:
        """The whole checksum, computed here from the document."""
        return sha256_of(self.document)

    def check(self) -> None:
        """Compare the hash that the evidence names with the one computed here.

        Raises:
            NeedsPersonError: They differ.
        """
        named = self.evidence.hash
        if named != self.computed:
            raise NeedsPersonError(
                "computing the hash of the evidence",
                f"the evidence names the hash {named}, but what is shown has the hash {self.computed}",
                "do not decide on it: it was changed, or another release of Slipway gathered it; ask who runs the worker",
            )


async def describe(client: Client, promotion_id: str) -> WorkflowExecutionDescription:
    """What Temporal itself knows of a promotion.

    Raises:
        RefusedError: The id is that of another workflow.
        RPCError: There is no such workflow.
    """
    description = await promotion(client, promotion_id).describe(rpc_timeout=QUERY_TIMEOUT)
    if description.workflow_type == PROMOTION:
        return description
    tried, parent = f"looking for the promotion {promotion_id}", description.parent_id
    if parent:
        raise RefusedError(tried, f"that is the rollout of {parent}", f"use the promotion's id: slipway status {parent}")
    answered = f"that is no promotion, but a workflow of the type {description.workflow_type}"
    raise RefusedError(tried, answered, "`slipway list` shows all promotions")


async def open_promotion(client: Client, promotion_id: str) -> Handle:
    """A promotion that can take a command.

    Raises:
        RefusedError: It is over, or the id is that of another workflow.
        RPCError: There is no such workflow.
    """
    await _describe_open(client, promotion_id)
    return promotion(client, promotion_id)


async def open_with_status(client: Client, promotion_id: str) -> Opened:
    """A promotion that can take a command, and what it is.

    Raises:
        RefusedError: It is over, or the id is that of another workflow.
        NoWorkerError: No worker answers.
        RPCError: There is no such workflow.
    """
    description = await _describe_open(client, promotion_id)
    handle = promotion(client, promotion_id)
    run = description.raw_description.workflow_execution_info.first_run_id or description.run_id
    return Opened(handle, run, client.namespace, await _query(handle, description))


async def _describe_open(client: Client, promotion_id: str) -> WorkflowExecutionDescription:
    description = await describe(client, promotion_id)
    if not is_running(description):
        raise RefusedError(
            f"sending a command to {promotion_id}",
            f"this promotion has already finished ({recorded_state(description)})",
            f"`slipway status {promotion_id}` shows how it ended",
        )
    return description


async def read(client: Client, promotion_id: str) -> Snapshot:
    """Look at a promotion. One that is over needs no worker.

    Raises:
        NoWorkerError: No worker answers.
        SlipwayError: Its workflow was ended from outside, or is no promotion.
        RPCError: There is no such promotion.
    """
    description = await describe(client, promotion_id)
    handle = promotion(client, promotion_id)
    if is_running(description):
        pending = list(description.raw_description.pending_activities)
        for child in description.raw_description.pending_children:
            pending += await _pending(client, child.workflow_id)
        return Snapshot(await _query(handle, description), tuple(progress_of(pending)))
    if description.status is WorkflowExecutionStatus.COMPLETED:
        return Snapshot(await handle.result())
    raise NeedsPersonError(
        f"reading the promotion {promotion_id}",
        f"its workflow is {recorded_state(description)}: it was ended from outside, and nothing was undone",
        f"bring it back, to go on or to abort it: temporal workflow reset --workflow-id {promotion_id} --type LastWorkflowTask "
        "--reason …; or start the next attempt with `slipway start --again`",
    )


async def read_evidence(client: Client, promotion_id: str) -> FoundEvidence:
    """What an approver looks at, or looked at. A worker reads it from the promotion's history, also after the end.

    Raises:
        RefusedError: There is none.
        NoWorkerError: No worker answers.
    """
    handle = promotion(client, promotion_id)
    status = await _query(handle, await describe(client, promotion_id))
    return required(status, await query_evidence(handle))


async def query_evidence(handle: Handle) -> FoundEvidence | None:
    """The evidence, if there is any."""
    document = await handle.query("evidence", result_type=dict[str, Any] | None, rpc_timeout=QUERY_TIMEOUT)  # pyright: ignore[reportArgumentType] -- any type that pydantic knows is right
    return None if document is None else FoundEvidence(document)


def required(status: PromotionStatus, found: FoundEvidence | None) -> FoundEvidence:
    """Evidence that must be there.

    Raises:
        RefusedError: There is none; the error says where the promotion is.
    """
    if found is None:
        raise _without_evidence(status)
    return found


def _without_evidence(status: PromotionStatus) -> RefusedError:
    tried = f"reading the evidence of {status.id}"
    if status.outcome:
        answered = f"there is none: the promotion ended before its model was judged ({status.outcome})"
        return RefusedError(tried, answered, f"`slipway status {status.id}` shows how it ended")
    stage = next((stage for stage in status.stages if stage.started_at and not stage.ended_at), status.stages[0])
    answered = f"there is none yet: it is at {stage.name} ({stage.state})"
    return RefusedError(tried, answered, f"`slipway watch {status.id}` shows when it is time to decide")


async def _query(handle: Handle, description: WorkflowExecutionDescription) -> PromotionStatus:
    try:
        return await handle.query("status", result_type=PromotionStatus, rpc_timeout=QUERY_TIMEOUT)
    except RPCError as error:
        if error.status in {RPCStatusCode.NOT_FOUND, RPCStatusCode.UNAVAILABLE}:
            raise
        raise NoWorkerError(
            f"asking the promotion {handle.id}",
            f"no worker answers; {_recorded(description)}",
            f"start a worker (`slipway-worker`) for the task queue {description.task_queue}",
        ) from error


def _recorded(description: WorkflowExecutionDescription) -> str:
    """Where a promotion is, where no worker can say it."""
    state = recorded_state(description)
    if not is_running(description):
        return f"the promotion has finished ({state}), and only a worker can read its evidence from its history"
    stage = description.typed_search_attributes.get(attributes.STAGE)
    return f"by Temporal's record it is at {stage or 'its start'} ({state})"


async def _pending(client: Client, workflow_id: str) -> list[PendingActivityInfo]:
    try:
        description = await client.get_workflow_handle(workflow_id).describe()
    except RPCError:
        return []  # over since
    return list(description.raw_description.pending_activities)


def progress_of(pending: Iterable[PendingActivityInfo]) -> Iterable[str]:
    """One line for each activity that runs: what its heartbeats say, and what its last attempt failed with."""
    for each in pending:
        said = next((describe_progress(payload.data) for payload in each.heartbeat_details.payloads), "")
        attempt = f"attempt {each.attempt}" if each.attempt > 1 else ""
        failed = first_line(each.last_failure) if each.attempt > 1 else ""
        details = [part for part in (said, attempt, f"after {failed}" if failed else "") if part]
        yield f"{each.activity_type.name}: {' '.join(details)}" if details else each.activity_type.name


def first_line(failure: Failure) -> str:
    """The first line of what an attempt failed with. Temporal keeps one that is too large as the cause of its own, cut."""
    while failure.HasField("server_failure_info") and failure.HasField("cause"):
        failure = failure.cause
    return failure.message.partition("\n")[0]


def describe_progress(heartbeat: bytes) -> str:
    """A heartbeat of slipway/progress.py in one line, as far as this version knows what the worker's says."""
    try:
        return _described(json.loads(heartbeat or b"{}"))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return ""


def _described(details: dict[str, Any]) -> str:
    parts = [str(details["status"])] if details.get("status") else []
    parts += [f"{step['name']} {step['status']}" for step in details.get("steps", ())]
    parts += [f"{container['name']} {container['status']}" for container in details.get("containers", ())]
    for variant in details.get("variants", ()):
        weight = f" {variant['weight']:g}" if variant.get("weight") is not None else ""
        parts.append(f"{variant['name']}{weight} {variant.get('status', '')}".strip())
    if details.get("copied_bytes"):
        parts.append(f"{details['copied_bytes'] / 1e6:.1f} MB copied")
    return ", ".join(parts)
