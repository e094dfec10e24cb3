"""Plays the part of PipeCD's piped for the sample application: what it does to git and ECS, and nothing of its console.

Like piped 0.57 it deploys the newest commit that changes the application's folder, registers the task definition without tags,
runs a task by the family with its four tags, and takes that for success. It waits for no task.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from botocore.exceptions import ClientError

from demo.team import FOLDER, Team
from slipway.app.attachment import render_file
from slipway.app.pipecd import APP_FILE, parse_app
from slipway.app.taskdef import parse_taskdef

PIPED_ID = "5a7a1d5c-4b0e-4f7b-9d5e-9f6b1a3c2e10"
APPLICATION_ID = "c3f0a2b4-0d7e-4d53-8a57-7d0c1f2e3a4b"
LOOK_EVERY = 0.2
"""Seconds between two looks at the branch."""


@dataclass(frozen=True)
class Deployment:
    """What became of one commit.

    Args:
        commit: The commit.
        task: The task that was run; none where ECS answered without one, which piped does not mind.
        failure: What ECS refused; empty where it accepted both calls.
    """

    commit: str
    task: str | None = None
    failure: str = ""


class Piped:
    """Watches the deployment branch from its head of now on, in a thread, while the body runs.

    Args:
        team: Whose application it deploys.
    """

    def __init__(self, team: Team) -> None:
        self.deployments: list[Deployment] = []
        """The newest last."""
        self._team = team
        self._seen = team.remote.head()
        self._lock = threading.Lock()
        self._is_paused = False
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="piped", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        self._stopped.set()
        self._thread.join()

    def pause(self) -> None:
        """Deploy nothing by itself until `resume`."""
        with self._lock:
            self._is_paused = True

    def resume(self) -> None:
        """Deploy again: of all that was pushed meanwhile, the newest commit alone."""
        with self._lock:
            self._is_paused = False

    def sync(self) -> Deployment:
        """Deploy the branch's head, as the button in PipeCD's console does, whether it was deployed before or not."""
        with self._lock:
            return self._deploy(self._team.remote.head())

    def _watch(self) -> None:
        while not self._stopped.wait(LOOK_EVERY):
            with self._lock:
                if not self._is_paused:
                    self._look()

    def _look(self) -> None:
        head = self._team.remote.head()
        if head == self._seen:
            return
        changed = self._team.remote.changed_files(self._seen, head)
        self._seen = head
        if any(path.startswith(f"{FOLDER}/") for path in changed):
            self._deploy(head)

    def _deploy(self, commit: str) -> Deployment:
        try:
            deployment = Deployment(commit, task=self._run(commit))
        except ClientError as error:
            deployment = Deployment(commit, failure=str(error))
        self.deployments.append(deployment)
        return deployment

    def _run(self, commit: str) -> str | None:
        ecs, definition = self._team.client("ecs"), self._definition(commit)
        ecs.register_task_definition(**definition)
        app = parse_app(self._read(commit, APP_FILE)).ecs
        answer = ecs.run_task(
            taskDefinition=definition["family"],
            cluster=app.cluster_arn,
            launchType=app.launch_type,
            networkConfiguration=app.awsvpc_configuration.request(),
            tags=[
                {"key": "pipecd-dev-managed-by", "value": "piped"},
                {"key": "pipecd-dev-piped", "value": PIPED_ID},
                {"key": "pipecd-dev-application", "value": APPLICATION_ID},
                {"key": "pipecd-dev-commit-hash", "value": commit},
            ],
        )
        return answer["tasks"][0]["taskArn"] if answer["tasks"] else None

    def _definition(self, commit: str) -> dict[str, Any]:
        app = parse_app(self._read(commit, APP_FILE))
        file = app.ecs.task_definition_file
        content = self._read(commit, file).encode()
        return parse_taskdef(render_file(file, content, lambda path: self._read(commit, path).encode(), app.attachment), file)

    def _read(self, commit: str, file: str) -> str:
        return self._team.remote.read(f"{FOLDER}/{file}", commit)
