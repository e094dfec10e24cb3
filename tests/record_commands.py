"""Writes the baseline of `tests/upgrades/test_commands.py`: `python -m tests.record_commands`."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from demo.stack import base_environment
from demo.temporal import TemporalServer
from slipway.temporal.setup import set_up
from tests.support.commands import BASELINE, commands


async def main(address: str) -> None:
    """Run the scenarios on a server."""
    client = await Client.connect(address, data_converter=pydantic_data_converter)
    await set_up(client)
    BASELINE.write_text(await commands(client))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        server = TemporalServer(Path(scratch), base_environment(Path(scratch)))
        server.start_anywhere()
        try:
            asyncio.run(main(server.address))
        finally:
            server.process.stop()
