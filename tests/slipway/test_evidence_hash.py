"""The hash of evidence: what counts in it, and that a later release computes the same."""

from __future__ import annotations

from typing import Any

import pytest

from slipway.evidence_hash import hash_of, sha256_of

EVIDENCE: dict[str, Any] = {
    "hash": "",
    "metrics": {"accuracy": 0.95},
    "gates": [{"metric": "accuracy", "champion": None, "passed": True}],
}


def test_given_evidence_when_it_is_hashed_then_the_hash_is_that_of_every_release() -> None:
    assert sha256_of(EVIDENCE) == "36c29e68f61b2707ef867fb1ade30c3f0c36ab1bead5db4807f928e66faf40d0"
    assert hash_of(EVIDENCE) == "36c29e68f61b2707"


@pytest.mark.parametrize("member", [None, "", [], {}], ids=["null", "text", "list", "object"])
def test_given_a_member_of_a_later_release_without_a_value_when_evidence_is_hashed_then_it_does_not_count(member: Any) -> None:
    assert hash_of({**EVIDENCE, "containers": member}) == hash_of(EVIDENCE)


@pytest.mark.parametrize(
    "change",
    [{"metrics": {"accuracy": 0.96}}, {"metrics": {"accuracy": 0}}, {"containers": [{"image": "x"}]}, {"gates": []}],
    ids=["a number", "zero", "a member more", "a gate less"],
)
def test_given_other_findings_when_evidence_is_hashed_then_the_hash_differs(change: dict[str, Any]) -> None:
    assert hash_of({**EVIDENCE, **change}) != hash_of(EVIDENCE)


def test_given_its_own_checksums_when_evidence_is_hashed_then_they_do_not_count() -> None:
    assert hash_of({**EVIDENCE, "hash": "a", "sha256": "b"}) == hash_of(EVIDENCE)
