"""One sandbox per test process; each test acts in an account of its own, with a deployment repository of its own."""

from __future__ import annotations

import dataclasses
import subprocess
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pytest
from slipway_sandbox.testing import SandboxProcess, TestImage, fresh_account
from temporalio.testing import ActivityEnvironment

from activities.endpoints.activities import EndpointActivities
from activities.repositories import Repositories
from slipway.api import AppRef
from slipway.aws.clients import Aws
from slipway.aws.polling import Polling
from slipway.policy.model import policy_of_branches
from slipway.policy.source import fixed
from tests.activities.by_hand import ByHand
from tests.activities.serving import Serving
from tests.support.model_server import model_server

I = TypeVar("I")  # noqa: E741 -- input and output
O = TypeVar("O")  # noqa: E741

TASKDEF = """\
# What the task runs.
family: screening
cpu: "256"
memory: "512"
networkMode: awsvpc
requiresCompatibilities: [FARGATE]
executionRoleArn: arn:aws:iam::{account}:role/task
containerDefinitions:
  - name: pipeline
    image: {image}   # written by the event watcher
    essential: true
    logConfiguration:
      logDriver: awslogs
      options: {{awslogs-group: /ecs/screening, awslogs-region: us-east-1, awslogs-stream-prefix: run}}
"""
APP = """\
apiVersion: pipecd.dev/v1beta1
kind: ECSApp
spec:
  name: screening
  input:
    clusterArn: arn:aws:ecs:us-east-1:{account}:cluster/pipelines
    taskDefinitionFile: taskdef.yaml
    runStandaloneTask: false
    awsvpcConfiguration: {{subnets: [subnet-1], securityGroups: [sg-1], assignPublicIp: ENABLED}}
  eventWatcher:
    - matcher: {{name: image-update}}
      handler:
        type: GIT_UPDATE
        config:
          commitMessage: "Run {{{{ .Value }}}}"
          replacements:
            - {{file: taskdef.yaml, yamlField: "$.containerDefinitions[0].image"}}
"""
SPEC = """\
apiVersion: slipway.dev/v1
kind: ModelPromotion
metadata: {{name: screening}}
spec:
  image:
    source: {account}.dkr.ecr.us-east-1.amazonaws.com/screening-ci
    target: {account}.dkr.ecr.us-east-1.amazonaws.com/screening
  git: {{event: image-update}}
  pipeline: {{name: screening-training}}
  model: {{packageGroup: screening}}
  approval: {{approvers: [ana]}}
  rollout:
    variant: {{instanceType: ml.m5.large, instanceCount: 2}}
    smoke: {{payload: smoke.json}}
    waves: [{{targets: [{{endpoint: screening-prod}}]}}]
"""


class Run:
    """Runs activities as a worker does.

    Args:
        environment: Where they run.
    """

    def __init__(self, environment: ActivityEnvironment) -> None:
        self.environment = environment
        self.heartbeats: list[Any] = []
        environment.on_heartbeat = self.heartbeats.append

    async def __call__(self, activity: Callable[[I], Awaitable[O]], message: I) -> O:
        return await self.environment.run(activity, message)

    async def again(self, activity: Callable[[I], Awaitable[O]], message: I) -> O:
        """The next attempt of the activity, as after a worker's death."""
        self.environment.info = dataclasses.replace(self.environment.info, attempt=self.environment.info.attempt + 1)
        return await self(activity, message)


