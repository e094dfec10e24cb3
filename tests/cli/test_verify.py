"""`slipway verify`: the record of decisions, checked offline."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from slipway.api import AppRef, DecisionRecord, IdentityLevel, Outcome, PromotionStatus
from slipway.cli.app import run
from slipway.decisions.signatures import fingerprint_of, sign
from tests.support.signing import NOON, document, make_key, signers_line


class Office:
    """Two approvers with their keys, the file that has them, and a promotion that they decided on."""

    def __init__(self, folder: Path) -> None:
        self.keys = {name: make_key(folder, name) for name in ("ana", "bo")}
        self.signers = folder / "allowed_signers"
        self.signers.write_text("".join(signers_line(name, key) for name, key in self.keys.items()))
        self.file = folder / "status.json"
        self.decisions: list[DecisionRecord] = []

    def decided(
        self, by: str = "ana", key: str = "", nonce: str = "", record: dict[str, Any] | None = None, **changes: Any
    ) -> None:
        """A decision that a promotion took and recorded."""
        made = document(by=by, nonce=nonce or f"{len(self.decisions):032x}", **changes)
        signature = sign(made.canonical(), self.keys[key or by])
        members: dict[str, Any] = {
            "kind": made.kind,
            "by": by,
            "at": NOON + timedelta(hours=1),
            "level": IdentityLevel.signed,
            "evidence": made.evidence,
            "reason": made.reason,
            "document": made.canonical(),
            "signature": signature,
            "fingerprint": fingerprint_of(signature),
        }
        self.decisions.append(DecisionRecord.model_validate(members | (record or {})))

    def claimed(self, kind: str) -> None:
        """A decision that nobody signed."""
        self.decisions.append(DecisionRecord(kind=kind, by="ana", at=NOON))

    def verify(self, *arguments: str, **changes: Any) -> int:
        made = document()
        status = PromotionStatus(
            id=made.promotion,
            app=AppRef(repository="https://github.com/acme/deploy.git", folder="apps/screening/"),
            image="image",
            commit="",
            requested_by="ci",
            stages=(),
            outcome=Outcome.promoted,
            spec_commit=made.spec_commit,
            package=made.package,
            evidence=made.evidence[:16],
            decisions=tuple(self.decisions),
        )
        shown: dict[str, Any] = {**status.model_copy(update=changes).model_dump(mode="json"), "progress": [], "url": ""}
        self.file.write_text(json.dumps(shown))
        return run(["verify", str(self.file), "--allowed-signers", str(self.signers), *arguments])


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path)


def test_given_two_signed_approvals_when_they_are_verified_then_all_is_good(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    office.decided("ana")
    office.decided("bo")
    assert office.verify() == 0
    out = capsys.readouterr().out
    assert "2 of 2 decisions signed and good; nothing is wrong" in out
    assert office.decisions[0].fingerprint in out


def test_given_json_when_a_record_is_verified_then_each_decision_has_its_key_and_problems(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    office.decided("ana")
    office.decided("bo", key="ana")
    assert office.verify("--json") == 2
    found = json.loads(capsys.readouterr().out)
    assert found["good"] is False
    assert [(each["by"], len(each["problems"])) for each in found["decisions"]] == [("ana", 0), ("bo", 1)]
    assert found["decisions"][0]["fingerprint"] == office.decisions[0].fingerprint


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "another promotion": ({"promotion": "spam-0123456789ab"}, "promotion is spam-0123456789ab"),
    "another repository": ({"repository": "https://github.com/acme/spam"}, "repository is https://github.com/acme/spam"),
    "another package": ({"package": "arn:other"}, "package is arn:other"),
    "another commit": ({"spec_commit": "d" * 40}, "spec_commit is dddd"),
    "another name": ({"record": {"by": "bo"}}, "by is ana, not bo"),
    "another kind": ({"record": {"kind": "reject"}}, "kind is approve, not reject"),
    "another reason": ({"record": {"reason": "because"}}, "another reason"),
    "another key": ({"record": {"fingerprint": "SHA256:x"}}, "says that the key is SHA256:x"),
    "other evidence": ({"record": {"evidence": "f" * 16}}, "the record says ffff"),
    "too late": ({"record": {"at": NOON + timedelta(days=8)}}, "was taken outside of that"),
    "a time without a zone": ({"record": {"at": "2026-01-31T12:00:00"}}, "is no time of a promotion"),
    "a time that UTC has not": ({"record": {"at": "0001-01-01T00:00:00+14:00"}}, "is no time of a promotion"),
    "no document": ({"record": {"document": "{}"}}, "Field required"),
    "no signature": ({"record": {"signature": ""}}, "not in the armour"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_given_a_decision_that_does_not_fit_when_it_is_verified_then_it_is_said_and_the_code_is_2(
    office: Office, capsys: pytest.CaptureFixture[str], wrong: str
) -> None:
    changes, said = WRONG[wrong]
    office.decided("bo")
    office.decided("ana", **changes)
    assert office.verify() == 2
    out = capsys.readouterr().out
    assert said in out
    assert "1 of 2 decisions signed and good; NOT GOOD" in out


def test_given_a_document_of_another_run_when_it_is_verified_then_it_is_not_good(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    office.decided("ana")
    office.decided("bo", run="another")
    assert office.verify() == 2
    assert "run is another" in capsys.readouterr().out


def test_given_a_document_that_is_there_twice_when_it_is_verified_then_it_is_not_good(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    office.decided("ana")
    office.decided("ana", nonce=f"{0:032x}")
    assert office.verify() == 2
    assert "the same document was used before" in capsys.readouterr().out


def test_given_one_key_for_two_names_when_both_decide_then_it_is_not_good(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    office.signers.write_text(signers_line("ana", office.keys["ana"]) + signers_line("bo", office.keys["ana"]))
    office.decided("ana")
    office.decided("bo", key="ana")
    assert office.verify() == 2
    assert "the same key signed as ana" in capsys.readouterr().out


@pytest.mark.parametrize(("until", "code"), [("20260301140000Z", 0), ("20260301123000Z", 2)])
def test_given_a_key_that_has_expired_since_when_it_is_verified_then_the_time_of_the_decision_counts(
    office: Office, until: str, code: int
) -> None:
    office.signers.write_text(signers_line("ana", office.keys["ana"], f'valid-before="{until}"'))
    office.decided("ana")
    assert office.verify() == code


def test_given_an_approval_of_earlier_evidence_when_there_is_one_of_the_last_then_all_is_good(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    office.decided("ana", evidence="f" * 64, package="arn:earlier")
    office.decided("ana")
    assert office.verify() == 0
    assert "good, about earlier evidence" in capsys.readouterr().out


def test_given_an_approval_of_other_evidence_alone_when_it_was_promoted_then_it_is_not_good(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    office.decided("ana", evidence="f" * 64)
    assert office.verify() == 2
    assert "no approval is about its evidence" in capsys.readouterr().out


@pytest.mark.parametrize(("kind", "code"), [("retry", 0), ("abort", 0), ("approve", 2), ("reject", 2)])
def test_given_a_decision_that_is_claimed_when_it_is_verified_then_only_approvals_and_rejections_need_a_signature(
    office: Office, capsys: pytest.CaptureFixture[str], kind: str, code: int
) -> None:
    office.decided("ana")
    office.claimed(kind)
    assert office.verify() == code
    assert "not signed: a claimed name" in capsys.readouterr().out


def test_given_no_decisions_when_they_are_verified_then_it_is_not_good(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    assert office.verify() == 2
    assert "there are no decisions in it" in capsys.readouterr().out


def test_given_files_that_are_none_when_they_are_verified_then_it_says_how_to_get_them(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    office.file.write_text("{}")
    assert run(["verify", str(office.file), "--allowed-signers", str(office.signers)]) == 2
    assert "slipway status ID --json" in capsys.readouterr().err
    assert run(["verify", str(office.file), "--allowed-signers", "missing"]) == 2
    assert "--allowed-signers" in capsys.readouterr().err
