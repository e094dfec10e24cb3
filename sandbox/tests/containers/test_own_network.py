"""Containers with a network namespace of their own, for images that insist on a port."""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from sys import executable

import httpx
import pytest
from slipway_sandbox.containers.container import Container, ContainerSpec, Mount, OwnNetwork
from slipway_sandbox.containers.images import Image
from slipway_sandbox.containers.runtime import ContainerRuntime

from sandbox.testkit.contract import behaviour

PORT = 8080
SERVE = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    def do_GET(self):
        self.answer(os.environ["NAME"].encode())
    def do_POST(self):
        self.answer(self.rfile.read(int(self.headers["Content-Length"])))
    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
http.server.ThreadingHTTPServer(("0.0.0.0", 8080), Handler).serve_forever()
"""
ASK = """
import os, urllib.request
print(urllib.request.urlopen(os.environ["AWS_ENDPOINT_URL"] + "/hello").read().decode())
"""
PROBE = """
import os, socket
try:
    socket.create_connection(("127.0.0.1", int(os.environ["PORT"])), 5)
except OSError as error:
    print(error.strerror)
"""


class Outside(BaseHTTPRequestHandler):
    """Stands for the sandbox's own address."""

    def do_GET(self) -> None:
        body = f"outside {self.path}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture
def outside() -> Iterator[int]:
    """The port of a server on the host."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Outside)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


Start = Callable[..., tuple[Container, list[str]]]


@pytest.fixture
def start(runtime: ContainerRuntime, shell: Image, python: list[Mount]) -> Start:
    """Starts a Python program in a network of its own; answers the container and its output."""

    def start_program(program: str, network: OwnNetwork, **environment: str) -> tuple[Container, list[str]]:
        lines: list[str] = []
        spec = ContainerSpec(
            name="own",
            entry_point=[str(Path(executable).resolve()), "-I", "-S", "-c", program],
            environment=environment,
            mounts=python,
            network=network,
            on_output=lines.append,
        )
        return runtime.start(shell, spec), lines

    return start_program


def address_of(container: Container) -> str:
    """Where its port is found on the host."""
    return f"http://127.0.0.1:{container.published[PORT]}"


def answers(container: Container) -> bool:
    """Whether it serves; a connection before that is reset."""
    try:
        return httpx.get(address_of(container), trust_env=False).is_success
    except httpx.TransportError:
        return False


@behaviour(
    "Containers", "network", like="several images that insist on port 8080 run side by side, each with a network of its own"
)
def test_given_two_images_on_the_same_port_when_both_run_then_each_is_reached(
    start: Start, until: Callable[[Callable[[], bool], str], None]
) -> None:
    network = OwnNetwork(published=(PORT,))
    both = [start(SERVE, network, NAME=name)[0] for name in ("one", "two")]
    for container in both:
        until(lambda container=container: answers(container), "the server")
    assert [httpx.get(address_of(container), trust_env=False).text for container in both] == ["one", "two"]


def test_given_a_large_body_when_it_crosses_both_ways_then_it_arrives_whole(
    start: Start, until: Callable[[Callable[[], bool], str], None]
) -> None:
    container, _ = start(SERVE, OwnNetwork(), NAME="x")
    until(lambda: answers(container), "the server")
    body = bytes(range(256)) * (32 << 10)
    assert httpx.post(address_of(container), content=body, trust_env=False).content == body


@behaviour(
    "Containers",
    "the sandbox from inside",
    like="`AWS_ENDPOINT_URL` leads to it",
    differs="where the image does not insist on a port, the network is the host's, which containers share; else it reaches "
    "the sandbox and nothing outside",
)
def test_given_the_sandboxs_address_when_it_is_reachable_then_the_same_url_works_inside(start: Start, outside: int) -> None:
    network = OwnNetwork(published=(), reachable=(("127.0.0.1", outside),))
    container, lines = start(ASK, network, AWS_ENDPOINT_URL=f"http://127.0.0.1:{outside}")
    assert (container.wait(20), lines) == (0, ["outside /hello"])


def test_given_a_network_of_its_own_when_it_looks_for_other_ports_of_the_host_then_there_are_none(
    start: Start, outside: int
) -> None:
    container, lines = start(PROBE, OwnNetwork(), PORT=str(outside))
    assert (container.wait(20), lines) == (0, ["Connection refused"])


def test_given_the_outside_gone_when_it_is_asked_then_the_connection_breaks(start: Start) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Outside) as server:
        port = server.server_port
    program = ASK.replace("print(", "import sys\ntry: print(").rstrip() + "\nexcept OSError: sys.exit(9)\n"
    container, lines = start(program, OwnNetwork((), (("127.0.0.1", port),)), AWS_ENDPOINT_URL=f"http://127.0.0.1:{port}")
    assert (container.wait(20), lines) == (9, [])


def test_given_a_container_that_ended_when_its_port_is_tried_then_nobody_has_it(
    start: Start, until: Callable[[Callable[[], bool], str], None]
) -> None:
    container, _ = start(SERVE, OwnNetwork(), NAME="x")
    until(lambda: answers(container), "the server")
    container.stop(0)

    def refused() -> bool:
        try:
            httpx.get(address_of(container), trust_env=False)
        except httpx.ConnectError:
            return True
        except httpx.TransportError:
            return False
        return False

    until(refused, "the port to be free")
