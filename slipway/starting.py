"""Starts a promotion, once for each app and digest."""

from __future__ import annotations

from temporalio.client import Client, WorkflowHandle
from temporalio.common import SearchAttributePair, TypedSearchAttributes, WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError

from slipway import search_attributes as attributes
from slipway.messages import TASK_QUEUE, Message, PromotionRequest, PromotionStatus, Receipt, StageName
from slipway.temporal import PROMOTION

Handle = WorkflowHandle[object, PromotionStatus]


async def start_promotion(client: Client, request: PromotionRequest, task_queue: str = TASK_QUEUE) -> tuple[Handle, bool]:
    """Start the promotion, or find it: the same app and digest have the same workflow id, for ever.

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


async def tell(handle: Handle, name: str, command: Message) -> Receipt:
    """Send an update, as `approve`, and wait for its receipt.

    Raises:
        WorkflowUpdateFailedError: It was refused; the cause says why, and what would be right.
    """
    return await handle.execute_update(name, command, result_type=Receipt)  # pyright: ignore[reportUnknownMemberType] -- the SDK's own type is partial
