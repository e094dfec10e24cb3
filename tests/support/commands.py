"""The commands that a workflow sent to Temporal, read from its history."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from uuid import uuid4

from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WorkflowHistory

from activities.endpoints.messages import RolloutEnd
from slipway.api import Decision, OperatorCommand, StageName
from slipway.temporal.start import Handle, send_update, start_promotion
from tests.support.waiting import until_asked, until_parked
from tests.support.world import EVIDENCE, World, approval, needs_person, request, working

BASELINE = Path(__file__).parents[1] / "histories" / "commands.txt"
CHILD = "-screening-prod-us-east-1"


def commands_of(history: WorkflowHistory) -> list[str]:
    """One line for each command, in the order of the history."""
    return [line for event in history.events for line in _command(event)]


def _command(event: HistoryEvent) -> Iterator[str]:
    match event.WhichOneof("attributes"):
        case "activity_task_scheduled_event_attributes":
            scheduled = event.activity_task_scheduled_event_attributes
            queue = "followers" if scheduled.task_queue.name.endswith("-followers") else "own"
            yield f"activity {scheduled.activity_type.name} on {queue} queue"
        case "timer_started_event_attributes":
            yield "timer"
        case "start_child_workflow_execution_initiated_event_attributes":
            yield f"child {event.start_child_workflow_execution_initiated_event_attributes.workflow_type.name}"
        case "upsert_workflow_search_attributes_event_attributes":
            fields = event.upsert_workflow_search_attributes_event_attributes.search_attributes.indexed_fields
            yield f"search attributes {', '.join(sorted(fields))}"
        case "workflow_execution_completed_event_attributes":
            yield "complete"
        case "workflow_execution_continued_as_new_event_attributes":
            yield "continue as new"
        case _:
            return


async def _promoted(handle: Handle) -> None:
    await until_asked(handle)
    await send_update(handle, "approve", Decision(by="ana", evidence=EVIDENCE))


async def _parked_and_retried(handle: Handle) -> None:
    await until_parked(handle, StageName.task)
    await send_update(handle, "retry", OperatorCommand(by="ana"))
    await _promoted(handle)


async def _aborted(handle: Handle) -> None:
    await until_asked(handle)
    await send_update(handle, "abort", OperatorCommand(by="ana"))


async def _ends_by_itself(handle: Handle) -> None:
    del handle


def _as_it_is(world: World) -> None:
    del world


def _fail_the_task(world: World) -> None:
    world.fail("follow_task", needs_person())


def _fail_the_task_of_piped(world: World) -> None:
    world.leave_task_to_piped()
    _fail_the_task(world)


def _miss_the_gate(world: World) -> None:
    world.accuracy = 0.5


def _roll_back(world: World) -> None:
    world.set_approval(approval(mode="auto"))
    world.verdicts["screening-prod"] = RolloutEnd.rolled_back


SCENARIOS: dict[str, tuple[Callable[[World], None], Callable[[Handle], Awaitable[None]]]] = {
    "promoted": (_as_it_is, _promoted),
    "parked and retried": (_fail_the_task, _parked_and_retried),
    "aborted": (_as_it_is, _aborted),
    "parked and retried with piped": (_fail_the_task_of_piped, _parked_and_retried),
    "aborted with piped": (World.leave_task_to_piped, _aborted),
    "refused": (_miss_the_gate, _ends_by_itself),
    "rolled back": (_roll_back, _ends_by_itself),
}


WITH_ROLLOUT = {"promoted", "rolled back"}


async def commands(client: Client) -> str:
    """The commands of each scenario and of its rollout, as the baseline holds them."""
    parts = await asyncio.gather(*(_commands_in(client, name) for name in SCENARIOS))
    return "\n".join(itertools.chain.from_iterable(parts)) + "\n"


async def _commands_in(client: Client, name: str) -> list[str]:
    prepare, act = SCENARIOS[name]
    world = World(task_queue=f"commands-{uuid4()}")
    prepare(world)
    async with working(client, world):
        handle, _ = await start_promotion(client, request(), world.task_queue)
        await act(handle)
        await handle.result()
    parts = [f"# {name}", *commands_of(await handle.fetch_history())]
    if name in WITH_ROLLOUT:
        rollout = await client.get_workflow_handle(handle.id + CHILD).fetch_history()
        parts += [f"# rollout of {name}", *commands_of(rollout)]
    return parts
