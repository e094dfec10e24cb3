"""STS, call by call."""

from __future__ import annotations

import base64
import json
import time

import pytest

from sandbox.testkit.contract import Aws, contract

POLICY = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"}]}
)
LARGE = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": [f"arn:aws:s3:::{n:032x}/*" for n in range(60)]}],
    }
)


def trusting(account: str) -> str:
    """A trust policy for an account."""
    statement = {"Effect": "Allow", "Principal": {"AWS": account}, "Action": ["sts:AssumeRole", "sts:TagSession"]}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@contract("sts", "GetCallerIdentity")
def test_who_calls(aws: Aws) -> None:
    sts = aws.client("sts")
    assert sts.get_caller_identity()["Account"] == aws.account


@contract("sts", "AssumeRole", errors=("MalformedPolicyDocument", "PackedPolicyTooLarge", "ValidationError", "AccessDenied"))
def test_assume_role(aws: Aws) -> None:
    iam, sts, name = aws.client("iam"), aws.client("sts"), aws.name("role")
    closed = iam.create_role(RoleName=f"{name}-closed", AssumeRolePolicyDocument=trusting("arn:aws:iam::111122223333:root"))
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trusting(aws.account))["Role"]["Arn"]
    assumed = sts.assume_role(RoleArn=arn, RoleSessionName="contract", Policy=POLICY, Tags=[{"Key": "team", "Value": "ml"}])
    assert assumed["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{aws.account}:assumed-role/{name}/contract"
    with aws.refused("MalformedPolicyDocument"):
        sts.assume_role(RoleArn=arn, RoleSessionName="contract", Policy="{}")
    with aws.refused("PackedPolicyTooLarge", match="% of allotted space"):
        sts.assume_role(RoleArn=arn, RoleSessionName="contract", Policy=LARGE)
    with aws.refused("ValidationError", match="roleSessionName"):
        sts.assume_role(RoleArn=arn, RoleSessionName="not a name")
    with aws.refused("ValidationError", match="MaxSessionDuration"):
        sts.assume_role(RoleArn=arn, RoleSessionName="contract", DurationSeconds=43200)
    with aws.refused("AccessDenied", match="is not authorized to perform: sts:AssumeRole on resource: "):
        sts.assume_role(RoleArn=closed["Role"]["Arn"], RoleSessionName="contract")
    for role in (name, f"{name}-closed"):
        iam.delete_role(RoleName=role)


def token(subject: str, audience: str = "sts.amazonaws.com", seconds: int = 600) -> str:
    """A token as GitHub's provider makes them, without a signature."""
    claims = {"iss": "https://tokens.example.com", "aud": audience, "sub": subject, "exp": int(time.time()) + seconds}
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in (b"{}", json.dumps(claims).encode(), b"x"))


@contract(
    "sts",
    "AssumeRoleWithWebIdentity",
    errors=("AccessDenied", "ExpiredTokenException", "InvalidIdentityToken", "MalformedPolicyDocument"),
)
def test_assume_role_with_web_identity(aws: Aws) -> None:
    if aws.sandbox is None:
        pytest.skip("AWS checks the token's signature")
    iam, sts, name = aws.client("iam"), aws.client("sts"), aws.name("role")
    provider = iam.create_open_id_connect_provider(
        Url="https://tokens.example.com", ClientIDList=["sts.amazonaws.com"], ThumbprintList=["0" * 40]
    )["OpenIDConnectProviderArn"]
    trust = {
        "Effect": "Allow",
        "Principal": {"Federated": provider},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {"StringEquals": {"tokens.example.com:sub": "repo:me/app:ref:refs/heads/main"}},
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"]
    good = {"RoleArn": arn, "RoleSessionName": "ci", "WebIdentityToken": token("repo:me/app:ref:refs/heads/main")}
    assumed = sts.assume_role_with_web_identity(**good)
    assert assumed["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{aws.account}:assumed-role/{name}/ci"
    assert (assumed["Provider"], assumed["Audience"]) == (provider, "sts.amazonaws.com")
    with aws.refused("AccessDenied", match="Not authorized to perform sts:AssumeRoleWithWebIdentity"):
        sts.assume_role_with_web_identity(**{**good, "WebIdentityToken": token("repo:me/app:pull_request")})
    with aws.refused("InvalidIdentityToken", match="Incorrect token audience"):
        sts.assume_role_with_web_identity(**{**good, "WebIdentityToken": token("repo:me/app:ref:refs/heads/main", "me")})
    with aws.refused("InvalidIdentityToken", match="not a valid JWT"):
        sts.assume_role_with_web_identity(**{**good, "WebIdentityToken": "no token"})
    with aws.refused("ExpiredTokenException"):
        sts.assume_role_with_web_identity(**{**good, "WebIdentityToken": token("anybody", seconds=-1)})
    with aws.refused("MalformedPolicyDocument"):
        sts.assume_role_with_web_identity(**good, Policy="{}")
    iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=provider)
    with aws.refused(
        "InvalidIdentityToken", match="No OpenIDConnect provider found in your account for https://tokens.example.com"
    ):
        sts.assume_role_with_web_identity(**good)
    iam.delete_role(RoleName=name)
