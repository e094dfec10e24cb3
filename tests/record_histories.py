"""Records the histories that `tests/workflows/test_replay.py` replays: `python -m tests.record_histories`.

Record anew only after every promotion that runs on the old code is over, or once the change is behind `workflow.patched`.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

from temporalio.client import Client, WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter

from activities.endpoints.messages import RolloutEnd
from demo.stack import base_environment
from demo.temporal import TemporalServer
from slipway.api import Decision, OperatorCommand, StageName
from slipway.temporal.setup import set_up
from slipway.temporal.start import Handle, send_update, start_promotion
from tests.support.waiting import until_asked, until_parked
from tests.support.world import EVIDENCE, World, approval, needs_person, request, working

FOLDER = Path(__file__).parent / "histories"
CHILD = "-screening-prod-us-east-1"


async def _promoted(handle: Handle) -> None:
    await until_asked(handle)
    await send_update(handle, "approve", Decision(by="ana", evidence=EVIDENCE))


async def _parked(handle: Handle) -> None:
    await until_parked(handle, StageName.task)
    await send_update(handle, "retry", OperatorCommand(by="ana"))
    await _promoted(handle)


async def _aborted(handle: Handle) -> None:
    await until_asked(handle)
    await handle.signal("approve", {"by": "nobody"})
    await send_update(handle, "abort", OperatorCommand(by="ana"))


async def _by_itself(handle: Handle) -> None:
    del handle


def _fail_task(world: World) -> None:
    world.fail("follow_task", needs_person())


def _bad_model(world: World) -> None:
    world.accuracy = 0.5


def _bad_rollout(world: World) -> None:
    world.set_approval(approval(mode="auto"))
    world.verdicts["screening-prod"] = RolloutEnd.rolled_back


def _nothing(world: World) -> None:
    del world


SCENARIOS: dict[str, tuple[Callable[[World], None], Callable[[Handle], Awaitable[None]]]] = {
    "promoted": (_nothing, _promoted),
    "parked-and-retried": (_fail_task, _parked),
    "aborted": (_nothing, _aborted),
    "refused": (_bad_model, _by_itself),
    "rolled-back": (_bad_rollout, _by_itself),
}


async def record(client: Client) -> None:
    """Run each scenario, and write its history and that of its rollout."""
    for name, (prepare, act) in SCENARIOS.items():
        world = World(task_queue=f"record-{uuid4()}")
        prepare(world)
        async with working(client, world):
            handle, _ = await start_promotion(client, request(), world.task_queue)
            await act(handle)
            await handle.result()
        history = await handle.fetch_history()
        write(name, history)
        if name in {"promoted", "rolled-back"}:
            child = await client.get_workflow_handle(handle.id + CHILD).fetch_history()
            write(f"rollout-{name}", child)


def write(name: str, history: WorkflowHistory) -> None:
    """Keep a history without what tells of the machine: the paths in stack traces."""
    (FOLDER / f"{name}.json").write_text(json.dumps(without_traces(history.to_json_dict()), indent=1) + "\n")


def without_traces(value: Any) -> Any:
    """The same JSON with no `stackTrace` in it."""
    if isinstance(value, list):
        return [without_traces(each) for each in cast("list[Any]", value)]
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        return {key: without_traces(each) for key, each in members.items() if key != "stackTrace"}
    return value


async def main(address: str) -> None:
    """Record on a server."""
    client = await Client.connect(address, data_converter=pydantic_data_converter, identity="recorder")
    await set_up(client)
    FOLDER.mkdir(exist_ok=True)
    await record(client)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        server = TemporalServer(Path(scratch), base_environment(Path(scratch)))
        server.start()
        try:
            asyncio.run(main(server.address))
        finally:
            server.process.stop()
