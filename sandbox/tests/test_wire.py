import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError
from slipway_sandbox.http.server import HEAD_LIMIT, Server
from slipway_sandbox.testing import SandboxProcess, wait_until

from sandbox.testkit.contract import behaviour


@pytest.fixture
def line(sandbox: SandboxProcess) -> http.client.HTTPConnection:
    """One connection to the sandbox."""
    return http.client.HTTPConnection(urlsplit(sandbox.endpoint).netloc, timeout=10)


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


@behaviour(
    "Around the services",
    "calls that are too long",
    like="refused with 413",
    differs="from 32 MiB on, whatever the service; the code `RequestEntityTooLargeException` and its message are not verified",
)
def test_given_a_body_longer_than_any_call_when_it_comes_then_it_is_refused(
    sandbox: SandboxProcess, line: http.client.HTTPConnection, account: str
) -> None:
    ecr = sandbox.client("ecr", account)
    with pytest.raises(ClientError) as caught:
        ecr.put_image(repositoryName="app", imageManifest="x" * (32 * 1024**2))
    line.request("POST", "/_sandbox/faults", body=b"x" * (17 * 1024**2))

    assert caught.value.response["Error"]["Code"] == "RequestEntityTooLargeException"  # pyright: ignore[reportTypedDictNotRequiredAccess]
    assert line.getresponse().status == 413


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
    wait_until(lambda: bool(sandbox.calls(operation="CreateRepository", account=account)), "the effect")

    assert waiting.is_alive()
    sandbox.remove_fault(fault)
    waiting.join(10)

    assert not waiting.is_alive()


@behaviour(
    "Around the services",
    "slow answers",
    like="the call has its effect, and takes longer",
    differs="only where a fault is planted (`delay`), in real seconds",
)
def test_given_a_delay_when_a_call_comes_then_it_takes_that_much_longer_and_is_done(
    sandbox: SandboxProcess, account: str
) -> None:
    ecr = sandbox.client("ecr", account)
    sandbox.plant_fault("ecr", "CreateRepository", "delay", account=account, seconds=0.5)

    began = time.monotonic()
    ecr.create_repository(repositoryName="app")

    assert time.monotonic() - began >= 0.5
    assert ecr.describe_repositories()["repositories"]


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


