"""The document of a decision: one text for one decision, and nothing else is read."""

from __future__ import annotations

import json
import string
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from slipway.app.spec import Target
from slipway.decisions.document import TARGETS_SHOWN, DecisionDocument, differences, parse_document, targets_of
from slipway.errors import RefusedError
from tests.support.signing import NOON, document

LINES = st.text(st.characters(exclude_categories=("C", "Z")), max_size=40)
SECONDS = st.integers(0, 4_000_000_000)
HEX = string.digits + "abcdef"


@st.composite
def documents(draw: st.DrawFn) -> DecisionDocument:
    issued = datetime.fromtimestamp(draw(SECONDS), UTC)
    return document(
        kind=draw(st.sampled_from(["approve", "reject", "retry", "abort"])),
        by=draw(st.sampled_from(["ana", "Zoë", "陈 静", "o'brien"])),
        reason=draw(LINES),
        targets=tuple(draw(st.lists(LINES, max_size=TARGETS_SHOWN + 1))),
        evidence=draw(st.text(HEX, min_size=64, max_size=64)),
        nonce=draw(st.text(HEX, min_size=32, max_size=32)),
        issued=issued,
        expires=issued + timedelta(seconds=draw(st.integers(1, 1_000_000))),
    )


@given(documents())
def test_given_any_document_when_its_text_is_read_then_it_is_the_same(decision: DecisionDocument) -> None:
    text = decision.canonical()
    assert parse_document(text) == decision
    assert parse_document(text).canonical() == text


@given(documents(), st.data())
def test_given_a_text_when_any_character_is_changed_then_it_is_refused_or_says_something_else(
    decision: DecisionDocument, data: st.DataObject
) -> None:
    text = decision.canonical()
    place = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters().filter(lambda letter: letter != text[place]))
    changed = text[:place] + other + text[place + 1 :]
    try:
        read = parse_document(changed)
    except RefusedError:
        return
    assert read != decision
    assert read.canonical() == changed


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda content: content.decode("latin-1")))
def test_given_any_other_text_when_it_is_read_then_it_is_refused(text: str) -> None:
    with pytest.raises(RefusedError, match="reading a decision's document"):
        parse_document(text)


def test_given_a_document_when_it_is_written_then_its_text_is_short_sorted_and_plain() -> None:
    text = document(reason='Zoë said "yes"').canonical()
    assert text.startswith('{"branch":"main","by":"ana","evidence":"eeee')
    assert '"expires":"2026-03-08T12:00:00Z"' in text
    assert r'"reason":"Zoë said \"yes\"",' in text
    assert text.endswith('"targets":["screening in us-east-1"]}')


def respelt(**changes: Any) -> str:
    return json.dumps(json.loads(document().canonical()) | changes, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (document().canonical() + "\n", "canonical form"),
        (" " + document().canonical(), "canonical form"),
        (json.dumps(json.loads(document().canonical())), "canonical form"),
        (document().canonical().replace("recall", r"rec\u0061ll"), "canonical form"),
        (document().canonical().replace('"by":"ana"', '"by":"bob","by":"ana"'), "canonical form"),
        (respelt(by=" ana"), "canonical form"),
        (respelt(issued=1_772_366_400), "canonical form"),
        (respelt(issued="2026-03-01T12:00:00+00:00"), "must be a time such as"),
        (respelt(issued="2026-03-01T12:00:00.5Z"), "must be a time such as"),
        (respelt(issued="2026-02-31T12:00:00Z"), "issued: "),
        (respelt(expires="2026-03-01T12:00:00Z"), "expires before it is issued"),
        (respelt(slipway="decision/v2"), "decision/v1"),
        (respelt(kind="promote"), "'approve'"),
        (respelt(extra=1), "extra: Extra inputs are not permitted"),
        (respelt(evidence="e" * 16), "evidence: "),
        (respelt(evidence="e" * 63 + "\n"), "evidence: "),
        (respelt(evidence=""), "names its evidence"),
        (respelt(nonce="E" * 32), "nonce: "),
        (respelt(spec_commit="main"), "spec_commit: "),
        (respelt(reason="one\ntwo"), "one line"),
        (respelt(reason="a\u202eb"), "one line"),
        (respelt(reason="r" * 1_001), "reason: "),
        (respelt(repository="git@github.com:acme/deploy.git"), "must be written ssh://git@github.com/acme/deploy"),
        (respelt(repository="https://ana:secret@github.com/acme/deploy"), "credentials"),
        (respelt(folder="apps/../screening"), "folder: "),
        (respelt(folder="./apps"), "must be written apps"),
        (respelt(branch="-f"), "branch: "),
        (respelt(targets=["x"] * (TARGETS_SHOWN + 2)), "targets: "),
        ("[" * 15_000, "document: "),
        ('{"by":"\\ud800"}', "document: "),
        ("x" * 16_001, "more than 16,000 characters"),
        ("", "document: "),
    ],
)
def test_given_a_text_that_is_not_a_documents_own_when_it_is_read_then_the_refusal_says_why(text: str, said: str) -> None:
    with pytest.raises(RefusedError) as refused:
        parse_document(text)
    assert said in refused.value.report.answered
    assert "secret" not in str(refused.value)
    assert len(refused.value.report.answered) <= 300


