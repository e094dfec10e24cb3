"""Roles that are bound by policies, for tests."""

from __future__ import annotations

import functools
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from slipway_sandbox.testing.process import DEFAULT_REGION, SandboxProcess

Statement = Mapping[str, Any]


def document(*statements: Statement) -> str:
    """A policy document."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(actions: str | Sequence[str], resources: str | Sequence[str] = "*", **condition: Any) -> Statement:
    """A statement that allows; `condition` by operator."""
    return {"Effect": "Allow", "Action": actions, "Resource": resources, **({"Condition": condition} if condition else {})}


def deny(actions: str | Sequence[str], resources: str | Sequence[str] = "*", **condition: Any) -> Statement:
    """A statement that denies."""
    return {**allow(actions, resources, **condition), "Effect": "Deny"}


def trusting(*principals: str, service: str | None = None, **condition: Any) -> str:
    """A trust policy that lets principals, or a service, assume the role."""
    named: dict[str, Any] = {"Service": service} if service else {"AWS": list(principals)}
    statement = {"Effect": "Allow", "Principal": named, "Action": "sts:AssumeRole"}
    return document({**statement, **({"Condition": condition} if condition else {})})


def refusal_of(call: Any, *arguments: Any, **members: Any) -> tuple[str, str]:
    """Code and message of the error that a call ends with; empty for a success."""
    try:
        call(*arguments, **members)
    except ClientError as error:
        answered = error.response.get("Error", {})
        return answered.get("Code", ""), answered.get("Message", "")
    return "", ""


@dataclass(frozen=True)
class Acting:
    """A session of a role."""

    sandbox: SandboxProcess
    role: str
    arn: str
    keys: Mapping[str, Any]

    def client(self, service: str, region: str = DEFAULT_REGION) -> Any:
        """A boto3 client that acts as the role."""
        return client(self.sandbox, service, self.keys, region)


def client(sandbox: SandboxProcess, service: str, keys: Mapping[str, Any], region: str = DEFAULT_REGION) -> Any:
    """A boto3 client with temporary credentials, as STS answers them."""
    return _session().client(  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType, reportCallIssue]
        service,  # pyright: ignore[reportArgumentType]
        endpoint_url=sandbox.endpoint,
        region_name=region,
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys.get("SessionToken"),
        config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
    )


@functools.cache
def _session() -> boto3.session.Session:
    """One for all clients: each session reads the descriptions of AWS's services again."""
    return boto3.session.Session()


class RoleMaker:
    """Makes roles of an account."""

    def __init__(self, sandbox: SandboxProcess, account: str) -> None:
        self.sandbox = sandbox
        self.account = account

    def make(self, statements: Sequence[Statement], **more: Any) -> Acting:
        """A role with an inline policy, and a session of it. See `create`."""
        return self.assume(self.create(statements, **more))

    def create(self, statements: Sequence[Statement] = (), trust: str | None = None, **more: Any) -> str:
        """A role with an inline policy; returns its ARN.

        Args:
            statements: The policy's; none for no policy.
            trust: The trust policy; the account, unless given.
            more: Further members of CreateRole.
        """
        iam, name = self.sandbox.client("iam", self.account), f"role-{secrets.token_hex(4)}"
        arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust or trusting(self.account), **more)["Role"]["Arn"]
        if statements:
            iam.put_role_policy(RoleName=name, PolicyName="inline", PolicyDocument=document(*statements))
        return str(arn)

    def assume(self, arn: str, **more: Any) -> Acting:
        """A session of a role."""
        answered = self.sandbox.client("sts", self.account).assume_role(RoleArn=arn, RoleSessionName="test", **more)
        return Acting(self.sandbox, arn, answered["AssumedRoleUser"]["Arn"], answered["Credentials"])
