"""The worker's process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import urllib.error
import urllib.request
from asyncio.subprocess import DEVNULL, PIPE, Process
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pydantic import ValidationError
from structlog.testing import capture_logs
from temporalio.client import Client

from demo.processes import free_port
from demo.stack import BINARIES
from demo.temporal import TemporalServer
from slipway.git.mirror import Author
from slipway.temporal.start import has_worker
from slipway.worker.arguments import read_arguments
from slipway.worker.settings import WorkerSettings, default_work_folder
from tests.support.pipecd import KEY, PipecdServer
from tests.support.secured import write_certificates
from tests.support.world import World, working
from worker import tell_failure, wrong_setting


def environment(temporal: TemporalServer, folder: Path, **changes: str) -> dict[str, str]:
    return {
        "PATH": f"{BINARIES}{os.pathsep}{os.environ.get('PATH', '')}",
        "HOME": str(folder),
        "TEMPORAL_ADDRESS": temporal.address,
        "TEMPORAL_NAMESPACE": "default",
        "SLIPWAY_REPOSITORIES": "file:///repositories/*",
        "SLIPWAY_WORK_FOLDER": str(folder),
        "SLIPWAY_TASK_QUEUE": f"worker-{uuid4()}",
        "SLIPWAY_HEALTH_PORT": "0",
        "SLIPWAY_METRICS_PORT": "0",
        **changes,
    }


async def start(variables: dict[str, str]) -> Process:
    return await asyncio.create_subprocess_exec(
        str(BINARIES / "slipway-worker"), env=variables, stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE
    )


async def until_logged(process: Process, event: str) -> dict[str, object]:
    assert process.stderr
    async with asyncio.timeout(30):
        while line := await process.stderr.readline():
            logged = json.loads(line)
            if logged["event"] == event:
                return logged
    pytest.fail(f"the worker ended before it logged {event!r}")


async def get(port: int, path: str) -> tuple[int, str]:
    def ask() -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    return await asyncio.to_thread(ask)


async def until_ready(port: int) -> None:
    """The worker says that it begins to poll, and is ready a moment later."""
    deadline = asyncio.get_running_loop().time() + 30
    while (answer := await get(port, "/readyz")) != (200, "ready\n"):
        assert asyncio.get_running_loop().time() < deadline, f"timeout after 30 s waiting for readyz; it says {answer}"
        await asyncio.sleep(0.05)


async def test_given_a_worker_when_it_polls_then_it_is_ready_and_counted_and_stops_when_told(
    temporal: TemporalServer, tmp_path: Path
) -> None:
    health, metrics = free_port(), free_port()
    ports = {"SLIPWAY_HEALTH_PORT": str(health), "SLIPWAY_METRICS_PORT": str(metrics)}
    process = await start(environment(temporal, tmp_path, **ports))
    try:
        logged = await until_logged(process, "polling")
        assert logged["namespace"] == "default"
        assert await get(health, "/healthz") == (200, "ok\n")
        await until_ready(health)
        assert (await get(health, "/other"))[0] == 404
        assert "temporal_" in (await get(metrics, "/metrics"))[1]
    finally:
        process.send_signal(signal.SIGTERM)
    await until_logged(process, "stopped")
    assert await asyncio.wait_for(process.wait(), 20) == 0


async def test_given_a_namespace_without_search_attributes_then_one_line_says_what_to_run(
    temporal: TemporalServer, client: Client, tmp_path: Path
) -> None:
    process = await start(environment(temporal, tmp_path, TEMPORAL_NAMESPACE="not-there"))
    logged = await until_logged(process, "cannot start")
    assert logged["remedy"] == "run `slipway setup`"
    assert await process.wait() == 1


async def test_given_a_task_beside_the_polling_that_fails_then_it_is_logged_with_what_it_did() -> None:
    async def fail() -> None:
        raise ValueError("no idea")

    with capture_logs() as logs:
        for work in (fail(), asyncio.Event().wait()):
            task: asyncio.Task[Any] = asyncio.create_task(work, name="watching branches")
            task.add_done_callback(tell_failure)
            task.get_loop().call_soon(task.get_loop().call_soon, task.cancel)
            await asyncio.wait([task])
    assert [(each["log_level"], each["tried"], str(each["exc_info"])) for each in logs] == [
        ("error", "watching branches", "no idea")
    ]


@pytest.mark.parametrize("setting", ["SLIPWAY_HEALTH_PORT", "SLIPWAY_METRICS_PORT"])
async def test_given_a_port_that_is_taken_then_one_line_says_which_setting_to_change(
    temporal: TemporalServer, client: Client, tmp_path: Path, setting: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = await start(environment(temporal, tmp_path, **{setting: str(taken.getsockname()[1])}))
        logged = await until_logged(process, "cannot start")
    assert str(logged["remedy"]).startswith(f"set {setting} to a free port, or 0")
    assert await process.wait() == 1


async def test_given_no_server_then_one_line_says_how_to_start_one(temporal: TemporalServer, tmp_path: Path) -> None:
    process = await start(environment(temporal, tmp_path, TEMPORAL_ADDRESS="127.0.0.1:1"))
    logged = await until_logged(process, "cannot start")
    assert "docker compose up" in str(logged["remedy"])
    assert await process.wait() == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"SLIPWAY_REPOSITORIES": ""},
        {"SLIPWAY_REPOSITORIES": "ftp://x"},
        {"SLIPWAY_REPOSITORIES": "https://host/x@a..b"},
        {"SLIPWAY_POLICY": "policy.yaml"},
        {"SLIPWAY_POLL_SECONDS": "often"},
    ],
)
async def test_given_wrong_settings_then_one_line_names_the_variable(
    temporal: TemporalServer, tmp_path: Path, wrong: dict[str, str]
) -> None:
    process = await start(environment(temporal, tmp_path, **wrong))
    _, said = await process.communicate()
    assert process.returncode == 2
    assert len(said.decode().splitlines()) == 1
    assert next(iter(wrong)) in said.decode()


async def test_given_no_credentials_and_a_repository_that_is_not_there_then_warnings_say_what_to_do_and_it_polls(
    temporal: TemporalServer, tmp_path: Path
) -> None:
    nowhere = {"AWS_EC2_METADATA_DISABLED": "true", "SLIPWAY_REPOSITORIES": f"{tmp_path.as_uri()}/missing.git,file:///below/*"}
    health = free_port()
    process = await start(environment(temporal, tmp_path, SLIPWAY_HEALTH_PORT=str(health), **nowhere))
    try:
        warned = [await until_logged(process, "promotions will park") for _ in range(2)]
        said = {str(each["tried"]): each for each in warned}
        assert "AWS_PROFILE" in str(said["looking for AWS credentials"]["remedy"])
        assert "does not appear to be a git repository" in str(
            said[f"reading the branches of {tmp_path.as_uri()}/missing.git"]["answered"]
        )
        await until_ready(health)
    finally:
        process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), 20) == 0


@pytest.mark.parametrize(
    ("key", "is_secured", "event"),
    [(KEY, False, "PipeCD answers"), ("S3CRET", False, "PipeCD cannot be asked"), (KEY, True, "PipeCD cannot be asked")],
    ids=["its-key", "another-key", "an-unknown-authority"],
)
async def test_given_a_pipecd_when_the_worker_starts_then_it_says_whether_that_answers_and_polls(
    temporal: TemporalServer, client: Client, tmp_path: Path, key: str, is_secured: bool, event: str
) -> None:
    (tmp_path / "key").write_text(key)
    write_certificates(tmp_path)
    with PipecdServer(tmp_path if is_secured else None) as pipecd:
        plaintext = str(not is_secured)
        api = {"PIPECD_API": pipecd.address, "PIPECD_API_KEY_FILE": str(tmp_path / "key"), "PIPECD_API_PLAINTEXT": plaintext}
        process = await start(environment(temporal, tmp_path, **{f"SLIPWAY_{name}": value for name, value in api.items()}))
        try:
            logged = await until_logged(process, event)
        finally:
            process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 20) == 0
    assert logged["address"] == pipecd.address
    assert "S3CRET" not in str(logged)


def test_given_an_address_of_pipecd_without_a_key_then_it_is_said_which_setting_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SLIPWAY_REPOSITORIES", "file:///repositories/*")
    monkeypatch.setenv("SLIPWAY_PIPECD_API", "pipecd.example.com:443")
    with pytest.raises(ValidationError, match="SLIPWAY_PIPECD_API needs SLIPWAY_PIPECD_API_KEY_FILE"):
        WorkerSettings()  # pyright: ignore[reportCallIssue] -- the environment fills it


@pytest.mark.parametrize(
    ("content", "told"), [("apps: []", "is required and absent"), (None, "set SLIPWAY_POLICY to a file that can be read")]
)
async def test_given_a_policy_that_cannot_be_used_then_the_worker_does_not_start(
    temporal: TemporalServer, client: Client, tmp_path: Path, content: str | None, told: str
) -> None:
    policy = tmp_path / "policy.yaml"
    if content is not None:
        policy.write_text(content)
    process = await start(environment(temporal, tmp_path, SLIPWAY_REPOSITORIES="", SLIPWAY_POLICY=str(policy)))
    logged = await until_logged(process, "cannot start")
    assert told in f"{logged['answered']} {logged['remedy']}"
    assert await process.wait() == 1


def test_given_help_then_every_setting_is_named_with_its_default(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        read_arguments(["--help"])
    said = capsys.readouterr().out
    assert ended.value.code == 0
    assert all(f"SLIPWAY_{name.upper()}" in said for name in WorkerSettings.model_fields)
    assert "Either SLIPWAY_REPOSITORIES or SLIPWAY_POLICY is required" in said
    assert "(default: 30)" in said
    assert "(default: )" not in said
    assert "None" not in said
    assert not [line for line in said.splitlines() if len(line) > 80]


@pytest.mark.parametrize(("arguments", "code"), [(["--version"], 0), (["serve"], 2)])
def test_given_arguments_then_no_worker_starts(arguments: list[str], code: int) -> None:
    with pytest.raises(SystemExit) as ended:
        read_arguments(arguments)
    assert ended.value.code == code


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("SLIPWAY_GIT_AUTHOR", "Bot <x>", "without < and >"),
        ("SLIPWAY_GIT_AUTHOR", "Bot\nSlipway-Promotion: x", "printable"),
        ("SLIPWAY_GIT_AUTHOR", "Bot.", "at both ends"),
        ("SLIPWAY_GIT_EMAIL", " ", "1 to 200"),
        ("SLIPWAY_GIT_SIGNING_KEY", "/nowhere/key", "names no file"),
        ("SLIPWAY_SIGSTORE_ROOT", "/nowhere/trusted_root.json", "it cannot be read: No such file"),
        ("SLIPWAY_PIPECD_API", "https://pipecd.example.com", "should match pattern"),
        ("SLIPWAY_PIPECD_API_KEY_FILE", "/nowhere/key", "it cannot be read: No such file"),
    ],
)
def test_given_git_settings_that_are_wrong_then_it_is_said_which_and_what_to_write(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv("SLIPWAY_REPOSITORIES", "file:///repositories/*")
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError) as refused:
        WorkerSettings()  # pyright: ignore[reportCallIssue] -- the environment fills it
    (error,) = refused.value.errors()
    assert wrong_setting(error).startswith(f"{name}: ")
    assert said in wrong_setting(error)


async def test_given_the_key_itself_as_the_signing_key_then_the_worker_does_not_repeat_it(
    temporal: TemporalServer, tmp_path: Path
) -> None:
    key = "-----BEGIN OPENSSH PRIVATE KEY-----\nS3CRET\n-----END OPENSSH PRIVATE KEY-----"
    process = await start(environment(temporal, tmp_path, SLIPWAY_GIT_SIGNING_KEY=key))
    assert process.stderr
    said = (await process.stderr.read()).decode()
    assert await process.wait() == 2
    assert "SLIPWAY_GIT_SIGNING_KEY: Value error, it names no file" in said
    assert "S3CRET" not in said


def test_given_git_settings_then_commits_are_by_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "key").touch()
    settings = {"REPOSITORIES": "file:///repositories/*", "GIT_AUTHOR": "Ünal Bot", "GIT_EMAIL": "bot@example.com"}
    for name, value in (settings | {"GIT_SIGNING_KEY": str(tmp_path / "key")}).items():
        monkeypatch.setenv(f"SLIPWAY_{name}", value)
    author = WorkerSettings().author()  # pyright: ignore[reportCallIssue] -- the environment fills it
    assert author == Author("Ünal Bot", "bot@example.com", tmp_path / "key")


def test_given_empty_variables_then_they_are_settings_that_are_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIPWAY_REPOSITORIES", "file:///repositories/*")
    plain = WorkerSettings()  # pyright: ignore[reportCallIssue] -- the environment fills it
    for name in WorkerSettings.model_fields.keys() - {"repositories"}:
        monkeypatch.setenv(f"SLIPWAY_{name.upper()}", "")
    assert WorkerSettings() == plain  # pyright: ignore[reportCallIssue] -- the environment fills it


def test_given_no_work_folder_then_it_is_where_programs_keep_their_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/slipway")
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    assert default_work_folder() == Path("/home/slipway/.local/state/slipway")
    monkeypatch.setenv("XDG_STATE_HOME", "/var/lib")
    assert default_work_folder() == Path("/var/lib/slipway")


async def test_given_a_worker_that_starts_a_moment_later_when_somebody_looks_for_one_then_it_is_seen(client: Client) -> None:
    world = World(task_queue=f"late-{uuid4()}")
    looking = asyncio.create_task(has_worker(client, world.task_queue))
    await client.count_workflows()  # by then nobody was seen to poll
    async with working(client, world):
        assert await looking


@pytest.mark.parametrize("versioned", [{}, {"SLIPWAY_VERSIONED": "true", "SLIPWAY_BUILD_ID": "one"}], ids=["plain", "versioned"])
async def test_given_a_worker_then_who_starts_a_promotion_can_see_it(
    temporal: TemporalServer, client: Client, tmp_path: Path, versioned: dict[str, str]
) -> None:
    variables = environment(temporal, tmp_path, **versioned)
    assert not await has_worker(client, variables["SLIPWAY_TASK_QUEUE"])
    process = await start(variables)
    try:
        await until_logged(process, "polling")
        assert await has_worker(client, variables["SLIPWAY_TASK_QUEUE"])
    finally:
        process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), 20) == 0
