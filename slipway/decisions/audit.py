"""Checks the decisions that a promotion recorded, from the record and an allowed_signers file alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from pydantic import BaseModel, ConfigDict

from slipway.api import DecisionRecord, IdentityLevel, Outcome, PromotionStatus
from slipway.decisions.document import DecisionDocument, differences, parse_document
from slipway.decisions.signatures import Signer, verify
from slipway.errors import RefusedError
from slipway.git.rules import app_file, normalise_url
from slipway.people import same_person

_DECIDING = frozenset({"approve", "reject"})
_YEARS = range(1970, 9999)
"""Times of other years have none in every zone."""


class CheckedDecision(BaseModel):
    """One decision of the record, and what is wrong with it."""

    model_config = ConfigDict(frozen=True)

    kind: str
    by: str
    at: datetime
    level: IdentityLevel
    fingerprint: str = ""
    key_type: str = ""
    evidence: str = ""
    """The whole checksum of the evidence that was decided on."""
    problems: tuple[str, ...] = ()
    note: str = ""


class Audit(BaseModel):
    """A promotion's decisions."""

    model_config = ConfigDict(frozen=True)

    promotion: str
    decisions: tuple[CheckedDecision, ...]
    problems: tuple[str, ...] = ()
    """What is wrong with all of them together."""

    @property
    def is_good(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems and not any(decision.problems for decision in self.decisions)


async def audit(status: PromotionStatus, allowed_signers: str) -> Audit:
    """Checks each decision that a status or a result holds.

    Args:
        status: The promotion.
        allowed_signers: The content of the file. Keys that count no longer should still be in it, with `valid-before`.
    """
    earlier: list[tuple[DecisionDocument, Signer]] = []
    decisions = [await _checked(record, status, allowed_signers, earlier) for record in status.decisions]
    return Audit(promotion=status.id, decisions=tuple(decisions), problems=tuple(_problems_of_all(status, decisions)))


def _problems_of_all(status: PromotionStatus, decisions: list[CheckedDecision]) -> Iterator[str]:
    if not decisions:
        yield "there are no decisions in it"
    approvals = [decision for decision in decisions if decision.kind == "approve"]
    about = status.evidence or ""
    if status.outcome is Outcome.promoted and approvals and not any(each.evidence.startswith(about) for each in approvals):
        yield f"it was promoted, and no approval is about its evidence {about}"


async def _checked(
    record: DecisionRecord, status: PromotionStatus, allowed_signers: str, earlier: list[tuple[DecisionDocument, Signer]]
) -> CheckedDecision:
    checked = CheckedDecision(kind=record.kind, by=record.by, at=record.at, level=record.level, evidence=record.evidence)
    if not record.document:
        note = f"not signed; sent by {record.principal}, says Temporal" if record.principal else "not signed: a claimed name"
        return checked.model_copy(update={"problems": (note,)} if record.kind in _DECIDING else {"note": note})
    if record.at.tzinfo is None or record.at.year not in _YEARS:
        problem = f"the record says that it was taken at {record.at.isoformat()}, which is no time of a promotion"
        return checked.model_copy(update={"problems": (problem,)})
    try:
        document = parse_document(record.document)
        signer = await verify(record.document, record.signature, allowed_signers, document.by, record.at)
    except RefusedError as error:
        return checked.model_copy(update={"problems": (error.report.answered,)})
    problems = (
        *_against_status(document, record, status),
        *_against_record(document, record, signer),
        *_reuse(document, signer, earlier),
    )
    earlier.append((document, signer))
    found = {"fingerprint": signer.fingerprint, "key_type": signer.key_type, "evidence": document.evidence, "problems": problems}
    is_earlier = document.kind in _DECIDING and not _is_current(document, status)
    return checked.model_copy(update={**found, "note": "about earlier evidence" if is_earlier else ""})


def _is_current(document: DecisionDocument, status: PromotionStatus) -> bool:
    return document.evidence.startswith(status.evidence or "")


def _against_status(document: DecisionDocument, record: DecisionRecord, status: PromotionStatus) -> tuple[str, ...]:
    """What the document is about, against what the promotion is. Evidence that was gathered again has other contents."""
    expected = {
        "kind": record.kind,
        "by": record.by,
        "promotion": status.id,
        "repository": normalise_url(status.app.repository),
        "branch": status.app.branch,
        "folder": app_file(status.app.folder) or ".",
    }
    if document.kind in _DECIDING and _is_current(document, status):
        expected |= {"package": status.package or "", "spec_commit": status.spec_commit or ""}
    return differences(document, expected)


def _against_record(document: DecisionDocument, record: DecisionRecord, signer: Signer) -> Iterator[str]:
    if record.evidence and not document.evidence.startswith(record.evidence):
        yield f"evidence is {document.evidence}, and the record says {record.evidence}"
    if record.reason != document.reason:
        yield "the record has another reason than the document"
    if record.fingerprint and record.fingerprint != signer.fingerprint:
        yield f"the record says that the key is {record.fingerprint}"
    if not document.is_timely(record.at):
        times = f"from {document.issued:%Y-%m-%d %H:%M} to {document.expires:%Y-%m-%d %H:%M} UTC"
        yield f"it counts {times}, and was taken outside of that"


def _reuse(document: DecisionDocument, signer: Signer, earlier: list[tuple[DecisionDocument, Signer]]) -> Iterator[str]:
    """What is wrong between this decision and those before it."""
    for before, other in earlier:
        if before.nonce == document.nonce:
            yield "the same document was used before"
        if other.fingerprint == signer.fingerprint and not same_person(before.by, document.by):
            yield f"the same key signed as {before.by}"
    if earlier:
        yield from differences(document, {"namespace": earlier[0][0].namespace, "run": earlier[0][0].run})
