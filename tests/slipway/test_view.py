"""A status in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from slipway.api import (
    SUMMARY_ENTRIES,
    AppRef,
    Artifact,
    BuildProvenance,
    Champion,
    ChampionSummary,
    DecisionRecord,
    Evidence,
    EvidenceSummary,
    IdentityLevel,
    ImageOrigin,
    ImageSigner,
    LedgerEntry,
    LedgerState,
    ModelPackage,
    Outcome,
    PackageContainer,
    PromotionStatus,
    ReportFile,
    SpecChange,
    StageName,
    StageReport,
    StageState,
    StepReport,
    TaskdefCommit,
    WaitingFor,
)
from slipway.app.gates import GateResult
from slipway.app.spec import Target
from slipway.errors import Ending, FailureReport
from slipway.evidence_hash import sha256_of
from slipway.view import (
    MARKS,
    champion_line,
    decision_line,
    end_lines,
    evidence_facts,
    evidence_lines,
    format_age,
    format_length,
    gate_line,
    identity_line,
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
    assert waiting_lines(waiting, IdentityLevel.signed) == (
        "waiting for retry or abort since 2026-01-02 03:04:05 UTC",
        "who: any operator",
        "tried: pushing",
        "answered: no",
        "do: allow it",
        "$ slipway retry x",
    )


def test_given_an_approval_then_the_lines_say_until_when_and_who() -> None:
    waiting = WaitingFor(what="approval (0 of 1)", since=NOW, until=NOW + timedelta(hours=1), who=("ana", "bo"))
    assert waiting_lines(waiting, IdentityLevel.claimed) == (
        "waiting for approval (0 of 1) since 2026-01-02 03:04:05 UTC, until 2026-01-02 04:04:05 UTC",
        "who: ana, bo",
        "decisions are claimed here: whoever reaches the namespace can write any name",
    )


def test_given_any_level_that_is_needed_then_it_is_said_what_that_means() -> None:
    assert len({identity_line(level) for level in IdentityLevel}) == len(IdentityLevel)


@pytest.mark.parametrize(
    ("known", "told"),
    [
        ({"level": IdentityLevel.signed, "fingerprint": "SHA256:abc"}, "(signed, key SHA256:abc)"),
        ({"level": IdentityLevel.temporal, "principal": "jwt:ana"}, "(temporal, sent by jwt:ana)"),
        ({"level": IdentityLevel.claimed, "principal": "jwt:eve"}, "(claimed, sent by jwt:eve)"),
        ({}, "(claimed)"),
    ],
)
def test_given_a_decision_then_its_line_says_who_how_that_is_known_on_what_and_why(known: dict[str, Any], told: str) -> None:
    decision = DecisionRecord(kind="approve", by="ana", at=NOW, evidence="0123456789abcdef" * 4, reason="recall is up", **known)
    assert decision_line(decision) == f"2026-01-02 03:04:05 UTC approved by ana {told}, evidence 0123456789abcdef: recall is up"


def test_given_a_decision_by_a_stranger_then_its_line_is_one_line() -> None:
    decision = DecisionRecord(kind="abort", by="eve\n2026-01-02", at=NOW, reason="no\n\x1b[2Japproved by ana (signed)")
    assert decision_line(decision).isprintable()


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


SIGNER = ImageSigner(key="SHA256:abc")
PROVENANCE = BuildProvenance(
    builder="ci", repository="https://github.com/acme/x", commit="d" * 40, contradiction="it is another commit"
)


def test_given_all_that_evidence_covers_then_each_part_is_told() -> None:
    image = f"registry/model@sha256:{'d' * 64}"
    artifact = Artifact(uri="s3://models/model.tar.gz", etag="9e", size=123_456, modified=NOW, version="v1")
    container = PackageContainer(image=image, artifacts=(artifact,), environment={"LEVEL": "0" * 64})
    evidence = evidence_of().model_copy(
        update={
            "containers": (container,),
            "reports": (ReportFile(uri="s3://models/evaluation.json", sha256="e" * 64),),
            "smoke": "5" * 40,
            "spec_change": SpecChange(commit="c" * 40, author="Ana <ana@example.com>", at=NOW),
            "image_origin": ImageOrigin(signers=(SIGNER,), provenance=(PROVENANCE,)),
            "champions": (Champion(target=Target(endpoint="prod"), package=None, metrics={}),),
            "rollout_plan": ("wave 1 of 1: all traffic at once",),
            "sha256": "0123" + "f" * 60,
        }
    )
    told = [f"{name}: {value}" for name, value in evidence_facts(evidence)]
    assert told[1:4] == [
        f"container: {image}",
        "file: s3://models/model.tar.gz, ETag 9e, version v1, 123,456 bytes, of 2026-01-02 03:04:05 UTC",
        "sets: LEVEL (the hash covers the values, which are not shown)",
    ]
    assert told[5:7] == [
        "image: signed by key SHA256:abc",
        "image: built from https://github.com/acme/x at dddddddddddd by ci (unsigned); WARNING: it is another commit",
    ]
    assert told[8:] == [
        "spec: promotion.yaml last changed by Ana <ana@example.com> (claimed) at 2026-01-02 03:04:05 UTC in cccccccccccc",
        f"report: s3://models/evaluation.json, SHA-256 {'e' * 64}",
        f"smoke: the request's body is the git blob {'5' * 40}",
        "champion: prod: none",
        "rollout: prod: wave 1 of 1: all traffic at once",
        f"sha-256: 0123{'f' * 60}",
        "evidence: 0123",
    ]
    assert evidence_lines(EvidenceSummary.of(evidence)) == (
        "pipeline image: signed by key SHA256:abc",
        "pipeline image: built from https://github.com/acme/x at dddddddddddd by ci (unsigned); WARNING: it is another commit",
        f"container: {image}",
        "champion of prod: none",
        "rollout of prod: wave 1 of 1: all traffic at once",
        "promotion.yaml last changed by Ana <ana@example.com> (claimed) at 2026-01-02 03:04:05 UTC in cccccccccccc",
    )


def test_given_a_gate_that_cannot_be_read_then_its_line_says_so_and_why() -> None:
    gate = GateResult(metric="auc", rule="min 0.9", value=None, champion=None, passed=False, message="", problem="it is NaN")
    assert gate_line(gate) == "auc: challenger -, champion -, min 0.9: cannot be read: it is NaN"


def test_given_evidence_of_an_older_release_then_its_checksum_does_not_change_with_what_this_one_knows() -> None:
    evidence = evidence_of(gates=(GateResult(metric="a", rule="min 1", value=1, champion=None, passed=True, message=""),))
    document = evidence.model_dump(mode="json")
    del document["gates"][0]["problem"], document["rollout_plan"], document["spec_change"], document["image_origin"]
    assert sha256_of(document) == sha256_of(evidence.model_dump(mode="json"))


def test_given_very_much_evidence_then_its_summary_stays_small() -> None:
    problem = "x" * 900
    gates = (
        GateResult(metric="m" * 256, rule="min 1", value=None, champion=None, passed=False, message="", problem=problem),
    ) * 200
    target = Target(endpoint="e" * 63, region="us-east-1")
    champions = (Champion(target=target, package="p" * 200, metrics={"m": 1.0}, unmeasured=problem),) * 1_000
    containers = (PackageContainer(image="i" * 300, environment={"A": "0" * 64}),) * 100
    signers = (ImageSigner(subject="s" * 300, issuer="i" * 300),) * 20
    evidence = evidence_of(gates=gates).model_copy(
        update={
            "champions": champions,
            "rollout_plan": (problem,) * 1_000,
            "containers": containers,
            "image_origin": ImageOrigin(signers=signers),
        }
    )
    assert len(EvidenceSummary.of(evidence).model_dump_json()) < 100_000


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
