"""Starts a promotion, once for each app and digest."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from temporalio.client import Client, WorkflowHandle, WorkflowUpdateRPCTimeoutOrCancelledError
from temporalio.common import SearchAttributePair, TypedSearchAttributes, WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError

from slipway.api import TASK_QUEUE, Message, PromotionRequest, PromotionStatus, Receipt, StageName
from slipway.errors import NeedsPersonError
from slipway.temporal import search_attributes as attributes
from slipway.temporal.connect import PROMOTION

Handle = WorkflowHandle[object, PromotionStatus]
ANSWERS_WITHIN = timedelta(seconds=15)
"""How long a command waits for the worker; one that runs answers within a second."""


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
            static_summary=f"{request.app.folder} {request.digest[:19]}, asked for by {request.requested_by}",
            static_details=f"{request.image}\n\ncommit `{request.commit or 'unknown'}` into `{request.app.repository}`",
            search_attributes=TypedSearchAttributes(
                [
                    SearchAttributePair(attributes.APP, promotion_id.rpartition("-")[0]),
                    SearchAttributePair(attributes.DIGEST, request.digest),
                    SearchAttributePair(attributes.STAGE, StageName.image.value),
                    SearchAttributePair(attributes.STATE, "running"),
                ]
            ),
        )
    except WorkflowAlreadyStartedError:
        return promotion(client, promotion_id), False
    return promotion(client, promotion_id), True


def promotion(client: Client, promotion_id: str) -> Handle:
    """A promotion by its id."""
    return client.get_workflow_handle(promotion_id, result_type=PromotionStatus)


async def tell(handle: Handle, name: str, command: Message, within: timedelta = ANSWERS_WITHIN) -> Receipt:
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
            f"telling the promotion {handle.id} to {name}",
            f"no worker answered within {within.total_seconds():.0f} s: is one running?",
            f"start a worker (`slipway-worker`) for its task queue, see by `slipway status {handle.id}` whether it took the "
            f"{name} after all, and repeat the command if it did not",
        ) from error