class Deployment:
    """A deployment repository with one application, and people who push to it."""

    def __init__(self, folder: Path) -> None:
        self.bare = folder / "remote.git"
        self.clone = folder / "clone"
        self.app = AppRef(repository=f"file://{self.bare}", branch="main", folder="apps/screening")
        self._git("init", "-q", "--bare", "-b", "main", str(self.bare), at=folder)
        self._git("config", "uploadpack.allowFilter", "true", at=self.bare)
        self._git("clone", "-q", str(self.bare), str(self.clone), at=folder)
        self._git("checkout", "-q", "-b", "main")

    def push(self, files: dict[str, str], message: str = "Change", who: str = "Ana <ana@example.com>") -> str:
        """Commit files of the application's folder; returns the commit."""
        self._pull()
        for name, content in files.items():
            path = self.clone / self.app.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode())
        self._git("add", "-A")
        name, _, email = who.rstrip(">").partition(" <")
        self._git("-c", f"user.name={name}", "-c", f"user.email={email}", "commit", "-q", "--allow-empty", "-m", message)
        return self._push()

    def push_ref(self, ref: str, files: dict[str, str]) -> str:
        """A commit on the branch's head that another reference names, as a pull request's; the branch stays where it is."""
        self._pull()
        for name, content in files.items():
            (self.clone / self.app.folder / name).write_text(content)
        self._git("commit", "-q", "-a", "-m", "Propose")
        self._git("push", "-q", "origin", f"HEAD:{ref}")
        commit = self._git("rev-parse", "HEAD")
        self._git("reset", "-q", "--hard", "HEAD~1")
        return commit

    def cherry_pick(self, commit: str) -> str:
        """Apply a commit once more, as Ana; returns the new commit."""
        self._pull()
        self._git("cherry-pick", "--allow-empty", commit)
        return self._push()

    def drop_head(self) -> None:
        """Take the newest commit off the branch, by force."""
        self._pull()
        self._git("push", "-q", "--force", "origin", "HEAD~1:main")

    def replace_head(self, message: str) -> str:
        """Put a commit with the same files in the place of the newest one, by force; returns the new commit."""
        self._pull()
        self._git("commit", "-q", "--amend", "--allow-empty", "-m", message)
        self._git("push", "-q", "--force", "origin", "HEAD:main")
        return self._git("rev-parse", "HEAD")

    def verified(self, commit: str, allowed_signers: Path) -> str:
        """What git says of a commit's signature."""
        show = ("-c", f"gpg.ssh.allowedSignersFile={allowed_signers}", "show", "--no-patch", "--format=%GS: %G?", commit)
        return self._git(*show, at=self.bare)

    def log(self) -> list[str]:
        """The subjects of the branch's commits, newest first."""
        refs = self._git("for-each-ref", at=self.bare)
        return self._git("log", "--format=%s", "main", at=self.bare).splitlines() if refs else []

    def file(self, name: str) -> str:
        """A file at the branch's head."""
        return self._git("show", f"main:{self.app.folder}/{name}", at=self.bare)

    def blob(self, name: str) -> str:
        """The git blob of a file at the branch's head."""
        return self._git("rev-parse", f"main:{self.app.folder}/{name}", at=self.bare)

    def message(self) -> str:
        """The newest commit's whole message."""
        return self._git("log", "-1", "--format=%B", "main", at=self.bare)

    def _pull(self) -> None:
        if self.log():
            self._git("pull", "-q", "--rebase", "origin", "main")

    def _push(self) -> str:
        self._git("push", "-q", "origin", "main")
        return self._git("rev-parse", "HEAD")

    def _git(self, *arguments: str, at: Path | None = None) -> str:
        identity = ["-c", "user.name=Ana", "-c", "user.email=ana@example.com"]
        run = subprocess.run(["git", *identity, *arguments], cwd=at or self.clone, check=True, capture_output=True, text=True)
        return run.stdout.strip()


@pytest.fixture
def run() -> Run:
    """Runs activities."""
    environment = ActivityEnvironment()
    environment.info = dataclasses.replace(environment.info, scheduled_time=datetime.now(UTC), workflow_run_id=fresh_account())
    return Run(environment)


@pytest.fixture
def deployment(tmp_path: Path, account: str) -> Deployment:
    """A repository with the application's files."""
    deployment = Deployment(tmp_path)
    image = f"{account}.dkr.ecr.us-east-1.amazonaws.com/screening:old"
    files = {
        "taskdef.yaml": TASKDEF.format(account=account, image=image),
        "app.pipecd.yaml": APP.format(account=account),
        "promotion.yaml": SPEC.format(account=account),
        "smoke.json": '{"instances": [[1, 2]]}',
    }
    deployment.push(files, "Begin")
    return deployment


@pytest.fixture
def repositories(deployment: Deployment, tmp_path: Path) -> Repositories:
    """The worker's allow-list holds the deployment repository and no other."""
    return Repositories(fixed(policy_of_branches([deployment.app.repository])), tmp_path / "cache")


@pytest.fixture(scope="session")
def serving_image() -> TestImage:
    """A model's container that answers its model's name, or the status that the model says."""
    return model_server()


@pytest.fixture
def activities(aws: Aws, repositories: Repositories) -> EndpointActivities:
    return EndpointActivities(aws, repositories, Polling(0.05))


@pytest.fixture
def serving(
    sandbox: SandboxProcess,
    account: str,
    deployment: Any,
    activities: EndpointActivities,
    run: Any,
    serving_image: TestImage,
    repositories: Repositories,
) -> Serving:
    return Serving(sandbox, account, deployment, activities, run, serving_image, repositories)


@pytest.fixture
def by_hand(serving: Serving) -> ByHand:
    return ByHand(serving)
