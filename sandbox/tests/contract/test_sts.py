"""STS, call by call."""

from __future__ import annotations

import json

from slipway_sandbox.testing_contract import Aws, contract

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
@contract("sts", "GetAccessKeyInfo", errors=("ValidationError",))
def test_who_calls(aws: Aws) -> None:
    sts = aws.client("sts")
    assert sts.get_caller_identity()["Account"] == aws.account
    assert sts.get_access_key_info(AccessKeyId="ASIAY34FZKBOKMUTVV7A")["Account"]
    with aws.refused("ValidationError", match="accessKeyId"):
        sts.get_access_key_info(AccessKeyId="not-a-key-of-aws-at-all")


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


@contract("sts", "GetSessionToken", errors=("ValidationError",))
def test_get_session_token(aws: Aws) -> None:
    sts = aws.client("sts")
    assert sts.get_session_token(DurationSeconds=900)["Credentials"]["AccessKeyId"].startswith("ASIA")
    with aws.refused("ValidationError", match="durationSeconds"):
        sts.get_session_token(DurationSeconds=1000000)


@contract("sts", "GetFederationToken", errors=("MalformedPolicyDocument", "ValidationError"))
def test_get_federation_token(aws: Aws) -> None:
    sts = aws.client("sts")
    answered = sts.get_federation_token(Name="ann", Policy=POLICY)
    assert answered["FederatedUser"]["Arn"] == f"arn:aws:sts::{aws.account}:federated-user/ann"
    with aws.refused("MalformedPolicyDocument"):
        sts.get_federation_token(Name="ann", Policy="{}")
    with aws.refused("ValidationError", match="name"):
        sts.get_federation_token(Name="not a name")
