from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Sequence
from uuid import uuid4

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client

from bench.empty import EmptyActivities, EmptyPromotion, EmptyRollout, Shape, steps_of
from bench.histories import histories, size_of
from bench.throughput import Outside, empty_promotion, promotion, working
from workflows.promotion import PromotionWorkflow
from workflows.rollout import RolloutWorkflow

WORKFLOW_TASK = "EVENT_TYPE_WORKFLOW_TASK_"


async def test_given_a_promotion_when_an_empty_workflow_takes_its_shape_then_both_leave_the_same_events(client: Client) -> None:
    asking: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
    outside = Outside(f"test-{uuid4()}", asking)
    nothing = EmptyActivities(asking)
    queue = f"test-{uuid4()}"
    real = working(client, outside.task_queue, [PromotionWorkflow, RolloutWorkflow], outside.activities(), [])
    empty = working(client, queue, [EmptyPromotion, EmptyRollout], [nothing.nothing, nothing.last_before_asking], [])
    async with real, empty:
        promoted = await histories(client, await promotion(client, outside))
        shape = Shape(parent=steps_of(promoted[0]), child=steps_of(promoted[1]))
        emptied = await histories(client, await empty_promotion(client, queue, shape, asking))
    assert [counted(history) for history in emptied] == [counted(history) for history in promoted]
    assert size_of(promoted)["history_bytes"] > size_of(emptied)["history_bytes"]


def counted(history: Sequence[HistoryEvent]) -> Counter[str]:
    """Events by type. Workflow tasks are not counted: how many there are depends on what arrives together."""
    names = (EventType.Name(event.event_type) for event in history)
    return Counter(name for name in names if not name.startswith(WORKFLOW_TASK))
