"""Blobs of the size that images of machine learning have: through the registry in a stream, never whole in its memory."""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from slipway_sandbox.testing import SandboxProcess, fresh_account

from sandbox.testkit.contract import behaviour

PIECE = 1 << 20
PIECES = 1024
MEMORY = 250 << 20
"""Bytes that the whole process may take at its peak: a quarter of the blob."""
PATIENCE = 30.0


@pytest.fixture
def small_sandbox(tmp_path: Path) -> Iterator[SandboxProcess]:
    """A sandbox that nobody else has filled; its data are gone at the end."""
    with SandboxProcess(log=tmp_path / "sandbox.log") as process:
        yield process


def peak_memory(pid: int) -> int:
    """The most bytes that a process ever had in memory."""
    found = re.search(r"^VmHWM:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found
    return int(found[1]) * 1024


def ask(connection: http.client.HTTPConnection, method: str, path: str, **more: object) -> http.client.HTTPResponse:
    connection.request(method, path, **more)  # pyright: ignore[reportArgumentType]
    return connection.getresponse()


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="a process's memory is read from /proc")
@behaviour("The registry, `/v2/`", "large layers", like="1 GB goes in and out in a stream, while the process stays below 250 MB")
def test_given_a_blob_of_a_gigabyte_when_pushed_and_pulled_then_it_is_whole_and_never_in_memory(
    small_sandbox: SandboxProcess,
) -> None:
    ecr = small_sandbox.client("ecr", fresh_account())
    ecr.create_repository(repositoryName="large")
    token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    headers = {"Authorization": f"Basic {token}"}
    piece = os.urandom(PIECE)
    whole = hashlib.sha256()
    for _ in range(PIECES):
        whole.update(piece)
    digest = f"sha256:{whole.hexdigest()}"
    connection = http.client.HTTPConnection(small_sandbox.endpoint.removeprefix("http://"), timeout=PATIENCE)

    begin = time.monotonic()
    upload = ask(connection, "POST", "/v2/large/blobs/uploads/", headers=headers)
    upload.read()
    place = f"{upload.headers['Location']}?digest={digest}"
    sized = {**headers, "Content-Length": str(PIECE * PIECES)}
    pushed = ask(connection, "PUT", place, body=(piece for _ in range(PIECES)), headers=sized)
    pushed.read()
    pulled = ask(connection, "GET", f"/v2/large/blobs/{digest}", headers=headers)
    received = hashlib.sha256()
    while part := pulled.read(PIECE):
        received.update(part)
    took = time.monotonic() - begin
    connection.close()

    assert (pushed.status, pulled.status) == (201, 200)
    assert f"sha256:{received.hexdigest()}" == digest
    assert peak_memory(small_sandbox.pid) < MEMORY
    assert took < PATIENCE
