"""Who sent a decision: what a promotion asks before it takes one."""

from __future__ import annotations

from datetime import UTC, datetime

from temporalio import activity

from activities.approvers import Approvers
from activities.origin import Origin
from activities.promotions import sender_of
from slipway.api import DecisionRecord, IdentityLevel, Message, suffices
from slipway.decisions.command import Command, Delivery
from slipway.decisions.subject import DecisionSubject
from slipway.errors import RefusedError
from slipway.temporal.principals import is_of


class IdentifyPerson(Message):
    """Input of `identify_person`."""

    command: Command
    origin: Origin
    subject: DecisionSubject
    delivery: Delivery | None = None
    """None for an update."""

    @property
    def promotion_id(self) -> str:
        """The promotion that the command was sent to."""
        return self.subject.promotion


class DecisionActivities:
    """The people behind decisions.

    Args:
        approvers: Who may decide, and by which keys.
    """

    def __init__(self, approvers: Approvers) -> None:
        self._approvers = approvers

    @activity.defn
    async def identify_person(self, request: IdentifyPerson) -> DecisionRecord:
        """Finds out whose a command is, and whether that suffices. Reads only.

        Whatever it finds, the activities that put a model into production look at the signatures again.

        Raises:
            RefusedError: The signature is not theirs, they are not an approver any more, or the policy asks for more.
        """
        command = request.command
        if command.kind in {"approve", "reject"}:
            await self._approvers.require_listed(request.origin, command.by)
        record = await self._signed(request) if command.signed else await self._sent(request)
        if command.kind in {"approve", "reject"}:
            await self._require_level(request, record.level)
        return record

    async def _signed(self, request: IdentifyPerson) -> DecisionRecord:
        command = request.command
        if command.signed is None or command.document is None:
            raise RefusedError("reading a signed decision", "it has no document", "sign it again")
        signer = await self._approvers.signer_of(request.origin, command.signed, command.document)
        return _record(command).model_copy(
            update={
                "level": IdentityLevel.signed,
                "evidence": command.document.evidence,
                "document": command.signed.document,
                "signature": command.signed.signature,
                "fingerprint": signer.fingerprint,
            }
        )

    async def _sent(self, request: IdentifyPerson) -> DecisionRecord:
        """What Temporal's server says of the sender, where it does."""
        record, sent = _record(request.command), request.delivery
        if sent is None:
            return record
        principal = await sender_of(request.promotion_id, sent)
        level = IdentityLevel.temporal if is_of(principal, record.by) else IdentityLevel.claimed
        return record.model_copy(update={"level": level, "principal": principal})

    async def _require_level(self, request: IdentifyPerson, level: IdentityLevel) -> None:
        needed = (await self._approvers.entry(request.origin)).approval.level
        if suffices(level, needed):
            return
        command, promotion = request.command, request.subject.promotion
        raise RefusedError(
            f"finding out whether {command.by} said {command.kind}",
            f"the worker's policy asks for decisions that are {needed}, and this one is {level}",
            f"sign it: slipway {command.kind} {promotion} --by {command.by} --sign",
        )


def _record(command: Command) -> DecisionRecord:
    return DecisionRecord(
        kind=command.kind, by=command.by, at=datetime.now(UTC), evidence=command.evidence, reason=command.reason
    )
