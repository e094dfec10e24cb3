"""Which texts ECR takes for a repository's policy."""

import json
from typing import Any

import pytest
from slipway_sandbox.core.errors import AwsError
from slipway_sandbox.ecr.repository_policies import check_policy

READER = {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111111111111:role/reader"}, "Action": "ecr:BatchGetImage"}


def policy(*statements: Any, **more: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements), **more})


@pytest.mark.parametrize(
    "text",
    [
        policy(READER),
        policy({**READER, "Principal": "*", "Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-1"}}}),
        policy({**READER, "Principal": {"AWS": ["111111111111", "arn:aws:iam::222222222222:root"]}}),
        policy({**READER, "Principal": {"Service": "codebuild.amazonaws.com"}}, Id="readers"),
        json.dumps(
            {"Version": "2008-10-17", "Statement": {**READER, "Sid": "Read", "Action": ["ecr:Get*", "ecr:BatchGetImage"]}}
        ),
    ],
)
def test_given_a_policy_when_it_is_checked_then_it_is_taken(text: str) -> None:
    check_policy(text)


@pytest.mark.parametrize(
    "text",
    [
        "no JSON",
        "[]",
        policy(),
        policy(READER, Owner="me"),
        policy(READER, Version="2020-01-01"),
        policy("a text"),
        policy({**READER, "Effect": "Maybe"}),
        policy({**READER, "Resource": "*"}),
        policy({**READER, "NotAction": "ecr:PutImage"}),
        policy({**READER, "Action": "s3:GetObject"}),
        policy({**READER, "Action": []}),
        policy({**READER, "Principal": {}}),
        policy({**READER, "Principal": {"AWS": "arn:aws:iam::111111111111:*"}}),
        policy({**READER, "Principal": {"Nobody": "*"}}),
        policy({key: value for key, value in READER.items() if key != "Principal"}),
        policy({**READER, "Condition": "always"}),
    ],
)
def test_given_a_text_that_is_no_policy_when_it_is_checked_then_it_is_refused(text: str) -> None:
    with pytest.raises(AwsError) as refused:
        check_policy(text)

    assert refused.value.code == "InvalidParameterException"
    said = "Invalid parameter at 'PolicyText' failed to satisfy constraint: 'Invalid repository policy provided'"
    assert refused.value.message == said
