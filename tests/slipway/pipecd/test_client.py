"""PipeCD's API over a real socket: what is read of its answers, and what is said where there is none."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from demo.processes import free_port
from scripts.pipecd_api import write
from slipway.errors import NeedsPersonError, TransientError
from slipway.pipecd import api_pb2
from slipway.pipecd.client import ANSWER_LIMIT, REASON_LIMIT, DeploymentState, PipecdApi
from tests.support.pipecd import KEY, PipecdServer
from tests.support.secured import write_certificates

ROOT = Path(__file__).parents[3]
COMMIT = "b" * 40


@pytest.fixture
def server() -> Iterator[PipecdServer]:
    with PipecdServer() as server:
        yield server


class KeyFile:
    """The file of an API key."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "key"
        self.hold(f"{KEY}\n")

    def hold(self, text: str) -> None:
        self.path.write_text(text)

    def remove(self) -> None:
        self.path.unlink()


@pytest.fixture
def key_file(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path)


@pytest.fixture
async def api(server: PipecdServer, key_file: KeyFile) -> AsyncIterator[PipecdApi]:
    api = PipecdApi(server.address, key_file.path, plaintext=True)
    yield api
    await api.close()


# --- What is read ---


async def test_given_applications_of_a_name_when_they_are_asked_for_then_those_that_are_disabled_are_apart(
    server: PipecdServer, api: PipecdApi
) -> None:
    server.register("git@example.com:acme/deploy.git", "./apps/screening/")
    server.register("git@example.com:acme/deploy.git", id="b", disabled=True)
    server.register("git@example.com:acme/deploy.git", id="c", name="other")
    [enabled] = await api.applications("screening")
    [disabled] = await api.applications("screening", disabled=True)
    assert (enabled.id, enabled.folder, enabled.file, enabled.branch) == ("a", "apps/screening", "app.pipecd.yaml", "main")
    assert (disabled.id, disabled.is_disabled) == ("b", True)


async def test_given_deployments_when_they_are_asked_for_then_the_newest_comes_first_whichever_changed_last(
    server: PipecdServer, api: PipecdApi
) -> None:
    server.deploy(COMMIT, api_pb2.DEPLOYMENT_FAILURE, "Failed while executing stage ECS_SYNC")
    server.deploy(COMMIT, api_pb2.DEPLOYMENT_RUNNING)
    server.deployments.reverse()
    newest, oldest = await api.deployments("a")
    assert (newest.id, newest.state, newest.line) == ("d2", DeploymentState.RUNNING, "deployment d2 RUNNING by PipeCD")
    assert oldest.sentence == f"PipeCD's deployment d1 of {COMMIT[:12]} is FAILURE (Failed while executing stage ECS_SYNC)"


async def test_given_the_logs_of_a_deployments_stages_when_they_are_read_then_the_last_error_counts(
    server: PipecdServer, api: PipecdApi
) -> None:
    server.errors["d1"] = "Failed to run ECS task:\n\x1b[31mAccessDenied"
    assert await api.last_error("d1") == "Failed to run ECS task: �[31mAccessDenied"
    assert await api.last_error("d2") == ""


async def test_given_what_a_stranger_might_answer_when_it_is_read_then_it_is_cut_and_harmless(
    server: PipecdServer, api: PipecdApi
) -> None:
    deployment = server.deploy("--upload-pack=x", reason=f"\x1b[31mred\n{'x' * 10_000}")
    deployment.id = "\x1b[2J" + "y" * 1_000
    other = api_pb2.Deployment(id="d9", application_id="another")
    more = b"\xf0\x01\x09"  # status (30) is 9
    raw = api_pb2.ListDeploymentsResponse(deployments=[deployment, other])
    raw.deployments.add().MergeFromString(other.SerializeToString() + b"\x12\x01a" + more)
    server.raw = raw.SerializeToString()
    first, unknown = await api.deployments("a")
    assert (first.commit, len(first.id)) == ("", 64)
    assert "\x1b" not in first.sentence
    assert len(first.reason) == REASON_LIMIT + 1
    assert unknown.state is DeploymentState.UNKNOWN


