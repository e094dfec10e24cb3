"""What a decision has to be about to count."""

from __future__ import annotations

from datetime import datetime

from slipway.api import Message
from slipway.decisions.document import DecisionDocument, differences

_OF_A_PROMOTION = ("namespace", "promotion", "run", "repository", "branch", "folder")
_OF_EVIDENCE = ("spec_commit", "package", "targets", "evidence")


class DecisionSubject(Message):
    """One promotion, as the documents of its decisions name it, and what is to be decided there."""

    namespace: str
    """Temporal's."""
    promotion: str
    run: str
    """The run id of the promotion's first run. A promotion that is run again under its id has another."""
    repository: str
    """The normal form of the URL."""
    branch: str
    folder: str
    spec_commit: str = ""
    package: str = ""
    targets: tuple[str, ...] = ()
    evidence: str = ""
    """The whole SHA-256 of the evidence; empty where there is none."""

    def objection_to(self, document: DecisionDocument, now: datetime) -> str | None:
        """Why a document does not count here and now; none if it does. Who signed it is looked at elsewhere.

        An operator's `retry` or `abort` is about the promotion alone.
        """
        members = _OF_A_PROMOTION if document.kind in {"retry", "abort"} else (*_OF_A_PROMOTION, *_OF_EVIDENCE)
        different = differences(document, {name: getattr(self, name) for name in members})
        if different:
            return f"the document is about something else: {'; '.join(different)}"
        if not document.is_timely(now):
            return f"the document counts from {document.issued:%Y-%m-%dT%H:%M:%SZ} to {document.expires:%Y-%m-%dT%H:%M:%SZ}"
        return None
