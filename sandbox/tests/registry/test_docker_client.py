"""What people do first: `docker build`, `docker login`, `docker push`; and a task that runs what they pushed."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from slipway_sandbox.testing import SandboxProcess, shell_layer, wait_until

from sandbox.testkit.contract import behaviour
from sandbox.testkit.ecs import TaskDesk

DOCKERFILE = """\
FROM scratch
ADD root.tar /
COPY greeting.txt /
CMD ["sh", "-c", "cat /greeting.txt"]
"""

pytestmark = [
    pytest.mark.skipif(shutil.which("docker") is None, reason="docker is not installed (Debian: apt-get install docker.io)"),
    pytest.mark.timeout(180),
]


@dataclass(frozen=True)
class Docker:
    """A client with an engine behind it."""

    environment: Mapping[str, str]

    def run(self, *arguments: str, given: str = "") -> str:
        """What a command prints."""
        done = self.attempt(*arguments, given=given)
        assert done.returncode == 0, f"docker {arguments[0]}: {done.stderr}"
        return done.stdout.strip()

    def attempt(self, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
        """A command that may fail."""
        return subprocess.run(
            ["docker", *arguments],
            input=given,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            env={**os.environ, **self.environment},
        )

    def answers(self) -> bool:
        """Whether there is an engine."""
        return self.attempt("info").returncode == 0


@pytest.fixture(scope="module")
def docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Docker]:
    """Docker, by the engine that is there, or else one of the test's own, which needs root; with a configuration of its own."""
    folder = tmp_path_factory.mktemp("docker")
    # The classic builder is in every client; buildx is a package of its own.
    settings = {"DOCKER_CONFIG": str(folder / "config"), "DOCKER_BUILDKIT": "0"}
    there = Docker(settings)
    if there.answers():
        yield there
        return
    engine = shutil.which("dockerd", path=f"{os.environ['PATH']}:/usr/sbin")
    if engine is None or os.geteuid() != 0:
        pytest.skip("no Docker engine runs, and none can be started here (it takes dockerd and root)")
    own = Docker({**settings, "DOCKER_HOST": f"unix://{folder}/docker.sock"})
    command = [
        engine, "--host", own.environment["DOCKER_HOST"], "--data-root", str(folder / "data"), "--exec-root", str(folder / "run"),
        "--pidfile", str(folder / "pid"), "--bridge", "none", "--iptables=false", "--storage-driver", "vfs",
    ]  # fmt: skip
    with (folder / "log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT) as process:
        try:
            wait_until(lambda: process.poll() is not None or own.answers(), "the Docker engine")
            if process.poll() is not None:
                pytest.skip(f"the Docker engine does not start here: {(folder / 'log').read_text()[-300:]}")
            yield own
        finally:
            process.terminate()


def log_in(docker: Docker, sandbox: SandboxProcess, account: str) -> str:
    """Log in as `aws ecr get-login-password` does; returns the registry's address."""
    data = sandbox.client("ecr", account).get_authorization_token()["authorizationData"][0]
    user, _, password = base64.b64decode(data["authorizationToken"]).decode().partition(":")
    address = sandbox.endpoint.removeprefix("http://")
    docker.run("login", "--username", user, "--password-stdin", address, given=password)
    return address


def build(docker: Docker, folder: Path, name: str, greeting: str) -> None:
    """Build an image with a shell."""
    (folder / "root.tar").write_bytes(shell_layer())
    (folder / "greeting.txt").write_text(greeting)
    (folder / "Dockerfile").write_text(DOCKERFILE)
    docker.run("build", "--quiet", "--tag", name, str(folder))


@behaviour(
    "The registry, `/v2/`",
    "Docker",
    like="`docker login`, `build`, `push` and `pull` with an engine; a task runs what was pushed",
)
def test_given_an_image_that_docker_built_when_it_is_pushed_then_a_task_runs_it_and_docker_pulls_the_same(
    docker: Docker, sandbox: SandboxProcess, account: str, tmp_path: Path
) -> None:
    desk = TaskDesk(sandbox, account)
    ecr: Any = sandbox.client("ecr", account)
    ecr.create_repository(repositoryName="team/app")
    image = f"{log_in(docker, sandbox, account)}/team/app:v1"
    build(docker, tmp_path, image, "hello from docker\n")

    docker.run("push", "--quiet", image)

    digest = ecr.describe_images(repositoryName="team/app")["imageDetails"][0]["imageDigest"]
    uri = f"{account}.dkr.ecr.us-east-1.amazonaws.com/team/app@{digest}"
    container = {name: value for name, value in desk.container().items() if name != "command"} | {"image": uri}
    task = desk.until(desk.start(desk.register(container)), "STOPPED")
    assert task["containers"][0].get("exitCode") == 0, task
    assert desk.lines(task) == ["hello from docker"]

    docker.run("rmi", image)
    docker.run("pull", "--quiet", image)
    assert docker.run("inspect", "--format", "{{index .RepoDigests 0}}", image).endswith(digest)
    docker.run("rmi", image)


def test_given_a_repository_that_is_not_there_when_docker_pushes_then_it_says_so_in_ecrs_words(
    docker: Docker, sandbox: SandboxProcess, account: str, tmp_path: Path
) -> None:
    image = f"{log_in(docker, sandbox, account)}/missing:v1"
    build(docker, tmp_path, image, "hello\n")

    pushed = docker.attempt("push", image)

    docker.run("rmi", image)
    assert pushed.returncode != 0
    assert f"The repository with name 'missing' does not exist in the registry with id '{account}'" in pushed.stderr


def test_given_a_password_that_is_none_when_docker_logs_in_then_it_is_refused(docker: Docker, sandbox: SandboxProcess) -> None:
    address = sandbox.endpoint.removeprefix("http://")

    done = docker.attempt("login", "--username", "AWS", "--password-stdin", address, given="guess")

    assert done.returncode != 0
    assert "failed with status: 400 Bad Request" in done.stderr
