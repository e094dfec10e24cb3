"""What a decision has to be about to count."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from slipway.api import AppRef, Evidence, Message, PromotionStatus
from slipway.decisions.document import DecisionDocument, differences, targets_of
from slipway.git.rules import app_file, normalise_url

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

    @classmethod
    def of(
        cls,
        app: AppRef,
        *,
        namespace: str,
        promotion: str,
        run: str,
        spec_commit: str = "",
        package: str = "",
        targets: tuple[str, ...] = (),
        evidence: str = "",
    ) -> Self:
        """A subject with the application in its normal form."""
        return cls(
            namespace=namespace,
            promotion=promotion,
            run=run,
            repository=normalise_url(app.repository),
            branch=app.branch,
            folder=app_file(app.folder) or ".",
            spec_commit=spec_commit,
            package=package,
            targets=targets,
            evidence=evidence,
        )

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


def subject_of(status: PromotionStatus, evidence: Evidence | None, sha256: str, *, namespace: str, run: str) -> DecisionSubject:
    """What a decision on a promotion is about now, as somebody sees it who asks the promotion.

    Args:
        status: The promotion.
        evidence: Its evidence, as soon as there is any.
        sha256: The evidence's whole checksum; who signs computes it from what is shown.
        namespace: Temporal's namespace.
        run: The first of the promotion's runs.
    """
    shown = [champion.target for champion in evidence.champions] if evidence else []
    return DecisionSubject.of(
        status.app,
        namespace=namespace,
        promotion=status.id,
        run=run,
        spec_commit=status.spec_commit or "",
        package=status.package or "",
        targets=targets_of(shown, evidence.package.region) if evidence else (),
        evidence=sha256 if evidence else "",
    )
