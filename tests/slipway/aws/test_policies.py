"""What a policy of a resource could allow somebody of another account."""

from __future__ import annotations

import json
from typing import Any

import pytest

from slipway.aws.policies import could_allow, role_of, statement

ROLE = "arn:aws:iam::333333333333:role/team/endpoint"
PULL = "ecr:BatchGetImage"
KEY = "arn:aws:s3:::models/runs/1/model.tar.gz"


def policy(**parts: Any) -> str:
    return json.dumps({"Statement": {"Effect": "Allow", "Principal": "*", "Action": "*", **parts}})


@pytest.mark.parametrize(
    ("principal", "allowed"),
    [
        ("*", True),
        ({"AWS": "*"}, True),
        ({"AWS": "333333333333"}, True),
        ({"AWS": ["arn:aws:iam::333333333333:root"]}, True),
        ({"AWS": ROLE}, True),
        ({"AWS": "arn:aws:iam::333333333333:role/another"}, False),
        ({"AWS": "arn:aws:iam::444444444444:root"}, False),
        ({"Service": "sagemaker.amazonaws.com"}, False),
    ],
)
def test_given_a_principal_when_a_role_is_held_against_it_then_its_account_and_itself_count(
    principal: Any, allowed: bool
) -> None:
    assert could_allow(policy(Principal=principal), ROLE, PULL) is allowed


@pytest.mark.parametrize("named", [ROLE, "arn:aws:iam::333333333333:root", "333333333333"])
def test_given_an_account_when_somebody_there_is_named_then_it_could_be_let_in(named: str) -> None:
    assert could_allow(policy(Principal={"AWS": named}), "333333333333", PULL)


@pytest.mark.parametrize(
    ("actions", "allowed"),
    [("ecr:*", True), ("ECR:batchget*", True), (["ecr:Get*", PULL], True), ("ecr:BatchGet?mage", True), ("ecr:Put*", False)],
)
def test_given_actions_when_one_is_held_against_them_then_case_does_not_count_and_patterns_do(
    actions: Any, allowed: bool
) -> None:
    assert could_allow(policy(Action=actions), ROLE, PULL) is allowed


@pytest.mark.parametrize(
    ("resource", "allowed"),
    [
        ("arn:aws:s3:::models/runs/*", True),
        ("arn:aws:s3:::models/${aws:PrincipalTag/team}/1/*", True),
        ("arn:aws:s3:::models/Runs/*", False),
        ("arn:aws:s3:::models/[r]uns/*", False),
    ],
)
def test_given_resources_when_one_is_held_against_them_then_case_counts_and_variables_may_be_anything(
    resource: str, allowed: bool
) -> None:
    assert could_allow(policy(Resource=resource), ROLE, "s3:GetObject", KEY) is allowed


@pytest.mark.parametrize("part", [{"Effect": "Deny"}, {"Action": None}, {"Principal": None}])
def test_given_a_statement_that_allows_nothing_then_nothing_could_be_allowed(part: dict[str, Any]) -> None:
    assert not could_allow(policy(**part), ROLE, PULL)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"Statement": ["x"]}', "[" * 100_000, '{"Statement": "' + "x" * 70_000])
def test_given_what_is_no_policy_when_it_is_read_then_that_is_said(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        could_allow(text, ROLE, PULL)


def test_given_a_statement_that_is_printed_when_it_is_in_a_policy_then_it_allows_what_was_missing() -> None:
    printed = json.loads(statement("Read", [ROLE], ["s3:GetObject"], ["arn:aws:s3:::models/runs/*"]))
    assert could_allow(json.dumps({"Statement": [printed]}), ROLE, "s3:GetObject", KEY)


def test_given_a_sessions_arn_then_it_is_the_roles() -> None:
    assert role_of("arn:aws:sts::333333333333:assumed-role/endpoint/me") == "arn:aws:iam::333333333333:role/endpoint"
