"""Promotions a minute beside empty workflows of the same shape: one server, one process, turn by turn.

The promotion's workflows are the real ones and run with the worker's own settings. Their activities answer at once, so what is
measured is what Slipway's own code costs in a worker, on top of Temporal's steps.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from pydantic import BaseModel
from temporalio import activity
from temporalio.client import Client, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.common import SearchAttributePair, TypedSearchAttributes
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Interceptor, Worker

from bench.empty import EmptyActivities, EmptyPromotion, EmptyRollout, Shape, steps_of
from bench.figures import ratio_of_pairs, told
from bench.histories import histories
from demo.stack import base_environment
from demo.temporal import TemporalServer
from slipway.api import Decision, Outcome, follower_queue, rollout_queue
from slipway.temporal import search_attributes as attributes
from slipway.temporal.interceptor import SlipwayInterceptor
from slipway.temporal.runner import guarded_worker
from slipway.temporal.setup import set_up
from slipway.temporal.start import Handle, send_update, start_promotion
from tests.support.world import EVIDENCE, World, request
from worker import HEARTBEAT_THROTTLE
from workflows.promotion import PromotionWorkflow
from workflows.rollout import RolloutWorkflow

AT_ONCE = 8
"""Workflows that run at the same time; all start together, and the last one's end is the round's."""
ROUNDS = 6
ASK_AGAIN = 0.02
"""Seconds before each try to approve."""
Asking = defaultdict[str, asyncio.Event]
"""By workflow id: set by the last activity before the workflow asks for an approval."""


class Outside(World):
    """Activities that answer at once, and tell when a promotion is about to ask."""

    def __init__(self, task_queue: str, asking: Asking) -> None:
        super().__init__(task_queue)
        self.asking = asking

    async def _enter(self, asked: BaseModel) -> None:
        del asked
        info = activity.info()
        if info.activity_type == "gather_evidence":
            self.asking[info.workflow_id or ""].set()


def measure() -> dict[str, float]:
    """Both rates, their ratio, and what a promotion's history takes."""
    with tempfile.TemporaryDirectory() as scratch:
        server = TemporalServer(Path(scratch), base_environment(Path(scratch)))
        server.start_anywhere()
        try:
            return asyncio.run(compare(server.address))
        finally:
            server.process.stop()


async def compare(address: str) -> dict[str, float]:
    """Run both, turn by turn, on the server at this address."""
    client = await Client.connect(address, data_converter=pydantic_data_converter)
    await set_up(client)
    asking: Asking = defaultdict(asyncio.Event)
    outside = Outside(f"promotions-{uuid4()}", asking)
    empty_queue = f"empty-{uuid4()}"
    doing_nothing = EmptyActivities(asking)
    empty_activities = [doing_nothing.nothing, doing_nothing.last_before_asking]
    workers = (
        working(client, outside.task_queue, [PromotionWorkflow, RolloutWorkflow], outside.activities(), [SlipwayInterceptor()]),
        working(client, empty_queue, [EmptyPromotion, EmptyRollout], empty_activities, []),
    )
    async with workers[0], workers[1]:
        promote = partial(promotion, client, outside)
        promoted = await promote()
        parent, child = await histories(client, promoted)
        shape = Shape(parent=steps_of(parent), child=steps_of(child))
        take_empty = partial(empty_promotion, client, empty_queue, shape, asking)
        await take_empty()
        real, empty = await turns(Side(promote), Side(take_empty))
    return {
        "promotions_per_minute": statistics.median(real.rates),
        "empty_workflows_per_minute": statistics.median(empty.rates),
        "promotions_per_minute_to_empty_workflow_ratio": ratio_of_pairs(real.rates, empty.rates),
        # Of this process, which starts, works and approves; what else the machine does has no part in it.
        "cpu_milliseconds_per_promotion": statistics.median(real.milliseconds),
        "cpu_milliseconds_per_empty_workflow": statistics.median(empty.milliseconds),
    }


class Side:
    """The rounds of one kind.

    Args:
        run: One workflow from its start to its end.
    """

    def __init__(self, run: Callable[[], Awaitable[object]]) -> None:
        self._run = run
        self.rates: list[float] = []
        """Workflows a minute."""
        self.milliseconds: list[float] = []
        """Of processor time, for each workflow."""

    async def round(self) -> None:
        """`AT_ONCE` workflows that start together."""
        begun, worked = time.perf_counter(), time.process_time()
        await asyncio.gather(*(self._run() for _ in range(AT_ONCE)))
        self.rates.append(AT_ONCE * 60 / (time.perf_counter() - begun))
        self.milliseconds.append((time.process_time() - worked) * 1000 / AT_ONCE)


@asynccontextmanager
async def working(
    client: Client,
    task_queue: str,
    workflows: Sequence[type],
    activities: Sequence[Callable[..., Any]],
    interceptors: Sequence[Interceptor],
) -> AsyncGenerator[None]:
    """Workers with the settings of `worker.py`, of all the queues that it polls."""
    async with AsyncExitStack() as stack:
        for queue in (task_queue, rollout_queue(task_queue), follower_queue(task_queue)):
            worker = guarded_worker(
                Worker,
                client=client,
                task_queue=queue,
                workflows=workflows,
                activities=activities,
                interceptors=interceptors,
                max_heartbeat_throttle_interval=HEARTBEAT_THROTTLE,
                default_heartbeat_throttle_interval=HEARTBEAT_THROTTLE,
                max_concurrent_activities=500,
            )
            await stack.enter_async_context(worker)
        yield


async def turns(one: Side, other: Side) -> tuple[Side, Side]:
    """Rounds of both in pairs; every other pair goes the other way round."""
    for number in range(ROUNDS):
        for side in (one, other) if number % 2 else (other, one):
            await side.round()
        rates = f"{one.rates[-1]:.0f} promotions and {other.rates[-1]:.0f} empty workflows a minute"
        told(f"round {number + 1} of {ROUNDS}: {rates}")
    return one, other


async def promotion(client: Client, outside: Outside) -> Handle:
    """One promotion from its start to its end."""
    handle, _ = await start_promotion(client, request(), outside.task_queue)
    await outside.asking[handle.id].wait()
    await approved(lambda: send_update(handle, "approve", Decision(by="ana", evidence=EVIDENCE)))
    status = await handle.result()
    if status.outcome is not Outcome.promoted:
        raise RuntimeError(f"the promotion {handle.id} ended {status.outcome}: {status.reason}")
    return handle


async def empty_promotion(client: Client, task_queue: str, shape: Shape, asking: Asking) -> WorkflowHandle[Any, None]:
    """One empty workflow from its start to its end."""
    handle = await client.start_workflow(
        EmptyPromotion.run,
        shape,
        id=f"empty-{uuid4()}",
        task_queue=task_queue,
        search_attributes=TypedSearchAttributes([SearchAttributePair(attributes.STATE, "running")]),
    )
    await asking[handle.id].wait()
    await approved(lambda: handle.execute_update("approve"))  # pyright: ignore[reportUnknownMemberType]
    await handle.result()
    return handle


async def approved(approve: Callable[[], Awaitable[object]]) -> None:
    """Approve, as soon as it is asked for: the activity before has ended, and the workflow may not know that yet."""
    while True:
        await asyncio.sleep(ASK_AGAIN)
        try:
            await approve()
        except WorkflowUpdateFailedError:
            continue
        return
