"""Starts a promotion, once for each app and digest, and sends commands to it."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import TypedDict

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client, WorkflowExecutionDescription, WorkflowHandle, WorkflowUpdateRPCTimeoutOrCancelledError
from temporalio.common import (
    Priority,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from slipway.api import TASK_QUEUE, Message, PromotionRequest, PromotionStatus, Receipt, StageName
from slipway.errors import NeedsPersonError
from slipway.git.rules import app_file, normalise_url
from slipway.names import short_hash
from slipway.temporal import search_attributes as attributes
from slipway.temporal.connect import PROMOTION
from slipway.temporal.search_attributes import State
from slipway.text import code_span, markdown, one_line

Handle = WorkflowHandle[object, PromotionStatus]
ANSWERS_WITHIN = timedelta(seconds=15)
"""How long a command waits for the worker; one that runs answers within a second."""
POLL_WITHIN = timedelta(seconds=75)
"""A worker asks for work for a minute, then asks again: one that has not asked for longer is gone."""
APPEARS_WITHIN, LOOK_EVERY = 2.0, 0.2
"""Seconds in which a worker that has just started is seen to ask for work, and seconds between two looks."""


async def start_promotion(client: Client, request: PromotionRequest, task_queue: str = TASK_QUEUE) -> tuple[Handle, bool]:
    """Start the promotion, or find it: the same app and digest have the same workflow id.

    Temporal knows an id as long as it keeps the history: until the namespace's retention is over, counted from the promotion's
    end. A start after that makes a new promotion, which finds most of its effects there already.

    The conflict policy is FAIL rather than USE_EXISTING, which would not tell whether this call was the one that started it.

    Returns:
        The promotion's handle, and whether it is new.
    """
    promotion_id = request.promotion_id
    try:
        await client.start_workflow(
            PROMOTION,
            request,
            id=promotion_id,
            task_queue=task_queue,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
            **how_to_start(request),
        )
    except WorkflowAlreadyStartedError:
        return promotion(client, promotion_id), False
    return promotion(client, promotion_id), True


class Start(TypedDict):
    """What each start of a promotion says, whoever it is by."""

    static_summary: str
    static_details: str
    priority: Priority
    search_attributes: TypedSearchAttributes


def how_to_start(request: PromotionRequest, *details: str) -> Start:
    """What a start of a promotion says beside its request.

    Args:
        request: The request.
        details: More lines of Markdown; empty ones are left out.
    """
    what = request.rollback.reason if request.rollback else request.image
    commit = f"commit {code_span(request.commit or 'unknown')} into {code_span(request.app.repository)}"
    return Start(
        static_summary=one_line(
            f"{request.app.folder} {request.digest[:19] or 'rollback'}, requested by {request.requested_by} (claimed)"
        ),
        static_details="\n\n".join(line for line in (markdown(what), commit, *details) if line),
        # The promotion's activities and rollouts inherit it, so that a server with fairness serves the apps in turn.
        priority=Priority(fairness_key=fairness_key(request)),
        search_attributes=TypedSearchAttributes(
            [
                SearchAttributePair(attributes.APP, request.slug),
                SearchAttributePair(attributes.DIGEST, digest_shown(request)),
                SearchAttributePair(attributes.STAGE, StageName.image.value),
                SearchAttributePair(attributes.STATE, State.running.value),
            ]
        ),
    )


def promotion(client: Client, promotion_id: str) -> Handle:
    """A promotion by its id."""
    return client.get_workflow_handle(promotion_id, result_type=PromotionStatus)


def digest_shown(request: PromotionRequest) -> str:
    """What is searchable as the digest: for a rollback, which has none, the id of the first attempt."""
    return request.digest or attempt_of(request, 1).promotion_id


def attempt_of(request: PromotionRequest, attempt: int) -> PromotionRequest:
    """The same request as another attempt."""
    return request.model_copy(update={"attempt": attempt})


def fairness_key(request: PromotionRequest) -> str:
    """What all promotions of an application share, and no other application has: at most 64 bytes."""
    app = request.app
    return f"{request.slug}-{short_hash('app', 1, normalise_url(app.repository), app.branch, app_file(app.folder))}"


async def find_latest(client: Client, request: PromotionRequest) -> tuple[int, WorkflowExecutionDescription] | None:
    """The newest attempt at a promotion of this app and digest, and what Temporal knows of it; none where there is none.

    The list is a moment late and knows each attempt, even where the first ones are forgotten; a look at one id is never late.
    """
    first = attempt_of(request, 1).promotion_id
    query = f"WorkflowType = '{PROMOTION}' AND {attributes.DIGEST.name} = '{digest_shown(request)}'"
    listed = [_attempt_in(found.id, first) async for found in client.list_workflows(query)]
    attempt = max(listed, default=0)
    latest = await _describe(client, attempt_of(request, attempt).promotion_id) if attempt else None
    while following := await _describe(client, attempt_of(request, attempt + 1).promotion_id):
        attempt, latest = attempt + 1, following
    return (attempt, latest) if latest else None


def _attempt_in(promotion_id: str, first: str) -> int:
    """Which attempt an id is of; 0 where it is of another app."""
    if promotion_id == first:
        return 1
    number = promotion_id.removeprefix(f"{first}-")
    return int(number) if number.isdecimal() else 0


async def _describe(client: Client, promotion_id: str) -> WorkflowExecutionDescription | None:
    try:
        return await promotion(client, promotion_id).describe()
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND or "namespace" in error.message.lower():
            raise
        return None


async def has_worker(client: Client, task_queue: str) -> bool:
    """Whether a worker asks for work of a task queue, now or in a moment. True also where Temporal does not say."""
    deadline = time.monotonic() + APPEARS_WITHIN
    while not await _is_polled(client, task_queue):
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(LOOK_EVERY)
    return True


async def _is_polled(client: Client, task_queue: str) -> bool:
    request = DescribeTaskQueueRequest(
        namespace=client.namespace,
        task_queue=TaskQueue(name=task_queue),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
    )
    try:
        answer = await client.workflow_service.describe_task_queue(request)
    except RPCError:
        return True
    earliest = datetime.now(UTC) - POLL_WITHIN
    return any(poller.last_access_time.ToDatetime(UTC) > earliest for poller in answer.pollers)


async def send_update(handle: Handle, name: str, command: Message, within: timedelta = ANSWERS_WITHIN) -> Receipt:
    """Send an update, as `approve`, and wait for its receipt.

    Raises:
        WorkflowUpdateFailedError: It was refused; the cause says why, and what would be right.
        NeedsPersonError: No worker answered in time. Temporal may still hand the command to one that starts soon.
    """
    try:
        return await handle.execute_update(name, command, result_type=Receipt, rpc_timeout=within)  # pyright: ignore[reportUnknownMemberType] -- the SDK's own type is partial
    except WorkflowUpdateRPCTimeoutOrCancelledError as error:
        if isinstance(error.__cause__, asyncio.CancelledError):
            raise error.__cause__ from None  # Ctrl-C, which the SDK makes no difference from a timeout
        raise NeedsPersonError(
            f"sending {name} to the promotion {handle.id}",
            f"no worker answered within {within.total_seconds():.0f} s: is one running?",
            f"start a worker (`slipway-worker`) for its task queue; then check with `slipway status {handle.id}` whether the "
            f"{name} arrived after all, and repeat the command if it did not",
        ) from error
