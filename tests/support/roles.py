"""The roles of `deploy/iam`, in a team's own accounts: nobody there may do more than the samples allow."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping
from typing import Any

from slipway_sandbox.testing.iam import client

from demo.remote import BRANCH
from demo.stack import CI_ACCOUNT, ML_ACCOUNT, REGION
from demo.team import FOLDER, ROOT, Team

SAMPLES = ROOT / "deploy" / "iam"
WORKER = "slipway-worker"
ROLLOUT = "slipway-rollout-screening"
ENDPOINT = "screening-endpoint"
CI = "screening-ci"
POLICIES: Mapping[str, tuple[str, str | None]] = {
    WORKER: ("worker.json", None),
    ROLLOUT: ("rollout.json", "rollout-trust.json"),
    "screening-task": ("task.json", "ecs-trust.json"),
    "screening-task-execution": ("task-execution.json", "ecs-trust.json"),
    "screening-pipeline": ("pipeline.json", "sagemaker-trust.json"),
    ENDPOINT: ("serving.json", "sagemaker-trust.json"),
    CI: ("ci.json", "ci-trust.json"),
}
"""Each role's policy, and who may assume it; None for the worker's, which depends on where it runs."""
APP_TAG = "https://github.com/your-organization/your-deployment@main@screening"
"""The sample's application, as session tags name it."""
GITHUB = "https://token.actions.githubusercontent.com"
AUDIENCE = "sts.amazonaws.com"
WORKFLOW = "repo:your-organization/your-model:ref:refs/heads/main"
"""Whom GitHub's token of a workflow on the main branch speaks for."""


class Roles:
    """The roles, and sessions of them.

    Args:
        team: Whose they are.
    """

    def __init__(self, team: Team) -> None:
        self._team = team

    def create(self) -> None:
        """Create them all, and let only the worker's role read CI's images."""
        for name, (policy, trust) in POLICIES.items():
            iam = self._team.client("iam", self._account_of(name))
            iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(self._trust(name, trust)))
            iam.put_role_policy(RoleName=name, PolicyName="sample", PolicyDocument=json.dumps(self._sample(policy)))
        self._team.client("iam", self._team.ci_account).create_open_id_connect_provider(Url=GITHUB, ClientIDList=[AUDIENCE])
        self._team.share_source(self.arn(WORKER))

    def arn(self, name: str) -> str:
        """A role's ARN."""
        return f"arn:aws:iam::{self._account_of(name)}:role/{name}"

    def take_away(self, name: str, *sids: str) -> None:
        """Take statements out of a role's policy."""
        policy = self._sample(POLICIES[name][0])
        kept = [statement for statement in policy["Statement"] if statement["Sid"] not in sids]
        assert len(kept) == len(policy["Statement"]) - len(sids), f"{POLICIES[name][0]} has not all of {sids}"
        document = json.dumps({**policy, "Statement": kept})
        self._team.client("iam").put_role_policy(RoleName=name, PolicyName="sample", PolicyDocument=document)

    def give_back(self, name: str) -> None:
        """Give a role its whole policy again."""
        document = json.dumps(self._sample(POLICIES[name][0]))
        self._team.client("iam").put_role_policy(RoleName=name, PolicyName="sample", PolicyDocument=document)

    def credentials(self, name: str) -> Mapping[str, str]:
        """Credentials of a role, as environment variables."""
        keys = self._keys(name)
        return {
            "AWS_ACCESS_KEY_ID": keys["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": keys["SecretAccessKey"],
            "AWS_SESSION_TOKEN": keys["SessionToken"],
        }

    def client(self, name: str, service: str) -> Any:
        """A client that acts as a role."""
        return client(self._team.stack.sandbox, service, self._keys(name), REGION)

    def _keys(self, name: str) -> Mapping[str, Any]:
        sts, asked = self._team.client("sts", self._account_of(name)), {"RoleArn": self.arn(name), "RoleSessionName": name}
        if name == CI:
            return sts.assume_role_with_web_identity(**asked, WebIdentityToken=github_token())["Credentials"]
        return sts.assume_role(**asked)["Credentials"]

    def _account_of(self, name: str) -> str:
        return self._team.ci_account if name == CI else self._team.ml_account

    def _trust(self, name: str, sample: str | None) -> dict[str, Any]:
        if sample:
            return self._sample(sample)
        trusted = {"Effect": "Allow", "Principal": {"AWS": self._account_of(name)}, "Action": "sts:AssumeRole"}
        return {"Version": "2012-10-17", "Statement": [trusted]}

    def _sample(self, name: str) -> dict[str, Any]:
        """A sample with its placeholders filled in."""
        text = (SAMPLES / name).read_text()
        app = f"{self._team.remote.url.removesuffix('.git')}@{BRANCH}@{FOLDER}"
        text = text.replace(APP_TAG, app)
        return json.loads(text.replace(CI_ACCOUNT, self._team.ci_account).replace(ML_ACCOUNT, self._team.ml_account))


def github_token() -> str:
    """A token as GitHub gives a workflow, but for its signature."""
    claims = {"iss": GITHUB, "aud": AUDIENCE, "sub": WORKFLOW, "exp": int(time.time()) + 600}
    parts = (b"{}", json.dumps(claims).encode(), b"unsigned")
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)
