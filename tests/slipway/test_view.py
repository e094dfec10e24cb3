"""A status in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from slipway.api import (
    SUMMARY_ENTRIES,
    AppRef,
    ChampionSummary,
    Evidence,
    EvidenceSummary,
    LedgerEntry,
    LedgerState,
    ModelPackage,
    Outcome,
    PromotionStatus,
    StageName,
    StageReport,
    StageState,
    StepReport,
    TaskdefCommit,
    WaitingFor,
)
from slipway.app.gates import GateResult
from slipway.errors import Ending, FailureReport
from slipway.view import (
    MARKS,
    champion_line,
    end_lines,
    evidence_facts,
    evidence_lines,
    format_age,
    format_length,
    ledger_line,
    stage_view,
    waiting_lines,
)

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_given_any_state_then_it_has_one_mark_of_its_own() -> None:
    assert set(MARKS) == set(StageState)
    assert len(set(MARKS.values())) == len(MARKS)


@pytest.mark.parametrize(("seconds", "said"), [(0.5, "0.5 s"), (65, "1 min 5 s"), (7_500, "2 h 5 min"), (200_000, "55 h 33 min")])
def test_given_a_length_then_nobody_has_to_count_seconds(seconds: float, said: str) -> None:
    assert format_length(timedelta(seconds=seconds)) == said


@pytest.mark.parametrize(
    ("seconds", "said"), [(-1, "0s"), (119, "119s"), (720, "12m"), (7_199, "119m"), (7_200, "2h"), (172_800, "2d")]
)
def test_given_an_age_then_it_is_one_unit(seconds: int, said: str) -> None:
    assert format_age(timedelta(seconds=seconds)) == said


def test_given_a_stage_that_is_done_then_its_line_has_its_length() -> None:
    done = StageReport(
        name=StageName.approval, state=StageState.done, started_at=NOW, ended_at=NOW + timedelta(seconds=65), attempts=2
    )
    assert stage_view(done, NOW).line == "✓ approval done (attempt 2) 1 min 5 s"


def test_given_a_stage_that_runs_then_its_line_stays_the_same_while_its_length_grows() -> None:
    running = StageReport(name=StageName.task, state=StageState.running, started_at=NOW, attempts=1, summary="two\nlines")
    soon, later = (stage_view(running, NOW + timedelta(seconds=seconds)) for seconds in (1, 61))
    assert soon.line == later.line == "▶ task running: two lines"
    assert (soon.length, later.length) == ("1.0 s", "1 min 1 s")


def test_given_a_parked_stage_then_the_lines_say_what_failed_and_which_commands_end_the_wait() -> None:
    failure = FailureReport(ending=Ending.needs_person, tried="pushing", answered="no", remedy="allow it")
    waiting = WaitingFor(what="retry or abort", since=NOW, commands=("slipway retry x",), failure=failure)
    assert waiting_lines(waiting) == (
        "waiting for retry or abort since 2026-01-02 03:04:05 UTC",
        "who: any operator",
        "tried: pushing",
        "answered: no",
        "do: allow it",
        "$ slipway retry x",
    )


def test_given_an_approval_then_the_lines_say_until_when_and_who() -> None:
    waiting = WaitingFor(what="approval (0 of 1)", since=NOW, until=NOW + timedelta(hours=1), who=("ana", "bo"))
    assert waiting_lines(waiting) == (
        "waiting for approval (0 of 1) since 2026-01-02 03:04:05 UTC, until 2026-01-02 04:04:05 UTC",
        "who: ana, bo",
    )


def test_given_an_effect_then_what_became_of_it_and_why_are_set_apart() -> None:
    entry = LedgerEntry(stage=StageName.taskdef, inverse="revert the commit", state=LedgerState.undone, note="54ab is reverted")
    assert ledger_line(entry) == "taskdef: revert the commit: undone: 54ab is reverted"


def test_given_an_end_then_effects_are_told_only_where_it_was_not_promoted() -> None:
    entry = LedgerEntry(stage=StageName.image, inverse="keep the copy", state=LedgerState.kept)
    ended = PromotionStatus(
        id="x", app=AppRef(repository="file:///a"), image="i", commit="", requested_by="ci", stages=(), ledger=(entry,)
    )
    assert end_lines(ended) == ()
    assert end_lines(ended.model_copy(update={"outcome": Outcome.promoted})) == ("promoted",)
    refused = ended.model_copy(update={"outcome": Outcome.refused, "reason": "a gate"})
    assert end_lines(refused) == ("refused: a gate", "  image: keep the copy: kept")


def evidence_of(gates: tuple[GateResult, ...] = (), steps: tuple[StepReport, ...] = ()) -> Evidence:
    return Evidence(
        hash="0123",
        package=ModelPackage(arn="arn:aws:sagemaker:us-east-1:1:model-package/screening/7", version=7, region="us-east-1"),
        model_image="image",
        metrics={},
        champions=(),
        gates=gates,
        image="image",
        taskdef=TaskdefCommit(commit="1" * 40, changed=True, file="taskdef.yaml", before="a", after="b"),
        steps=steps,
        rollback_plan="",
    )


def test_given_a_step_that_came_from_sagemakers_cache_then_the_evidence_says_so() -> None:
    former = "arn:aws:sagemaker:us-east-1:1:pipeline/screening/execution/former"
    steps = (
        StepReport(name="Train", kind="Training", status="Succeeded"),
        StepReport(name="Evaluate", kind="Processing", status="Succeeded", cached_from=former),
    )
    evidence = evidence_of(steps=steps)

    assert [value for name, value in evidence_facts(evidence) if name == "cached"] == [
        f"Evaluate did not run; its result is from {former}"
    ]


def test_given_more_gates_than_a_status_can_hold_then_those_that_are_not_met_are_kept_and_the_rest_counted() -> None:
    met = GateResult(metric="accuracy", rule="min 0.9", value=0.95, champion=0.94, passed=True, message="")
    missed = met.model_copy(update={"metric": "recall", "passed": False})
    evidence = evidence_of(gates=(met,) * SUMMARY_ENTRIES + (missed,))

    lines = evidence_lines(EvidenceSummary.of(evidence))

    assert lines[0] == "recall: challenger 0.95, champion 0.94, min 0.9: not met"
    assert len(lines) == SUMMARY_ENTRIES + 1
    assert lines[-1] == "gates and champions that are left out here: 1"


def test_given_a_champion_that_is_not_measured_then_its_line_says_where_it_serves_and_why() -> None:
    champion = ChampionSummary(endpoint="prod", region="eu-west-1", package="screening/6", unmeasured="no report")
    assert champion_line(champion) == "prod (eu-west-1): screening/6 (no report)"
