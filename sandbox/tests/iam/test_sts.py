"""Temporary credentials: whose they are, whom roles trust, and how they end."""

from typing import Any

import pytest
from slipway_sandbox.testing import SandboxProcess, fresh_account
from slipway_sandbox.testing.iam import RoleMaker, allow, client, refusal_of, trusting


def test_given_an_accounts_key_when_it_asks_who_it_is_then_it_is_the_root_user(sandbox: SandboxProcess, account: str) -> None:
    answered = sandbox.client("sts", account).get_caller_identity()

    assert (answered["UserId"], answered["Account"], answered["Arn"]) == (account, account, f"arn:aws:iam::{account}:root")


def test_given_a_role_of_another_account_when_it_is_assumed_then_the_session_is_there(
    sandbox: SandboxProcess, account: str
) -> None:
    other = fresh_account()
    there = RoleMaker(sandbox, other).create(trust=trusting(account))
    assumed = RoleMaker(sandbox, account).assume(there)

    identity = assumed.client("sts").get_caller_identity()

    name = there.rpartition("/")[2]
    assert identity["Arn"] == f"arn:aws:sts::{other}:assumed-role/{name}/test"
    assert identity["Account"] == other
    assert identity["UserId"].endswith(":test")


def test_given_a_role_that_trusts_another_when_it_is_assumed_then_access_is_denied(sandbox: SandboxProcess, account: str) -> None:
    other = fresh_account()
    iam = sandbox.client("iam", other)
    role = iam.create_role(RoleName="r", AssumeRolePolicyDocument=trusting(fresh_account()))["Role"]["Arn"]

    code, message = refusal_of(sandbox.client("sts", account).assume_role, RoleArn=role, RoleSessionName="test")

    assert code == "AccessDenied"
    assert message == f"User: arn:aws:iam::{account}:root is not authorized to perform: sts:AssumeRole on resource: {role}"


def test_given_an_external_id_when_another_is_said_then_access_is_denied(sandbox: SandboxProcess, account: str) -> None:
    trust = trusting(account, StringEquals={"sts:ExternalId": "shared"})
    role = sandbox.client("iam", account).create_role(RoleName="r", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    sts = sandbox.client("sts", account)

    assert refusal_of(sts.assume_role, RoleArn=role, RoleSessionName="test", ExternalId="guessed")[0] == "AccessDenied"
    assert refusal_of(sts.assume_role, RoleArn=role, RoleSessionName="test")[0] == "AccessDenied"
    assert refusal_of(sts.assume_role, RoleArn=role, RoleSessionName="test", ExternalId="shared")[0] == ""


def test_given_a_bound_role_when_it_assumes_another_then_its_policy_has_to_allow_it(
    sandbox: SandboxProcess, account: str
) -> None:
    other = fresh_account()
    there = RoleMaker(sandbox, other).create(trust=trusting(f"arn:aws:iam::{account}:root"))
    role = RoleMaker(sandbox, account)
    may, may_not = role.make([allow("sts:AssumeRole", there)]), role.make([allow("s3:*")])

    assert refusal_of(may.client("sts").assume_role, RoleArn=there, RoleSessionName="chained")[0] == ""
    code, message = refusal_of(may_not.client("sts").assume_role, RoleArn=there, RoleSessionName="chained")
    assert code == "AccessDenied"
    assert message.endswith("because no identity-based policy allows the sts:AssumeRole action")


def test_given_a_role_that_names_a_role_when_others_of_the_account_ask_then_only_that_one_may(
    sandbox: SandboxProcess, account: str
) -> None:
    role = RoleMaker(sandbox, account)
    named, other = role.make([]), role.make([])
    iam = sandbox.client("iam", account)
    target = iam.create_role(RoleName="t", AssumeRolePolicyDocument=trusting(named.role))["Role"]["Arn"]

    assert refusal_of(named.client("sts").assume_role, RoleArn=target, RoleSessionName="chained")[0] == ""
    assert refusal_of(other.client("sts").assume_role, RoleArn=target, RoleSessionName="chained")[0] == "AccessDenied"


def test_given_a_chain_of_roles_when_it_asks_for_more_than_an_hour_then_it_is_refused(
    sandbox: SandboxProcess, account: str
) -> None:
    first = RoleMaker(sandbox, account).make([], MaxSessionDuration=7200)
    sts = sandbox.client("sts", account)

    assert refusal_of(sts.assume_role, RoleArn=first.role, RoleSessionName="chained", DurationSeconds=7200)[0] == ""
    code, message = refusal_of(
        first.client("sts").assume_role,
        RoleArn=first.role.replace(":role/", ":role/no-"),
        RoleSessionName="chained",
        DurationSeconds=7200,
    )
    assert code == "ValidationError"
    assert "1 hour session limit for roles assumed by role chaining" in message
    code, message = refusal_of(sts.assume_role, RoleArn=first.role, RoleSessionName="chained", DurationSeconds=10000)
    assert (code, "MaxSessionDuration" in message) == ("ValidationError", True)


def test_given_transitive_tags_when_roles_are_chained_then_they_go_on(sandbox: SandboxProcess, account: str) -> None:
    tags = {"Tags": [{"Key": "team", "Value": "ml"}, {"Key": "own", "Value": "x"}], "TransitiveTagKeys": ["team"]}
    role = RoleMaker(sandbox, account)
    bound = role.make([allow("ecr:*", StringEquals={"aws:PrincipalTag/team": "ml"})])
    session = role.assume(f"arn:aws:iam::{account}:role/first", **tags)
    keys = session.client("sts").assume_role(RoleArn=bound.role, RoleSessionName="chained")["Credentials"]

    assert refusal_of(client(sandbox, "ecr", keys).describe_repositories)[0] == ""
    assert refusal_of(bound.client("ecr").describe_repositories)[0] == "AccessDeniedException"


@pytest.mark.parametrize(
    ("service", "method", "members", "code"),
    [
        ("ecr", "describe_repositories", {}, "ExpiredTokenException"),
        ("sts", "get_caller_identity", {}, "ExpiredToken"),
        ("s3", "list_buckets", {}, "ExpiredToken"),
        ("sqs", "list_queues", {}, "ExpiredToken"),
        ("logs", "describe_log_groups", {}, "ExpiredTokenException"),
        ("sagemaker-runtime", "invoke_endpoint", {"EndpointName": "e", "Body": b""}, "ExpiredTokenException"),
    ],
)
def test_given_credentials_whose_time_is_over_when_they_are_used_then_the_error_is_the_services(
    sandbox: SandboxProcess, account: str, service: str, method: str, members: dict[str, Any], code: str
) -> None:
    acting = RoleMaker(sandbox, account).assume(f"arn:aws:iam::{account}:role/any")
    assert sandbox.control("POST", "sts/expire-sessions", {"account": account}) == {"expired": 1}

    assert refusal_of(getattr(acting.client(service), method), **members)[0] == code
