"""A real Temporal server and a local AWS for each test process; each test has a task queue and an account of its own."""

from __future__ import annotations

import asyncio
import functools
import itertools
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from uuid import uuid4

import botocore.session
import pytest
from slipway_sandbox.testing import SandboxProcess
from temporalio.client import Client
from temporalio.service import GrpcCompression

from demo.temporal import TemporalServer
from sandbox.testkit.client_classes import share_client_classes
from slipway.aws.clients import Aws
from slipway.temporal.payloads import data_converter
from slipway.temporal.queries import AskAgain
from slipway.temporal.setup import set_up
from tests.support.servers import ONE_PARTITION, QUIET, temporal_server
from tests.support.world import World, working

share_client_classes()


@pytest.fixture(scope="session")
def temporal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TemporalServer]:
    """A server with Slipway's search attributes."""
    with temporal_server(tmp_path_factory.mktemp("temporal"), *ONE_PARTITION, *QUIET) as server:
        asyncio.run(_set_up(server.address))
        yield server


async def _set_up(address: str) -> None:
    await set_up(await Client.connect(address))


@pytest.fixture
async def client(temporal: TemporalServer) -> Client:
    return await Client.connect(
        temporal.address,
        data_converter=data_converter,
        interceptors=[AskAgain()],
        # The server is on this machine: to compress takes time, and saves none.
        grpc_compression=GrpcCompression.NONE,
    )


@pytest.fixture
async def world(client: Client) -> AsyncIterator[World]:
    """An outside world in which every step succeeds, and a worker that polls."""
    outside = World(task_queue=f"test-{uuid4()}")
    async with working(client, outside):
        yield outside


@pytest.fixture(scope="session")
def sandbox() -> Iterator[SandboxProcess]:
    """A running sandbox in which a minute passes in a quarter of a second."""
    with SandboxProcess(time_scale=240) as process:
        yield process


@pytest.fixture
def account(sandbox: SandboxProcess) -> Iterator[str]:
    """An account that no other test uses. What runs in it ends with the test."""
    with sandbox.own_account() as account:
        yield account


_shared_loader = functools.cache(botocore.session.create_loader)


@pytest.fixture
def aws(sandbox: SandboxProcess, account: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    """AWS as the worker's environment names it."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in sandbox.environment(account).items():
        monkeypatch.setenv(name, value)
    # Each session would read the descriptions of AWS's services again, which costs more than most tests.
    monkeypatch.setattr(botocore.session, "create_loader", _shared_loader)
    aws = Aws()
    yield aws
    aws.close()


@pytest.hookimpl(trylast=True)  # when pytest has left out what was not asked for
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long must not begin when all else has ended: tests that have a timeout of their own come first."""
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    long = [item for item in items if item.get_closest_marker("timeout")]
    others = [item for item in items if not item.get_closest_marker("timeout")]
    items[:] = dealt([list(group) for _, group in itertools.groupby(long, lambda item: item.path)], others, processes)


def dealt(first: Sequence[list[pytest.Item]], others: Sequence[pytest.Item], processes: int) -> list[pytest.Item]:
    """All tests in an order in which each process begins with its share of some.

    xdist gives each process a part of the list, all of one length. Who is done takes from the ends of the others' parts.

    Args:
        first: What comes first. Tests of a group stay together, for they share what was set up.
        others: The rest.
        processes: How many there are.
    """
    total, rest = sum(map(len, first)) + len(others), iter(others)
    tests: list[pytest.Item] = []
    for process in range(processes):
        own = list(itertools.chain.from_iterable(first[process::processes]))
        length = (total - len(tests)) // (processes - process)
        tests += [*own, *itertools.islice(rest, max(0, length - len(own)))]
    return [*tests, *rest]
