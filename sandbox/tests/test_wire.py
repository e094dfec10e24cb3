import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError
from slipway_sandbox.testing import SandboxProcess
from slipway_sandbox.testing_contract import behaviour


@pytest.fixture
def line(sandbox: SandboxProcess) -> http.client.HTTPConnection:
    """One connection to the sandbox."""
    return http.client.HTTPConnection(urlsplit(sandbox.endpoint).netloc, timeout=10)


def wait_for(condition: Callable[[], bool], what: str, timeout: float = 10) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"timeout after {timeout} s waiting for {what}"


@behaviour(
    "Around the services",
    "connections",
    like="kept open; bodies of any size; `Expect: 100-continue`",
    differs="plain HTTP",
)
def test_given_a_connection_when_two_requests_come_on_it_then_both_are_answered(line: http.client.HTTPConnection) -> None:
    for _ in range(2):
        line.request("GET", "/_sandbox/health")
        answer = line.getresponse()
        assert json.loads(answer.read())["status"] == "ok"
        assert not answer.will_close


def test_given_a_body_that_nobody_reads_when_the_next_request_comes_then_it_is_understood(
    line: http.client.HTTPConnection,
) -> None:
    line.request("POST", "/v2/app/blobs/uploads/", body=b"x" * 100_000)
    refused = line.getresponse()
    refused.read()

    line.request("GET", "/_sandbox/health")

    assert refused.status == 401
    assert line.getresponse().status == 200


def test_given_garbled_chunks_when_they_are_read_then_the_connection_ends_and_the_sandbox_serves_on(
    sandbox: SandboxProcess, line: http.client.HTTPConnection
) -> None:
    address = urlsplit(sandbox.endpoint)
    with socket.create_connection((address.hostname, address.port), timeout=10) as raw:
        raw.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n")
        with contextlib.suppress(ConnectionResetError):
            while raw.recv(4096):
                pass

    line.request("GET", "/_sandbox/health")
    assert line.getresponse().status == 200


def test_given_a_length_that_is_no_number_when_a_request_comes_then_it_is_refused(line: http.client.HTTPConnection) -> None:
    line.request("POST", "/_sandbox/reset", headers={"Content-Length": "many"})

    assert line.getresponse().status == 400


@pytest.mark.parametrize(("kind", "done"), [("reset", False), ("lost-answer", True)])
@behaviour(
    "Around the services",
    "lost connections",
    like="before the call had its effect (`reset`), or after it (`lost-answer`)",
    differs="only where a fault is planted",
)
def test_given_a_cut_line_when_a_repository_is_created_then_only_a_lost_answer_has_an_effect(
    sandbox: SandboxProcess, account: str, kind: str, done: bool
) -> None:
    ecr = sandbox.client("ecr", account)
    sandbox.plant_fault("ecr", "CreateRepository", kind, account=account)

    with pytest.raises(ConnectionClosedError):
        ecr.create_repository(repositoryName="app")

    assert bool(ecr.describe_repositories()["repositories"]) is done
    assert "Traceback" not in sandbox.log.read_text()


@behaviour(
    "Around the services",
    "late answers",
    like="the call has had its effect, and its answer is to come",
    differs="only where a fault is planted: until it is taken away (`hold-answer`)",
)
def test_given_a_held_answer_when_the_fault_is_removed_then_the_answer_comes(sandbox: SandboxProcess, account: str) -> None:
    ecr = sandbox.client("ecr", account)
    fault = sandbox.plant_fault("ecr", "CreateRepository", "hold-answer", account=account)
    waiting = threading.Thread(target=ecr.create_repository, kwargs={"repositoryName": "app"}, daemon=True)
    waiting.start()
    wait_for(lambda: bool(sandbox.calls(operation="CreateRepository", account=account)), "the effect")

    assert waiting.is_alive()
    sandbox.remove_fault(fault)
    waiting.join(10)

    assert not waiting.is_alive()


@pytest.mark.parametrize(
    ("kind", "code", "status"), [("throttle", "ThrottlingException", 400), ("server-error", "InternalFailure", 500)]
)
@behaviour(
    "Around the services",
    "throttling and errors",
    like="the error in the service's own protocol, so that SDKs try again as they do on AWS",
    differs="only where a fault is planted: nothing is throttled by itself",
)
def test_given_a_planted_error_when_a_call_comes_then_it_is_refused_once(
    sandbox: SandboxProcess, account: str, kind: str, code: str, status: int
) -> None:
    ecr = sandbox.client("ecr", account)
    sandbox.plant_fault("ecr", "CreateRepository", kind, account=account)

    with pytest.raises(ClientError) as caught:
        ecr.create_repository(repositoryName="app")
    ecr.create_repository(repositoryName="app")

    assert caught.value.response["Error"]["Code"] == code  # pyright: ignore[reportTypedDictNotRequiredAccess]
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status  # pyright: ignore[reportTypedDictNotRequiredAccess]
