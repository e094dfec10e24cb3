"""One sandbox per test process; each test acts in an account of its own, with a deployment repository of its own."""

from __future__ import annotations

import dataclasses
import posixpath
import shutil
import subprocess
import tempfile
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
    """A deployment repository with one application, and people who push to it.

    Each commit is one call of git's fast-import in the remote: a clone, and what a push starts there, would cost most tests more
    than all else that they do.
    """

    def __init__(self, folder: Path, empty: Path) -> None:
        self.bare = folder / "remote.git"
        self.app = AppRef(repository=f"file://{self.bare}", branch="main", folder="apps/screening")
        self._begun = False
        shutil.copytree(empty, self.bare)

    def push(self, files: dict[str, str], message: str = "Change", who: str = "Ana <ana@example.com>") -> str:
        """Commit files of the application's folder; returns the commit."""
        commit = self._commit("refs/heads/main", files, message, who)
        self._begun = True
        return commit

    def push_ref(self, ref: str, files: dict[str, str]) -> str:
        """A commit on the branch's head that another reference names, as a pull request's; the branch stays where it is."""
        return self._commit(ref, files, "Propose")

    def cherry_pick(self, commit: str) -> str:
        """Apply a commit once more, as Ana; returns the new commit."""
        with tempfile.TemporaryDirectory() as clone:
            self._git("clone", "-q", str(self.bare), clone)
            self._git("cherry-pick", "--allow-empty", commit, at=Path(clone))
            self._git("push", "-q", "origin", "main", at=Path(clone))
        return self._git("rev-parse", "main")

    def drop_head(self) -> None:
        """Take the newest commit off the branch, by force."""
        self._git("update-ref", "refs/heads/main", "main~1")

    def replace_head(self, message: str) -> str:
        """Put a commit with the same files in the place of the newest one, by force; returns the new commit."""
        commit = self._git("commit-tree", "main^{tree}", "-p", "main~1", "-m", message)
        self._git("update-ref", "refs/heads/main", commit)
        return commit

    def verified(self, commit: str, allowed_signers: Path) -> str:
        """What git says of a commit's signature."""
        show = ("-c", f"gpg.ssh.allowedSignersFile={allowed_signers}", "show", "--no-patch", "--format=%GS: %G?", commit)
        return self._git(*show)

    def log(self) -> list[str]:
        """The subjects of the branch's commits, newest first."""
        return self._git("log", "--format=%s", "main").splitlines()

    def file(self, name: str) -> str:
        """A file at the branch's head."""
        return self._git("show", f"main:{self.app.folder}/{name}")

    def blob(self, name: str) -> str:
        """The git blob of a file at the branch's head."""
        return self._git("rev-parse", f"main:{self.app.folder}/{name}")

    def message(self) -> str:
        """The newest commit's whole message."""
        return self._git("log", "-1", "--format=%B", "main")

    def _commit(self, ref: str, files: dict[str, str], message: str, who: str = "Ana <ana@example.com>") -> str:
        lines = [f"commit {ref}", "mark :1", f"author {who} now", f"committer {who} now", data(message)]
        if self._begun:
            lines.append("from refs/heads/main^0")
        for name, content in files.items():
            lines.append(f'M 100644 inline "{posixpath.normpath(f"{self.app.folder}/{name}")}"\n{data(content)}')
        stream = "\n".join([*lines, "", "get-mark :1", ""])
        return self._git("fast-import", "--quiet", "--force", "--date-format=now", stdin=stream)

    def _git(self, *arguments: str, at: Path | None = None, stdin: str = "") -> str:
        identity = ["-c", "user.name=Ana", "-c", "user.email=ana@example.com"]
        command = ["git", *identity, *arguments]
        run = subprocess.run(command, cwd=at or self.bare, input=stdin, check=True, capture_output=True, encoding="utf-8")
        return run.stdout.strip()


def data(text: str) -> str:
    """Text as git's fast-import reads it."""
    return f"data {len(text.encode())}\n{text}"


@pytest.fixture(scope="session")
def empty_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bare repository that clients may clone in part. It keeps packs as they come, and cleans up nothing by itself."""
    folder = tmp_path_factory.mktemp("repository") / "empty.git"
    subprocess.run(["git", "init", "--quiet", "--bare", "--template=", "--initial-branch=main", str(folder)], check=True)
    settings = ("uploadpack.allowFilter=true", "receive.autoGC=false", "fastimport.unpackLimit=1", "receive.unpackLimit=1")
    for setting in settings:
        subprocess.run(["git", "config", *setting.split("=")], cwd=folder, check=True)
    return folder


@pytest.fixture
def run() -> Run:
    """Runs activities."""
    environment = ActivityEnvironment()
    environment.info = dataclasses.replace(environment.info, scheduled_time=datetime.now(UTC), workflow_run_id=fresh_account())
    return Run(environment)


@pytest.fixture
def deployment(tmp_path: Path, account: str, empty_repository: Path) -> Deployment:
    """A repository with the application's files."""
    deployment = Deployment(tmp_path, empty_repository)
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
