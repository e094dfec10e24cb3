"""Two versions of the worker on one server: promotions move at their waits, rollouts end where they began."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from uuid import uuid4

import pytest
from temporalio.client import Client
from temporalio.common import WorkerDeploymentVersion

from slipway.api import Decision, OperatorCommand, Outcome, PromotionStatus, StageName, StageState
from slipway.temporal.start import Handle, send_update, start_promotion
from tests.support.versions import build_of, make_current, until_true
from tests.support.waiting import state_of, until, until_asked, until_parked
from tests.support.world import EVIDENCE, World, approval, needs_person, request, working

OPERATOR = OperatorCommand(by="ana")
APPROVAL = Decision(by="ana", evidence=EVIDENCE)


class Fleet:
    """The workers of one deployment, each a version of its own."""

    def __init__(self, client: Client, world: World, stack: AsyncExitStack) -> None:
        self.client = client
        self.world = world
        self._stack = stack
        self._deployment = f"slipway-{uuid4().hex[:8]}"

    async def deploy(self, build_id: str) -> None:
        """Start a worker of a build, and make it current."""
        await self.start(build_id)
        await self.make_current(build_id)

    async def start(self, build_id: str) -> None:
        """Start a worker of a build."""
        version = WorkerDeploymentVersion(deployment_name=self._deployment, build_id=build_id)
        await self._stack.enter_async_context(working(self.client, self.world, version=version))

    async def make_current(self, build_id: str) -> None:
        """Send new work to a build that polls."""
        await make_current(self.client, self._deployment, build_id)


@pytest.fixture
async def fleet(client: Client) -> AsyncIterator[Fleet]:
    async with AsyncExitStack() as stack:
        yield Fleet(client, World(task_queue=f"test-{uuid4()}"), stack)


async def waits_for_approval(fleet: Fleet, handle: Handle) -> PromotionStatus:
    return await until_asked(handle)


async def is_parked(fleet: Fleet, handle: Handle) -> PromotionStatus:
    return await until_parked(handle, StageName.task)


async def soaks(fleet: Fleet, handle: Handle) -> PromotionStatus:
    return await until(handle, lambda status: "follows at" in status.stages[-1].summary, "the soak before the second wave")


async def approve(fleet: Fleet, handle: Handle) -> None:
    await send_update(handle, "approve", APPROVAL)


async def retry_and_approve(fleet: Fleet, handle: Handle) -> None:
    await send_update(handle, "retry", OPERATOR)
    await until_asked(handle)
    await approve(fleet, handle)


async def do_nothing(fleet: Fleet, handle: Handle) -> None:
    del fleet, handle


async def until_moved(fleet: Fleet, handle: Handle, build_id: str) -> None:
    """Wake the promotion until a build runs it: its queue learns a while later which version is current."""

    async def has_moved() -> bool:
        await handle.signal("approve", "what wakes it")
        return await build_of(fleet.client, handle.id) == build_id

    await until_true(has_moved, f"{build_id} to run {handle.id}")


async def until_another_run(handle: Handle, run_id: str | None) -> None:
    """A workflow task on another version ends the run, when the promotion waits; the next one begins by itself."""

    async def goes_on_in_another() -> bool:
        return (await handle.describe()).run_id != run_id

    await until_true(goes_on_in_another, "a new run")


def ask_people(world: World) -> None:
    world.set_approval(approval())


def fail_the_task(world: World) -> None:
    world.fail("follow_task", needs_person())


def roll_out_in_two_waves(world: World) -> None:
    world.set_approval(approval(mode="auto"))
    # It outlasts the move on a busy machine: a queue learns some seconds late which version is current.
    world.set_waves(("screening-staging",), ("screening-prod",), soak=timedelta(seconds=20))


@pytest.mark.parametrize(
    ("prepare", "is_waiting", "go_on"),
    [
        pytest.param(ask_people, waits_for_approval, approve, id="approval"),
        pytest.param(fail_the_task, is_parked, retry_and_approve, id="parked"),
        pytest.param(roll_out_in_two_waves, soaks, do_nothing, id="soak"),
    ],
)
async def test_given_a_promotion_that_waits_when_another_version_is_current_then_it_goes_on_there_in_a_new_run(
    fleet: Fleet,
    prepare: Callable[[World], None],
    is_waiting: Callable[[Fleet, Handle], Awaitable[PromotionStatus]],
    go_on: Callable[[Fleet, Handle], Awaitable[None]],
) -> None:
    prepare(fleet.world)
    await fleet.deploy("one")
    await fleet.start("two")
    handle, _ = await start_promotion(fleet.client, request(), fleet.world.task_queue)
    before = await is_waiting(fleet, handle)
    first_run = (await handle.describe()).run_id
    await fleet.make_current("two")
    await until_moved(fleet, handle, "two")
    await until_another_run(handle, first_run)
    after = await handle.query("status", result_type=PromotionStatus)
    assert after.model_copy(update={"notices": ()}) == before.model_copy(update={"notices": ()})
    assert "the signal approve was refused" in after.notices[-1]

    await go_on(fleet, handle)
    ended = await asyncio.wait_for(handle.result(), 30)
    assert ended.outcome is Outcome.promoted
    assert [stage.state for stage in ended.stages] == [StageState.done] * 6
    assert fleet.world.names.count("copy_image") == 1
    assert fleet.world.names.count("write_image") == 1


async def test_given_a_rollout_when_another_version_is_current_then_it_ends_where_it_began_and_its_promotion_moves(
    fleet: Fleet,
) -> None:
    fleet.world.set_approval(approval(mode="auto"))
    gate = fleet.world.hold("follow_endpoint")
    await fleet.deploy("one")
    await fleet.start("two")
    handle, _ = await start_promotion(fleet.client, request(), fleet.world.task_queue)
    await asyncio.wait_for(fleet.world.entered["follow_endpoint"].wait(), 30)
    await fleet.make_current("two")
    await until_moved(fleet, handle, "two")
    gate.set()
    assert (await asyncio.wait_for(handle.result(), 30)).outcome is Outcome.promoted
    assert await build_of(fleet.client, f"{handle.id}-screening-prod-us-east-1") == "one"
    assert await build_of(fleet.client, handle.id) == "two"


async def test_given_a_promotion_that_moved_when_the_former_version_is_current_again_then_it_moves_back(fleet: Fleet) -> None:
    await fleet.deploy("one")
    await fleet.start("two")
    handle, _ = await start_promotion(fleet.client, request(), fleet.world.task_queue)
    await until_asked(handle)
    await fleet.make_current("two")
    await until_moved(fleet, handle, "two")
    await fleet.make_current("one")
    await until_moved(fleet, handle, "one")
    await send_update(handle, "approve", APPROVAL)
    ended = await asyncio.wait_for(handle.result(), 30)
    assert (ended.outcome, state_of(ended, StageName.rollout)) == (Outcome.promoted, StageState.done)
    assert await build_of(fleet.client, handle.id) == "one"