def test_given_the_messages_when_they_are_compared_with_pipecds_then_the_numbers_are_its_own() -> None:
    """As `service.proto` of pipe-cd/pipecd has them, and the files of its models."""
    numbers = {
        name: {field.name: field.number for field in message.fields}
        for name, message in api_pb2.DESCRIPTOR.message_types_by_name.items()
    }
    assert numbers == {
        "ListApplicationsRequest": {"name": 1, "disabled": 4, "limit": 7},
        "ListApplicationsResponse": {"applications": 1},
        "ListDeploymentsRequest": {"application_ids": 3, "limit": 6},
        "ListDeploymentsResponse": {"deployments": 1},
        "ListStageLogsRequest": {"deployment_id": 1},
        "ListStageLogsResponse": {"stage_logs": 1},
        "StageLog": {"blocks": 1},
        "LogBlock": {"log": 2, "severity": 3, "created_at": 14},
        "Application": {"id": 1, "name": 2, "git_path": 7, "sync_state": 13, "disabled": 100},
        "GitPath": {"repo": 1, "path": 2, "config_filename": 4},
        "GitRepository": {"remote": 2, "branch": 3},
        "SyncState": {"status": 1, "short_reason": 2, "reason": 3},
        "Deployment": {
            "id": 1,
            "application_id": 2,
            "trigger": 20,
            "status": 30,
            "status_reason": 31,
            "created_at": 101,
        },
        "Trigger": {"commit": 1},
        "Commit": {"hash": 1},
    }


def test_given_the_description_of_the_api_when_its_python_is_written_anew_then_it_is_what_is_kept(tmp_path: Path) -> None:
    assert write(tmp_path) == 0
    for name in ("api_pb2.py", "api_pb2.pyi"):
        assert (tmp_path / "slipway/pipecd" / name).read_text() == (ROOT / "slipway/pipecd" / name).read_text()


# --- The key ---


async def test_given_a_wrong_key_when_pipecd_refuses_it_then_it_is_not_repeated(server: PipecdServer, key_file: KeyFile) -> None:
    key_file.hold("S3CRET")
    api = PipecdApi(server.address, key_file.path, plaintext=True)
    with pytest.raises(NeedsPersonError) as refused:
        await api.check()
    assert refused.value.report.answered == "UNAUTHENTICATED: Unauthenticated: API-KEY <key>"
    assert "SLIPWAY_PIPECD_API_KEY_FILE" in refused.value.report.remedy
    key_file.hold(KEY)
    await api.check()
    await api.close()


@pytest.mark.parametrize("content", ["", "two words", "S3CRET\nS3CRET", "S" * 5_000, "clé"])
async def test_given_a_file_without_a_key_when_pipecd_is_asked_then_nothing_is_sent_and_the_file_is_not_repeated(
    server: PipecdServer, api: PipecdApi, key_file: KeyFile, content: str
) -> None:
    key_file.hold(content)
    with pytest.raises(NeedsPersonError, match="the file of the key does not hold one") as refused:
        await api.check()
    assert "S3CRET" not in str(refused.value)
    key_file.remove()
    with pytest.raises(NeedsPersonError, match="cannot be read: No such file"):
        await api.check()
    assert server.asked == []


# --- No answer ---


async def test_given_nobody_at_the_address_when_pipecd_is_asked_then_it_is_told_as_out_of_reach(key_file: KeyFile) -> None:
    api = PipecdApi(f"127.0.0.1:{free_port()}", key_file.path, plaintext=True)
    with pytest.raises(TransientError, match="UNAVAILABLE") as silent:
        await api.check()
    assert "SLIPWAY_PIPECD_API names PipeCD's API" in silent.value.report.remedy
    await api.close()


async def test_given_a_server_that_does_not_answer_when_the_time_is_over_then_it_is_given_up(
    server: PipecdServer, key_file: KeyFile
) -> None:
    server.released.clear()
    api = PipecdApi(server.address, key_file.path, plaintext=True, seconds=0.1)
    with pytest.raises(TransientError, match=r"DEADLINE_EXCEEDED: no answer in 0\.1 s"):
        await api.check()
    await api.close()


@pytest.mark.parametrize(
    ("raw", "said"),
    [(b"\x0a" * (ANSWER_LIMIT + 1), "RESOURCE_EXHAUSTED"), (b"<html>", "the answer is none of PipeCD's")],
    ids=["too-much", "something-else"],
)
async def test_given_an_answer_that_is_too_large_or_none_of_pipecds_when_it_comes_then_it_is_not_read(
    server: PipecdServer, api: PipecdApi, raw: bytes, said: str
) -> None:
    server.raw = raw
    with pytest.raises(NeedsPersonError, match=said):
        await api.check()


# --- TLS ---


async def test_given_a_server_with_tls_when_it_is_asked_then_only_an_authority_that_is_known_is_believed(
    tmp_path: Path, key_file: KeyFile
) -> None:
    write_certificates(tmp_path)
    with PipecdServer(tmp_path) as server:
        trusting = PipecdApi(server.address, key_file.path, tmp_path / "ca.pem")
        await trusting.check()
        asked = len(server.asked)
        others = (PipecdApi(server.address, key_file.path), PipecdApi(server.address, key_file.path, plaintext=True))
        for other in others:
            with pytest.raises(TransientError, match="UNAVAILABLE"):
                await other.check()
        assert len(server.asked) == asked
        for api in (trusting, *others):
            await api.close()
