"""The approval by itself."""

from __future__ import annotations

import pytest

from slipway.decisions.command import Command
from tests.support.world import EVIDENCE, approval
from workflows.state.approval import Round, Said, Verdict


def asked(**changes: object) -> Round:
    return Round(policy=approval(**changes), requested_by="Bo", evidence=EVIDENCE)


def by(name: str, evidence: str = EVIDENCE) -> Command:
    return Command(kind="approve", by=name, evidence=evidence)


def said(name: str) -> Said:
    return Said(by=name, evidence=EVIDENCE)


def test_given_a_quorum_when_it_is_reached_then_it_is_approved() -> None:
    question = asked(quorum=2, approvers=["ana", "cy", "bo"])
    assert question.approved(said("ana")).verdict is Verdict.pending
    assert question.approved(said("ana")).approved(said("cy")).verdict is Verdict.approved


def test_given_approvals_when_one_rejects_then_that_decides() -> None:
    question = asked(quorum=2).approved(said("ana")).rejected(said("bo"))
    assert question.verdict is Verdict.rejected


def test_given_a_requester_in_other_letters_when_they_approve_then_it_is_their_own() -> None:
    assert "asked for this promotion" in (asked().objection_to_approval(by("bo")) or "")


def test_given_self_approval_when_the_requester_approves_then_it_counts() -> None:
    assert asked(selfApproval=True).objection_to_approval(by("bo")) is None


def test_given_a_requester_on_the_list_when_they_reject_then_it_counts() -> None:
    assert asked().objection_to_rejection(by("bo")) is None


def test_given_another_evidence_then_the_decision_is_refused_with_the_right_one() -> None:
    assert EVIDENCE in (asked().objection_to_approval(by("ana", "old")) or "")


def test_given_a_decided_round_then_a_late_decision_is_refused() -> None:
    assert asked().approved(said("ana")).objection_to_rejection(by("bo")) == "the approval is over: approved"


def test_given_approvals_then_those_still_asked_are_the_others_but_the_requester() -> None:
    question = asked(quorum=2, approvers=["ana", "bo", "cy"])
    assert question.approved(said("ana")).still_asked == ("cy",)


@pytest.mark.parametrize("spelling", ["Bo", "bo ", "bo\u200b", "\uff42\uff4f"])
def test_given_a_spelling_of_the_requester_when_they_approve_then_it_is_their_own(spelling: str) -> None:
    question = asked().model_copy(update={"requested_by": spelling})
    assert "asked for this promotion" in (question.objection_to_approval(by("bo")) or "")
    assert question.still_asked == ("ana",)


@pytest.mark.parametrize("spelling", ["Ana", "\uff21\uff2e\uff21"])
def test_given_a_second_spelling_of_who_approved_when_it_approves_then_it_counts_once(spelling: str) -> None:
    question = asked(quorum=2, approvers=["ana", "cy"]).approved(said("ana"))
    assert "approved already (1 of 2)" in (question.objection_to_approval(by(spelling)) or "")
    assert question.approved(said(spelling)).verdict is Verdict.pending


def test_given_a_listed_approver_in_other_letters_when_they_approve_then_it_counts() -> None:
    assert asked().objection_to_approval(by("ANA")) is None