def echo(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answers how long the body was, and the target that its header names."""
    length = sum(len(part) for part in iter(lambda: environ["wsgi.input"].read(65536), b""))
    text = f"{length} {environ.get('HTTP_X_AMZ_TARGET', '-')}".encode()
    start_response("200 OK", [("Content-Length", str(len(text)))])
    return [text]


@pytest.fixture
def server() -> Iterator[Server]:
    """The server alone, in front of `echo`."""
    with Server("127.0.0.1", 0) as server:
        server.wsgi_app = echo
        thread = threading.Thread(target=server.serve)
        thread.start()
        yield server
        server.stop()
        thread.join()


def connected(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.server_port), timeout=20)


def answered(client: socket.socket, *parts: bytes) -> str:
    """What comes back until the connection ends."""
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        for part in parts:
            client.sendall(part)
    return b"".join(iter(lambda: client.recv(65536), b"")).decode("latin-1")


def asked(server: Server, *parts: bytes) -> str:
    with connected(server) as client:
        return answered(client, *parts)


END = b"Connection: close\r\n\r\n"


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /" + b"a" * HEAD_LIMIT + b" HTTP/1.1\r\n", 414),
        (b"GET / HTTP/1.1\r\nX-Long: " + b"a" * HEAD_LIMIT + b"\r\n", 413),
        (b"GET / HTTP/1.1\r\n" + b"X-Many: a\r\n" * 6_000, 413),
        (b"GET / HTTP/1.1\r\nnonsense\r\n", 400),
        (b"GET / HTTP/3.7\r\n", 505),
        (b"nonsense\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: " + b"9" * 5_000 + b"\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 99999999999999\r\n", 413),
        (b"POST / HTTP/1.1\r\nContent-Length: 99999999999999\r\nExpect: 100-continue\r\n", 413),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n", 501),
    ],
)
@behaviour(
    "Around the services",
    "malformed and oversized requests",
    like="refused before they reach a service: 400, 413, 414, 501",
    differs="64 KiB of request line and headers; a body of 52,000 MiB",
)
def test_given_a_request_beyond_the_limits_when_it_comes_then_it_is_refused(server: Server, head: bytes, status: int) -> None:
    assert asked(server, head, END).startswith(f"HTTP/1.1 {status} ")
    assert asked(server, b"GET / HTTP/1.1\r\n", END).endswith("0 -")


def test_given_no_length_when_a_request_comes_then_its_body_is_empty(server: Server) -> None:
    assert asked(server, b"POST / HTTP/1.1\r\n", END).endswith("\r\n\r\n0 -")


def test_given_a_negative_length_when_a_request_comes_then_its_body_is_empty(server: Server) -> None:
    assert asked(server, b"POST / HTTP/1.1\r\nContent-Length: -5\r\n", END, b"hello").endswith("0 -")


def test_given_a_header_with_an_underscore_when_it_comes_then_it_passes_for_no_other(server: Server) -> None:
    assert asked(server, b"GET / HTTP/1.1\r\nX_Amz_Target: mine\r\n", END).endswith("0 -")


def test_given_an_escaped_slash_when_a_path_comes_then_it_is_a_slash(server: Server) -> None:
    def path_of(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        return [environ["PATH_INFO"].encode("latin-1")]

    server.wsgi_app = path_of

    assert asked(server, b"GET /a%2Fb%20%C3%A4?c=%2F HTTP/1.0\r\n\r\n").endswith("\r\n\r\n/a/b ä".encode().decode("latin-1"))


CHUNKED = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_given_a_body_in_chunks_when_it_has_trailers_then_the_next_request_begins_behind_them(server: Server) -> None:
    body = b"5;extension=x\r\nhello\r\n6\r\n world\r\n0\r\nX-Trailer: a\r\n\r\n"

    answer = asked(server, CHUNKED, body, b"GET / HTTP/1.1\r\n", END)

    assert answer.count("HTTP/1.1 200 OK") == 2
    assert "\r\n\r\n11 -HTTP/1.1" in answer


@pytest.mark.parametrize("size", [b"-5", b"", b"long", b"fffffffffffffff"])
def test_given_a_chunk_of_no_size_when_it_comes_then_the_connection_ends(server: Server, size: bytes) -> None:
    assert asked(server, CHUNKED, size + b"\r\nhello\r\n0\r\n\r\n") == ""


@pytest.mark.parametrize("start", [b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n", CHUNKED + b"5\r\n"])
def test_given_a_body_that_breaks_off_when_it_is_read_then_it_does_not_pass_for_a_whole_one(server: Server, start: bytes) -> None:
    with connected(server) as client:
        client.sendall(start + b"hel")
        client.shutdown(socket.SHUT_WR)

        assert client.recv(65536) == b""


def test_given_a_client_that_falls_silent_when_the_time_is_over_then_the_connection_ends(server: Server) -> None:
    server.timeout = 0.2

    assert asked(server, b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhel") == ""
    assert asked(server, b"GET / HTTP/1.1\r\nX-Slow: ").startswith("HTTP/1.1 408 ")
    assert asked(server, b"GET / HTTP/1.1\r\n\r\n").endswith("0 -")


def test_given_answers_that_are_held_when_another_request_comes_then_it_is_answered(server: Server) -> None:
    goes_on = threading.Event()

    def held(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/held":
            goes_on.wait()
        return echo(environ, start_response)

    server.wsgi_app = held
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connected(server)) for _ in range(100)]
        for client in clients:
            client.sendall(b"GET /held HTTP/1.1\r\n" + END)

        assert asked(server, b"GET / HTTP/1.1\r\n", END).endswith("0 -")

        goes_on.set()
        assert all(answered(client).endswith("0 -") for client in clients)


def test_given_an_application_that_fails_when_a_request_comes_then_it_is_answered_with_500_and_logged(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_environ: WSGIEnvironment, _start_response: StartResponse) -> Iterable[bytes]:
        raise LookupError("a mistake")

    server.wsgi_app = fail

    assert asked(server, b"GET / HTTP/1.1\r\n\r\n").startswith("HTTP/1.1 500 ")
    assert "a mistake" in caplog.text


def test_given_an_unread_body_that_is_long_when_its_request_is_refused_then_the_client_sees_the_answer(
    server: Server,
) -> None:
    def refuse(_: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("401 Unauthorized", [("Content-Length", "2")])
        return [b"no"]

    server.wsgi_app = refuse
    length = 8 * 1024**2
    answer = asked(server, f"POST / HTTP/1.1\r\nContent-Length: {length}\r\n".encode() + END, b"x" * length)

    assert answer.startswith("HTTP/1.1 401 ")
    assert answer.endswith("no")
