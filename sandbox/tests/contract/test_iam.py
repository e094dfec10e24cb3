"""IAM, as far as roles and their policies go."""

from __future__ import annotations

import json

from sandbox.testkit.contract import Aws, contract

TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}],
    }
)
POLICY = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]})


@contract("iam", "CreateRole", errors=("EntityAlreadyExists",))
@contract("iam", "GetRole", errors=("NoSuchEntity",))
@contract("iam", "PutRolePolicy", errors=("NoSuchEntity",))
@contract("iam", "GetRolePolicy", errors=("NoSuchEntity",))
@contract("iam", "ListRolePolicies")
@contract("iam", "DeleteRolePolicy")
@contract("iam", "DeleteRole", errors=("DeleteConflict", "NoSuchEntity"))
def test_the_life_of_a_role(aws: Aws) -> None:
    iam, name = aws.client("iam"), aws.name("role")
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)
    with aws.refused("EntityAlreadyExists", match="already exists"):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)
    assert iam.get_role(RoleName=name)["Role"]["Arn"] == f"arn:aws:iam::{aws.account}:role/{name}"
    iam.put_role_policy(RoleName=name, PolicyName="inline", PolicyDocument=POLICY)
    assert iam.get_role_policy(RoleName=name, PolicyName="inline")["PolicyDocument"] == json.loads(POLICY)
    assert iam.list_role_policies(RoleName=name)["PolicyNames"] == ["inline"]
    with aws.refused("DeleteConflict"):
        iam.delete_role(RoleName=name)
    iam.delete_role_policy(RoleName=name, PolicyName="inline")
    with aws.refused("NoSuchEntity"):
        iam.get_role_policy(RoleName=name, PolicyName="inline")
    iam.delete_role(RoleName=name)
    with aws.refused("NoSuchEntity"):
        iam.get_role(RoleName=name)
    with aws.refused("NoSuchEntity"):
        iam.delete_role(RoleName=name)
    with aws.refused("NoSuchEntity"):
        iam.put_role_policy(RoleName=name, PolicyName="inline", PolicyDocument=POLICY)


@contract("iam", "CreatePolicy", errors=("EntityAlreadyExists", "MalformedPolicyDocument"))
@contract("iam", "GetPolicy", errors=("NoSuchEntity",))
@contract("iam", "AttachRolePolicy", errors=("NoSuchEntity",))
@contract("iam", "ListAttachedRolePolicies")
@contract("iam", "DetachRolePolicy")
@contract("iam", "DeletePolicy")
def test_the_life_of_a_managed_policy(aws: Aws) -> None:
    iam, name = aws.client("iam"), aws.name("policy")
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)
    arn = iam.create_policy(PolicyName=name, PolicyDocument=POLICY)["Policy"]["Arn"]
    with aws.refused("EntityAlreadyExists", match="already exists"):
        iam.create_policy(PolicyName=name, PolicyDocument=POLICY)
    with aws.refused("MalformedPolicyDocument"):
        iam.create_policy(PolicyName=f"{name}-bad", PolicyDocument="{")
    assert iam.get_policy(PolicyArn=arn)["Policy"]["PolicyName"] == name
    iam.attach_role_policy(RoleName=name, PolicyArn=arn)
    assert iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"] == [{"PolicyName": name, "PolicyArn": arn}]
    iam.detach_role_policy(RoleName=name, PolicyArn=arn)
    iam.delete_policy(PolicyArn=arn)
    with aws.refused("NoSuchEntity"):
        iam.get_policy(PolicyArn=arn)
    with aws.refused("NoSuchEntity"):
        iam.attach_role_policy(RoleName=name, PolicyArn=arn)
    iam.delete_role(RoleName=name)
