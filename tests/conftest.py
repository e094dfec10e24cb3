"""A real Temporal server for each test process; each test has a task queue of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import pytest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from demo.stack import base_environment
from demo.temporal import TemporalServer
from slipway.setting_up import set_up
from tests.support.world import World, working


@pytest.fixture(scope="session")
def temporal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TemporalServer]:
    """A server with Slipway's search attributes."""
    folder = tmp_path_factory.mktemp("temporal")
    server = TemporalServer(folder, base_environment(folder))
    server.start()
    try:
        asyncio.run(_set_up(server.address))
        yield server
    finally:
        server.process.stop()


async def _set_up(address: str) -> None:
    await set_up(await Client.connect(address))


@pytest.fixture
async def client(temporal: TemporalServer) -> Client:
    return await Client.connect(temporal.address, data_converter=pydantic_data_converter)


@pytest.fixture
async def world(client: Client) -> AsyncIterator[World]:
    """An outside where all goes well, with a worker that works on it."""
    outside = World(task_queue=f"test-{uuid4()}")
    async with working(client, outside):
        yield outside
