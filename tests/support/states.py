"""Statuses that no promotion needs to run for."""

from __future__ import annotations

from datetime import UTC, datetime

from slipway.api import (
    AppRef,
    ChampionSummary,
    DecisionRecord,
    EvidenceSummary,
    LedgerEntry,
    Outcome,
    PromotionStatus,
    StageName,
    StageReport,
    StageState,
    WaitingFor,
)
from slipway.app.gates import GateResult
from slipway.errors import Ending, FailureReport

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def status_of(text: str) -> PromotionStatus:
    """A status in which everything that strangers write is this text."""
    failure = FailureReport(ending=Ending.needs_person, tried=text, answered=f"{text}\n{text}", remedy=text)
    return PromotionStatus(
        id="app-1",
        app=AppRef(repository="file:///repositories/app.git"),
        image=f"registry/app@{text}",
        commit=text,
        requested_by=text,
        stages=(StageReport(name=StageName.image, state=StageState.parked, started_at=NOW, summary=text),),
        waiting_for=WaitingFor(what=text, since=NOW, who=(text,), commands=(f"slipway retry {text}",), failure=failure),
        outcome=Outcome.refused,
        reason=text,
        ledger=(LedgerEntry(stage=StageName.image, inverse=text, note=text),),
        notices=(text,),
        decisions=(DecisionRecord(kind=text, by=text, at=NOW, evidence=text, reason=text, fingerprint=text, principal=text),),
        evidence=text,
        evidence_summary=EvidenceSummary(
            gates=(GateResult(metric=text, rule=text, value=None, champion=None, passed=False, message=text, problem=text),),
            champions=(ChampionSummary(endpoint=text, region=text, package=text, unmeasured=text, rollout=text),),
            containers=(text,),
            spec_change=text,
        ),
    )
