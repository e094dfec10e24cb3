"""One application with many promotions does not keep a neighbour's from ending."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import uuid4

import pytest
from temporalio import activity
from temporalio.client import Client
from temporalio.common import VersioningBehavior
from temporalio.worker import Worker

from activities.images.messages import CheckScan, ResolvedImage, ResolveImage, ScanVerdict
from activities.limits import LimitsInterceptor
from activities.waiting import follower
from demo.temporal import TemporalServer
from slipway.api import AppRef, Outcome, follower_queue, rollout_queue
from slipway.policy.model import Limits, WorkerPolicy, policy_of_branches
from slipway.policy.source import fixed
from slipway.temporal.payloads import data_converter
from slipway.temporal.setup import set_up
from slipway.temporal.start import Handle, start_promotion
from tests.support.servers import ONE_PARTITION, temporal_server
from tests.support.world import World, approval, request, worker_of
from workflows.promotion import PromotionWorkflow
from workflows.rollout import RolloutWorkflow

REPOSITORY = "file:///repositories/app.git"
CROWD = AppRef(repository=REPOSITORY, folder="apps/crowd")
MANY = 25
SLOTS = 5
LIMIT = 3
PATIENCE = 60


class Neighbours(World):
    """The crowd's images are not found for ever, or their scans do not end; the neighbour's answer at once."""

    def __init__(self, task_queue: str) -> None:
        super().__init__(task_queue)
        self.set_approval(approval(mode="auto"))
        self.stuck = ""
        """The activity in which the crowd stays."""
        self.inside = 0
        self.most_inside = 0

    async def _stay(self, asked: ResolveImage | CheckScan) -> None:
        origin = asked.origin
        if not origin or origin.app != CROWD or activity.info().activity_type != self.stuck:
            return
        self.inside += 1
        self.most_inside = max(self.most_inside, self.inside)
        try:
            await asyncio.Event().wait()
        finally:
            self.inside -= 1

    @activity.defn
    async def resolve_image(self, asked: ResolveImage) -> ResolvedImage:
        await self._stay(asked)
        return await super().resolve_image(asked)

    @activity.defn
    @follower
    async def check_scan(self, asked: CheckScan) -> ScanVerdict:
        await self._stay(asked)
        return await super().check_scan(asked)


def limits() -> LimitsInterceptor:
    policy = policy_of_branches([REPOSITORY])
    entries = [entry.model_copy(update={"limits": Limits(activities=LIMIT, waits=LIMIT)}) for entry in policy.apps]
    return LimitsInterceptor(fixed(WorkerPolicy(api_version=policy.api_version, kind=policy.kind, apps=tuple(entries))))


@asynccontextmanager
async def few_slots(client: Client, world: World) -> AsyncGenerator[None]:
    """The three workers of one process, with few slots for activities."""
    shared = limits()

    def make(queue: str, workflows: tuple[type, ...], behavior: VersioningBehavior) -> Worker:
        return worker_of(client, world, queue, workflows, behavior, limits=shared, slots=SLOTS)

    async with AsyncExitStack() as stack:
        for queue, workflows, behavior in (
            (world.task_queue, (PromotionWorkflow,), VersioningBehavior.AUTO_UPGRADE),
            (rollout_queue(world.task_queue), (RolloutWorkflow,), VersioningBehavior.PINNED),
            (follower_queue(world.task_queue), (), VersioningBehavior.UNSPECIFIED),
        ):
            await stack.enter_async_context(make(queue, workflows, behavior))
        yield


async def until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    """Wait until the condition holds."""
    deadline = time.monotonic() + PATIENCE
    while not await condition():
        assert time.monotonic() < deadline, f"timeout after {PATIENCE} s waiting for {what}"
        await asyncio.sleep(0.02)


async def is_in_an_activity(handle: Handle) -> bool:
    return bool((await handle.describe()).raw_description.pending_activities)


async def crowd_in(client: Client, world: Neighbours) -> list[Handle]:
    """Many promotions of the crowd: as many as may are inside the activity, and the others wait for a turn."""
    handles = [(await start_promotion(client, request(app=CROWD), world.task_queue))[0] for _ in range(MANY)]
    for handle in handles:
        await until(lambda handle=handle: is_in_an_activity(handle), f"{handle.id} to be in an activity")

    async def is_full() -> bool:
        return world.inside == LIMIT

    await until(is_full, f"{LIMIT} to be in {world.stuck}")
    return handles


@pytest.mark.parametrize("stuck", ["resolve_image", "check_scan"])
async def test_given_an_app_whose_many_promotions_do_not_go_on_when_a_neighbour_starts_one_then_it_ends(
    client: Client, stuck: str
) -> None:
    world = Neighbours(f"test-{uuid4()}")
    world.stuck = stuck
    async with few_slots(client, world):
        crowd = await crowd_in(client, world)
        handle, _ = await start_promotion(client, request(), world.task_queue)
        status = await asyncio.wait_for(handle.result(), PATIENCE)
        for each in crowd:
            await each.terminate()
    assert status.outcome is Outcome.promoted
    assert world.most_inside == LIMIT


@pytest.fixture(scope="module")
def fair_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TemporalServer]:
    """A server with fairness, as deploy/temporal has it. One partition: with few tasks, several would blur the order."""
    with temporal_server(tmp_path_factory.mktemp("fair"), "matching.enableFairness=true", *ONE_PARTITION) as server:
        yield server


async def test_given_a_server_with_fairness_when_an_apps_steps_have_piled_up_then_a_neighbours_does_not_stand_behind_them(
    fair_server: TemporalServer,
) -> None:
    client = await Client.connect(fair_server.address, data_converter=data_converter)
    await set_up(client)
    world = World(f"test-{uuid4()}")
    workflows_alone = Worker(client, task_queue=world.task_queue, workflows=[PromotionWorkflow])
    async with workflows_alone:
        asked = [*(request(app=CROWD) for _ in range(MANY)), request()]
        for each in asked:
            handle, _ = await start_promotion(client, each, world.task_queue)
            await until(lambda handle=handle: is_in_an_activity(handle), f"{handle.id} to be in an activity")

    async def has_read_all() -> bool:
        return len(world.asked("read_app")) == len(asked)

    async with worker_of(client, world, world.task_queue, slots=1):
        await until(has_read_all, "all apps to be read")
    read = [each.app for each in world.asked("read_app")]
    assert read.index(asked[-1].app) < MANY // 2


async def test_given_a_promotion_when_its_activities_and_its_rollouts_are_scheduled_then_they_have_its_apps_fairness_key(
    client: Client, world: World
) -> None:
    world.set_approval(approval(mode="auto"))
    handle, _ = await start_promotion(client, request(), world.task_queue)
    await handle.result()
    keys: set[str] = set()
    async for found in client.list_workflows(f"WorkflowId STARTS_WITH '{handle.id}'"):
        described = await client.get_workflow_handle(found.id).describe()
        keys.add(described.raw_description.workflow_execution_info.priority.fairness_key)
    assert len(keys) == 1
    assert next(iter(keys)).startswith("screening-")
