from __future__ import annotations

import json
import re

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from slipway.app.lint import read_app
from slipway.app.problems import Severity
from slipway.app.signers import RequiredSigner
from tests.slipway.app.test_lint import FILES, SPEC, reading
from tests.support.signed_images import Key

GITHUB = "https://token.actions.githubusercontent.com"
WORKFLOW = "https://github.com/acme/pipeline/.github/workflows/build.yml@refs/heads/main"


def problems_of(signer: object) -> list[str]:
    """What linting says of one signer in a spec."""
    spec = re.sub(r"target: [^,}]+", lambda found: f"{found[0]}, signedBy: {json.dumps([signer])}", SPEC, count=1)
    return [str(problem) for problem in read_app(reading(FILES | {"promotion.yaml": spec})).problems]


@pytest.mark.parametrize(
    "signer",
    [
        {"key": Key().pem},
        {"key": Key(rsa.generate_private_key(65537, 2048)).pem},
        {"issuer": GITHUB, "subject": WORKFLOW},
        {"issuer": GITHUB, "subjectPattern": r"https://github\.com/acme/.*"},
    ],
    ids=["ecdsa", "rsa", "subject", "pattern"],
)
def test_given_a_signer_when_the_spec_is_checked_then_there_is_nothing_to_say(signer: object) -> None:
    assert problems_of(signer) == []


@pytest.mark.parametrize(
    ("signer", "said"),
    [
        ({}, "needs a key, or an issuer"),
        ({"issuer": GITHUB}, "needs a key, or an issuer"),
        ({"subject": WORKFLOW}, "needs a key, or an issuer"),
        ({"issuer": GITHUB, "subject": WORKFLOW, "subjectPattern": ".*x"}, "needs a key, or an issuer"),
        ({"key": Key().pem, "issuer": GITHUB, "subject": WORKFLOW}, "list them as two signers"),
        ({"key": "cosign.pub"}, "one public key in PEM"),
        ({"key": Key().pem * 2}, "one public key in PEM"),
        ({"key": Key().pem.replace("MFkw", "")}, "ECDSA on P-256"),
        ({"key": Key().pem.replace("MFkw", "M")}, "not base64"),
        ({"issuer": "http://issuer.test", "subject": WORKFLOW}, "issuer"),
        ({"issuer": GITHUB, "subjectPattern": ".*"}, "does not match anybody"),
        ({"issuer": GITHUB, "subjectPattern": "https://.*"}, "does not match anybody"),
        ({"issuer": GITHUB, "subjectPattern": ".+@.+"}, "does not match anybody"),
        ({"issuer": GITHUB, "subjectPattern": "("}, "a regular expression"),
        ({"issuer": GITHUB, "subjectPattern": r"(?=x)acme"}, "a regular expression"),
        ({"keys": Key().pem}, "did you mean 'key'"),
    ],
)
def test_given_a_signer_that_cannot_be_when_the_spec_is_checked_then_it_is_an_error(signer: object, said: str) -> None:
    assert said in "\n".join(problems_of(signer))


def test_given_a_private_key_when_the_spec_is_checked_then_the_error_does_not_show_it() -> None:
    key = rsa.generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    [said] = problems_of({"key": key})
    assert "a private key" in said
    assert key.splitlines()[1][:20] not in said


@pytest.mark.parametrize("bits", [1_024, 1_536])
def test_given_a_weak_key_when_the_spec_is_checked_then_it_is_an_error(bits: int) -> None:
    weak = rsa.generate_private_key(65537, bits)
    assert "2,048 bits" in "\n".join(problems_of({"key": Key(weak).pem}))


def test_given_a_key_of_another_kind_when_the_spec_is_checked_then_it_is_an_error() -> None:
    key = dsa.generate_private_key(2_048).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    assert "a key of ECDSA on P-256" in "\n".join(problems_of({"key": key.decode()}))


def test_given_referrers_that_stay_behind_when_a_signature_is_asked_for_then_it_is_a_warning() -> None:
    more = f", referrers: ignore, signedBy: {json.dumps([{'key': Key().pem}])}"
    spec = re.sub(r"target: [^,}]+", lambda found: f"{found[0]}{more}", SPEC, count=1)
    [problem] = read_app(reading(FILES | {"promotion.yaml": spec})).problems
    assert (problem.severity, problem.path) == (Severity.warning, "spec.image.referrers")


@pytest.mark.parametrize(
    ("pattern", "subject", "covered"),
    [
        (r"https://github\.com/acme/.*", WORKFLOW, True),
        (r"https://github\.com/acme", WORKFLOW, False),
        (r".*acme.*", f"{WORKFLOW}\n", False),
    ],
)
def test_given_a_pattern_when_a_subject_is_held_against_it_then_the_whole_of_it_counts(
    pattern: str, subject: str, covered: bool
) -> None:
    assert RequiredSigner(issuer=GITHUB, subject_pattern=pattern).covers(subject) is covered
