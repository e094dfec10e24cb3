"""Promotions as Temporal's server knows them. What a workflow says of itself is not believed: anybody may run one of any type."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from temporalio import activity
from temporalio.client import WorkflowExecutionDescription, WorkflowExecutionStatus, WorkflowHandle
from temporalio.service import RPCError, RPCStatusCode

from slipway.api import Evidence
from slipway.decisions.command import Delivery
from slipway.errors import ChangedSinceApprovalError, NeedsPersonError, TransientError
from slipway.evidence_hash import HASH_DIGITS, sha256_of
from slipway.temporal.connect import PROMOTION
from slipway.temporal.principals import payload_sha256, principal_of

ANSWERS_WITHIN = timedelta(seconds=10)
_KEPT = 64
_START = "start a promotion with `slipway start`"
_evidence: dict[str, Evidence] = {}


async def first_run_of(promotion_id: str) -> str:
    """The run id of the first run of a promotion that is running. No other start under its id has the same.

    Raises:
        NeedsPersonError: There is no such promotion, or it is over.
        TransientError: Temporal does not answer.
    """
    found = await _describe(promotion_id)
    if found.workflow_type != PROMOTION or found.status is not WorkflowExecutionStatus.RUNNING:
        status = found.status.name.lower() if found.status else "unknown"
        answered = f"it is a workflow of the type {found.workflow_type} that is {status}"
        raise NeedsPersonError(_looking(promotion_id), answered, _START)
    return _first_run(found)


async def is_run_of(promotion_id: str, run: str, first_run: str) -> bool:
    """Whether a run is one of those that began with the first run."""
    return _first_run(await _describe(promotion_id, run)) == first_run


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
    if checksum not in _evidence:
        document = await _query(promotion_id)
        found = sha256_of(document) if document else ""
        if not document or len(checksum) < HASH_DIGITS or not found.startswith(checksum):
            raise ChangedSinceApprovalError(
                f"looking for the evidence {checksum[:HASH_DIGITS]} of {promotion_id}",
                f"the promotion's evidence is {found[:HASH_DIGITS] or 'none'}",
                "retry asks the approvers again, on the evidence as it is then",
            )
        while len(_evidence) >= _KEPT:
            del _evidence[next(iter(_evidence))]
        _evidence[checksum] = Evidence.model_validate(document)
    return _evidence[checksum]


async def _query(promotion_id: str) -> dict[str, Any] | None:
    try:
        return await _handle(promotion_id).query(
            "evidence",
            result_type=dict[str, Any] | None,  # pyright: ignore[reportArgumentType] -- any type that pydantic knows is right
            rpc_timeout=ANSWERS_WITHIN,
        )
    except RPCError as error:
        raise TransientError(f"asking {promotion_id} for its evidence", error.message) from error


async def _describe(promotion_id: str, run: str | None = None) -> WorkflowExecutionDescription:
    try:
        return await _handle(promotion_id, run).describe(rpc_timeout=ANSWERS_WITHIN)
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise TransientError(_looking(promotion_id), error.message) from error
        raise NeedsPersonError(_looking(promotion_id), "Temporal knows no such workflow", _START) from error


def _first_run(found: WorkflowExecutionDescription) -> str:
    return found.raw_description.workflow_execution_info.first_run_id


def _looking(promotion_id: str) -> str:
    return f"looking for the running promotion {promotion_id}"


def _handle(promotion_id: str, run: str | None = None) -> WorkflowHandle[Any, Any]:
    return activity.client().get_workflow_handle(promotion_id, run_id=run)