def test_given_a_time_of_another_zone_when_a_document_is_made_then_it_is_refused() -> None:
    with pytest.raises(ValidationError, match="in UTC with whole seconds"):
        document(issued=datetime(2026, 3, 1, 12, tzinfo=timezone(timedelta(hours=1))))


def test_given_a_retry_before_there_is_evidence_when_it_is_written_then_it_names_none() -> None:
    decision = document(kind="retry", evidence="", package="", targets=(), spec_commit="")
    assert parse_document(decision.canonical()) == decision


@pytest.mark.parametrize(
    ("seconds", "timely"),
    [(-301, False), (-299, True), (0, True), (7 * 86_400 - 1, True), (7 * 86_400, False)],
)
def test_given_a_document_when_it_is_handed_in_then_it_counts_between_its_times(seconds: int, timely: bool) -> None:
    assert document().is_timely(NOON + timedelta(seconds=seconds)) is timely


def test_given_the_first_time_there_is_when_it_is_in_a_document_then_it_is_compared_all_the_same() -> None:
    assert not document(issued=datetime(1, 1, 1, tzinfo=UTC), expires=NOON).is_timely(NOON)


def targets(count: int) -> list[Target]:
    return [Target(endpoint=f"screening-{number}") for number in range(count)]


def test_given_targets_when_they_are_named_then_each_has_its_region_and_another_account() -> None:
    role = "arn:aws:iam::222222222222:role/rollout"
    found = targets_of([Target(endpoint="a"), Target(endpoint="b", region="eu-west-1", role_arn=role)], "us-east-1")
    assert found == ("a in us-east-1", "b in eu-west-1 as 222222222222")


def test_given_many_targets_when_they_are_named_then_a_checksum_stands_for_the_rest() -> None:
    found, other = targets_of(targets(23), "us-east-1"), targets_of([*targets(22), Target(endpoint="evil")], "us-east-1")
    assert len(found) == TARGETS_SHOWN + 1
    assert found[-1].startswith("and 3 more, sha256:")
    assert found == targets_of(targets(23), "us-east-1")
    assert found[-1] != other[-1]
    assert parse_document(document(targets=found).canonical()).targets == found


def test_given_a_document_about_something_else_when_it_is_compared_then_each_difference_is_said() -> None:
    expected = {"promotion": "screening-0123456789ab", "run": "other", "targets": ("screening in us-east-1", "b in us-east-1")}
    assert differences(document(), expected) == (
        "run is 0194f6a2-0000-7000-8000-000000000000, not other",
        "targets is screening in us-east-1, not screening in us-east-1, b in us-east-1",
    )


def test_given_a_document_that_names_nothing_to_use_when_it_is_written_then_its_text_is_that_of_earlier_releases() -> None:
    assert "use_" not in document(kind="retry").canonical()


def test_given_a_retry_that_names_an_execution_when_it_is_read_then_the_execution_is_what_was_signed() -> None:
    arn = "arn:aws:sagemaker:us-east-1:222222222222:pipeline/training/execution/abc"
    assert parse_document(document(kind="retry", use_execution=arn).canonical()).use_execution == arn


def test_given_an_empty_name_that_is_written_out_when_it_is_read_then_it_is_refused() -> None:
    with pytest.raises(RefusedError, match="canonical"):
        parse_document(respelt(use_execution=""))


def test_given_an_approval_that_names_a_package_to_use_when_it_is_made_then_it_is_refused() -> None:
    with pytest.raises(ValidationError, match="only a retry"):
        document(kind="approve", use_package="arn:aws:sagemaker:us-east-1:222222222222:model-package/screening/2")
