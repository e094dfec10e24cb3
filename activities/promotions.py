"""Promotions as Temporal's server knows them. What a workflow says of itself is not believed: anybody may run one of any type."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from temporalio import activity
from temporalio.api.enums.v1 import WorkflowExecutionStatus
from temporalio.api.workflow.v1 import WorkflowExecutionInfo

from slipway.api import Evidence
from slipway.decisions.command import Delivery
from slipway.errors import ChangedSinceApprovalError, NeedsPersonError
from slipway.evidence_hash import HASH_DIGITS, sha256_of
from slipway.kept import Kept
from slipway.temporal.answers import explained
from slipway.temporal.connect import PROMOTION
from slipway.temporal.principals import payload_sha256, principal_of
from slipway.temporal.runs import describe_run

ANSWERS_WITHIN = timedelta(seconds=10)
_UNDER_WAY = {
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_RUNNING,
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_PAUSED,
}
_START = "start a promotion with `slipway start`"
_evidence: Kept[tuple[str, str], Evidence] = Kept(64)
"""By promotion and checksum."""


async def first_run_of(promotion_id: str) -> str:
    """The run id of the first run of a promotion that is running. No other start under its id has the same.

    Raises:
        NeedsPersonError: There is no such promotion, or it is over.
        TransientError: Temporal does not answer.
    """
    found = await _describe(promotion_id)
    if found.type.name != PROMOTION or found.status not in _UNDER_WAY:
        status = WorkflowExecutionStatus.Name(found.status).removeprefix("WORKFLOW_EXECUTION_STATUS_").lower()
        answered = f"it is a workflow of the type {found.type.name} that is {status}"
        raise NeedsPersonError(_looking(promotion_id), answered, _START)
    return found.first_run_id


async def is_run_of(promotion_id: str, run: str, first_run: str) -> bool:
    """Whether a run is one of those that began with the first run."""
    return (await _describe(promotion_id, run)).first_run_id == first_run


async def sender_of(promotion_id: str, sent: Delivery) -> str:
    """Whom Temporal's server names as the sender of a signal; empty where it names nobody."""
    checksum = payload_sha256(sent.payload)
    return await principal_of(activity.client(), promotion_id, sent.run, signal=sent.signal, sha256=checksum, upto=sent.upto)


async def evidence_of(promotion_id: str, checksum: str) -> Evidence:
    """The evidence of a promotion, which has this checksum.

    Args:
        promotion_id: Whose.
        checksum: What people approved: the whole SHA-256, or its first digits where that is what they named.

    Raises:
        ChangedSinceApprovalError: The promotion has other evidence.
        TransientError: No worker answers for it now.
    """
    key = (promotion_id, checksum)
    if key not in _evidence:
        document = await _query(promotion_id)
        found = sha256_of(document) if document else ""
        if not document or len(checksum) < HASH_DIGITS or not found.startswith(checksum):
            raise ChangedSinceApprovalError(
                f"looking for the evidence {checksum[:HASH_DIGITS]} of {promotion_id}",
                f"the promotion's evidence is {found[:HASH_DIGITS] or 'none'}",
                "retry asks the approvers again, on the evidence as it is then",
            )
        # What it names as its checksum is not part of it, and may be anything.
        _evidence[key] = Evidence.model_validate({**document, "sha256": found})
    return _evidence[key]


async def _query(promotion_id: str) -> dict[str, Any] | None:
    with explained(f"asking {promotion_id} for its evidence"):
        return (
            await activity.client()
            .get_workflow_handle(promotion_id)
            .query(
                "evidence",
                result_type=dict[str, Any] | None,  # pyright: ignore[reportArgumentType] -- any type that pydantic knows is right
                rpc_timeout=ANSWERS_WITHIN,
            )
        )


async def _describe(promotion_id: str, run: str = "") -> WorkflowExecutionInfo:
    with explained(_looking(promotion_id)):
        found = await describe_run(activity.client(), promotion_id, run)
    if found is None:
        raise NeedsPersonError(_looking(promotion_id), "Temporal knows no such workflow", _START)
    return found


def _looking(promotion_id: str) -> str:
    return f"looking for the running promotion {promotion_id}"
