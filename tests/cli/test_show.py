"""How promotions look on a terminal."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

from rich.live import Live

from slipway.api import (
    AppRef,
    DecisionRecord,
    Evidence,
    IdentityLevel,
    LedgerEntry,
    LedgerState,
    ModelPackage,
    Outcome,
    PromotionStatus,
    StageName,
    StageReport,
    StageState,
    TaskdefCommit,
)
from slipway.app.gates import GateResult
from slipway.cli.out import Out
from slipway.cli.show import show_evidence, show_status

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


def test_given_a_promotion_that_is_over_when_it_is_drawn_then_the_outcome_comes_first() -> None:
    lines = drawn(status(Outcome.refused)).splitlines()
    assert [lines[0].strip(), lines[1].startswith("refused: w w")] == ["screening-0", True]


def test_given_decisions_when_a_promotion_is_drawn_then_each_has_its_name_level_key_evidence_and_reason() -> None:
    signed = DecisionRecord(
        kind="approve",
        by="ana",
        at=NOW,
        level=IdentityLevel.signed,
        evidence="e" * 64,
        reason="recall is up",
        fingerprint=f"SHA256:{'k' * 43}",
    )
    claimed = DecisionRecord(kind="abort", by="bo", at=NOW)
    folded = drawn(status(Outcome.aborted).model_copy(update={"decisions": (signed, claimed)}))
    told = "".join(folded.split())
    assert f"approvedbyana(signed,keySHA256:{'k' * 43}),evidence{'e' * 16}:recallisup" in told
    assert "abortedbybo(claimed)" in told


def test_given_a_narrow_terminal_when_evidence_is_drawn_then_nothing_is_cut() -> None:
    metric = "binary_classification_metrics.true_positive_rate_at_one_percent.value"
    gate = GateResult(metric=metric, rule="maxRegression 0.01", value=0.5, champion=0.6, passed=False, message="")
    image = f"222222222222.dkr.ecr.us-east-1.amazonaws.com/screening-model@sha256:{'d' * 64}"
    evidence = Evidence(
        hash="0123",
        package=ModelPackage(arn="arn:aws:sagemaker:us-east-1:1:model-package/screening/7", version=7, region="us-east-1"),
        model_image=image,
        metrics={},
        champions=(),
        gates=(gate,),
        image=image,
        taskdef=TaskdefCommit(commit="1" * 40, changed=True, file="taskdef.yaml", before="a", after="b"),
        steps=(),
        rollback_plan="",
    )
    console = Out(as_json=False).picture()
    console.file = written = io.StringIO()
    console.width = 80
    console.print(show_evidence(evidence, "0123"))
    lines = written.getvalue().splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert "…" not in written.getvalue()
    assert metric in "".join(line[: lines[1].index(" 0.5")].strip() for line in lines[1:5])
    assert lines[1].split()[1:] == ["0.5", "0.6", "maxRegression", "0.01", "not", "met"]
    assert image in "".join("".join(line.split()) for line in lines)
