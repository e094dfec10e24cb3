"""What a person sends to a promotion: a plain decision or operator command, or the same as a document that the person signed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from slipway.api import DOCUMENT_LIMIT, SIGNATURE_LIMIT, Decision, OperatorCommand, SignedCommand, StageName
    from slipway.decisions.command import Command, Kind
    from slipway.decisions.document import parse_document
    from slipway.errors import RefusedError
    from slipway.evidence_hash import HASH_DIGITS

from workflows.payloads import read, refusal

DECISIONS: frozenset[Kind] = frozenset({"approve", "reject"})
"""The kinds that are about evidence."""
SIGNED_LIMIT = 2 * (DOCUMENT_LIMIT + SIGNATURE_LIMIT)
"""Bytes of a signed command as JSON: quotes in the document are escaped there."""


def read_command(kind: Kind, payloads: Sequence[Any], extra: Literal["forbid", "ignore"] = "ignore") -> Command:
    """The command that somebody sent.

    Args:
        kind: What it was sent as.
        payloads: All of it.
        extra: Whether unknown members are an error.

    Raises:
        ApplicationError: It cannot be read, or its document says something else.
    """
    if _is_signed(payloads):
        return _of_signed(kind, read(payloads, SignedCommand, limit=SIGNED_LIMIT, extra=extra))
    if kind in DECISIONS:
        decision = read(payloads, Decision, extra=extra)
        return Command(kind=kind, by=decision.by, evidence=decision.evidence, reason=decision.reason)
    command = read(payloads, OperatorCommand, extra=extra)
    return Command(
        kind=kind,
        by=command.by,
        reason=command.reason,
        execution=command.execution,
        package=command.package,
        task=command.task,
    )


def objection_to_names(command: Command, stage: StageName, *, by_piped: bool) -> str | None:
    """Why a task, an execution or a package cannot be named now.

    Args:
        command: What somebody wants.
        stage: The stage that is parked.
        by_piped: Whether piped runs the promotion's task.
    """
    if command.task and (not by_piped or stage is not StageName.task):
        return f"a task is named where piped runs it and the task stage is parked, and it is the {stage} stage that is"
    if not (command.execution or command.package):
        return None
    if stage is not StageName.pipeline:
        return f"an execution and a package are named where the pipeline stage is parked, and it is the {stage} stage that is"
    if command.execution and command.package:
        return "name the execution or the package, not both: the package of a named execution is looked for"
    return None


def objection_to_names_undoing(command: Command, execution: str) -> str | None:
    """Why a task, an execution or a package cannot be named while the effects are being undone.

    Args:
        command: What was sent.
        execution: The ARN of the promotion's execution; empty while it is not known.
    """
    if command.task:
        return "a task is named where the task stage is parked, and the effects are being undone"
    if command.package:
        return "a package is named where the pipeline stage is parked, and the effects are being undone"
    if command.execution and execution:
        return f"the execution to stop is known: {execution}"
    return None


def _is_signed(payloads: Sequence[Any]) -> bool:
    return len(payloads) == 1 and isinstance(payloads[0], dict) and "document" in payloads[0]


def _of_signed(kind: Kind, signed: SignedCommand) -> Command:
    try:
        document = parse_document(signed.document)
    except RefusedError as error:
        raise refusal(f"the document cannot be read: {error.report.answered}") from None
    if document.kind != kind:
        raise refusal(f"the document says {document.kind}, and it was sent as {kind}")
    return Command(
        kind=kind,
        by=document.by,
        evidence=document.evidence[:HASH_DIGITS],
        reason=document.reason,
        execution=document.use_execution,
        package=document.use_package,
        task=document.use_task,
        document=document,
        signed=signed,
    )
