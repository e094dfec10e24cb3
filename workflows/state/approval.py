"""The approval as a pure state machine: who said what about which evidence, and what follows from it."""

from __future__ import annotations

from enum import StrEnum
from typing import Self

from slipway.api import Decision, DecisionRecord, IdentityLevel, Message, SignedCommand
from slipway.app.spec import Approval
from slipway.decisions.command import Command, Delivery
from slipway.people import fold_name, same_person


class Verdict(StrEnum):
    """What the decisions so far amount to."""

    pending = "pending"
    approved = "approved"
    rejected = "rejected"


class Said(Decision):
    """A decision that was taken, and how it is known whose it is."""

    level: IdentityLevel = IdentityLevel.claimed
    signed: SignedCommand | None = None
    fingerprint: str = ""
    """That of the key that signed it."""
    delivery: Delivery | None = None
    """Where Temporal's server says who sent it; only where that is what it is known by."""

    @classmethod
    def of(cls, command: Command, record: DecisionRecord, delivery: Delivery | None = None) -> Self:
        """The decision of a command."""
        return cls(
            by=command.by,
            evidence=command.evidence,
            reason=command.reason,
            level=record.level,
            signed=command.signed,
            fingerprint=record.fingerprint,
            delivery=delivery if record.level is IdentityLevel.temporal else None,
        )

    @property
    def who(self) -> str:
        """The name with its level, as `ana (signed)`."""
        return f"{self.by} ({self.level})"


class Round(Message):
    """One question to the approvers, about one piece of evidence. Each decision makes the next state."""

    policy: Approval
    """Who may decide, and how many must."""
    requested_by: str
    """Who asked for the promotion, as the sender claimed."""
    evidence: str
    """The hash of what is to be looked at."""
    commit_author: str = ""
    """Who wrote the source commit, as the sender claimed."""
    approvals: tuple[Said, ...] = ()
    rejection: Said | None = None

    @property
    def verdict(self) -> Verdict:
        """One rejection wins at once; approvals need the quorum."""
        if self.rejection:
            return Verdict.rejected
        if len({fold_name(decision.by) for decision in self.approvals}) >= self.policy.quorum:
            return Verdict.approved
        return Verdict.pending

    @property
    def progress(self) -> str:
        """As `1 of 2`."""
        return f"{len(self.approvals)} of {self.policy.quorum}"

    @property
    def still_asked(self) -> tuple[str, ...]:
        """Those who may approve and have not."""
        said = {fold_name(decision.by) for decision in self.approvals}
        return tuple(name for name in self.policy.approvers if fold_name(name) not in said and not self._is_own(name))

    def objection_to_approval(self, decision: Command) -> str | None:
        """Why an approval does not count, and what would; none if it counts."""
        if objection := self._objection(decision):
            return objection
        if self._is_own(decision.by):
            return (
                f"{decision.by} asked for this promotion or wrote its source commit, and selfApproval is off: "
                f"one of {', '.join(self.still_asked) or 'the other approvers'} has to approve"
            )
        if any(same_person(decision.by, earlier.by) for earlier in self.approvals):
            return (
                f"{decision.by} approved already ({self.progress}), and a person counts once: "
                f"one of {', '.join(self.still_asked) or 'the other approvers'} has to approve"
            )
        return None

    def objection_to_rejection(self, decision: Command) -> str | None:
        """Why a rejection does not count, and what would; none if it counts."""
        return self._objection(decision)

    def objection_to_key(self, record: DecisionRecord) -> str | None:
        """Why the key of an approval does not count: one key is one person, whatever names it has."""
        for earlier in self.approvals:
            if record.fingerprint and record.fingerprint == earlier.fingerprint:
                return (
                    f"{earlier.by} approved with the same key ({record.fingerprint}): each approver signs with a key of their own"
                )
        return None

    def approved(self, decision: Said) -> Self:
        """The state after an approval that counts."""
        return self.model_copy(update={"approvals": (*self.approvals, decision)})

    def rejected(self, decision: Said) -> Self:
        """The state after a rejection that counts."""
        return self.model_copy(update={"rejection": decision})

    def _objection(self, decision: Command) -> str | None:
        if self.verdict is not Verdict.pending:
            return f"the approval is over: {self.verdict}"
        if not any(same_person(decision.by, name) for name in self.policy.approvers):
            return f"{decision.by} is not on the list of approvers in promotion.yaml: {', '.join(self.policy.approvers)}"
        if decision.evidence != self.evidence:
            return (
                f"the decision is about the evidence {decision.evidence or '(none)'}, but the evidence is {self.evidence}: "
                "look at it (`slipway evidence <id>`), then decide with its hash"
            )
        return None

    def _is_own(self, name: str) -> bool:
        own = (self.requested_by, self.commit_author)
        return not self.policy.self_approval and any(same_person(name, each) for each in own if each)
