"""How promotions look on a terminal."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

from rich.live import Live

from slipway.api import AppRef, LedgerEntry, LedgerState, Outcome, PromotionStatus, StageName, StageReport, StageState
from slipway.cli.out import Out
from slipway.cli.show import show_status

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def stage(length: timedelta) -> StageReport:
    return StageReport(name=StageName.approval, state=StageState.done, started_at=NOW, ended_at=NOW + length, attempts=1)


def status(outcome: Outcome) -> PromotionStatus:
    return PromotionStatus(
        id="screening-0",
        app=AppRef(repository="file:///app.git", folder="."),
        image="registry.example.com/screening@sha256:" + "0123456789abcdef" * 4,
        commit="",
        requested_by="ci",
        stages=(stage(timedelta(seconds=1)),),
        outcome=outcome,
        reason="w " * 60 + "the end of a long reason",
        ledger=(LedgerEntry(stage=StageName.taskdef, inverse="revert the commit", state=LedgerState.kept, note="because"),),
    )


def drawn(shown: PromotionStatus) -> str:
    """What a live picture leaves on a terminal of 60 columns."""
    console = Out(as_json=False).picture()
    console.file = written = io.StringIO()
    console.width = 60
    with Live(show_status(shown), console=console, auto_refresh=False):
        pass
    return written.getvalue()


def test_given_lines_longer_than_the_terminal_when_they_are_drawn_live_then_nothing_is_lost() -> None:
    folded = drawn(status(Outcome.refused)).replace("\n", "")
    assert "0123456789abcdef" * 4 in folded
    assert "the end of a long reason" in folded


def test_given_a_summary_of_one_long_word_when_it_is_drawn_then_it_is_folded_and_not_cut() -> None:
    image = "222222222222.dkr.ecr.us-east-1.amazonaws.com/screening-pipeline"
    drawn_stage = stage(timedelta(seconds=1)).model_copy(update={"summary": image})
    folded = drawn(status(Outcome.promoted).model_copy(update={"stages": (drawn_stage,)}))
    assert image in "".join(folded.split())


def test_given_an_effect_when_the_promotion_succeeded_then_it_is_no_news_that_it_was_kept() -> None:
    assert "revert the commit" not in drawn(status(Outcome.promoted))
    assert "taskdef: revert the commit: kept: because" in drawn(status(Outcome.aborted))
