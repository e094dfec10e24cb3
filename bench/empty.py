"""The empty workflow: the same steps as a promotion in Temporal's eyes, and nothing in them. What it costs is Temporal's own."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from temporalio import activity, workflow
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from slipway.temporal import search_attributes as attributes

LIMIT = timedelta(minutes=2)
ASK_FOR = timedelta(days=3)


class Step(StrEnum):
    """What a workflow can do that costs events."""

    activity = "activity"
    upsert = "upsert"
    ask = "ask"
    """Wait for an update, until a timer fires."""
    child = "child"
    patch = "patch"
    """Mark that a change of the workflow's code is there. The SDK adds a search attribute for it."""


STEPS = {
    EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED: Step.activity,
    EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES: Step.upsert,
    EventType.EVENT_TYPE_TIMER_STARTED: Step.ask,
    EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED: Step.child,
    EventType.EVENT_TYPE_MARKER_RECORDED: Step.patch,
}
OF_A_PATCH = "TemporalChangeVersion"
"""The search attribute that the SDK sets beside a patch's marker."""


@dataclass(frozen=True)
class Shape:
    """The steps of a workflow in their order, and those of its child."""

    parent: list[Step]
    child: list[Step]


def steps_of(history: Iterable[HistoryEvent]) -> list[Step]:
    """The steps that left these events. Fits workflows whose only timer bounds their wait for an update."""
    return [STEPS[event.event_type] for event in history if event.event_type in STEPS and not _is_of_a_patch(event)]


def _is_of_a_patch(event: HistoryEvent) -> bool:
    found = event.upsert_workflow_search_attributes_event_attributes.search_attributes.indexed_fields
    return OF_A_PATCH in found


class EmptyActivities:
    """Activities that do nothing.

    Args:
        asking: By workflow id: set by the last activity before the workflow asks for an update.
    """

    def __init__(self, asking: defaultdict[str, asyncio.Event]) -> None:
        self._asking = asking

    @activity.defn
    async def nothing(self) -> None:
        """Return at once."""

    @activity.defn
    async def last_before_asking(self) -> None:
        """Return at once, which tells the sender of the update."""
        self._asking[activity.info().workflow_id or ""].set()


@workflow.defn
class EmptyRollout:
    """The child."""

    @workflow.run
    async def run(self, steps: list[Step]) -> None:
        """Take the steps."""
        for step in steps:
            await take(step, "nothing")


@workflow.defn
class EmptyPromotion:
    """The parent."""

    def __init__(self) -> None:
        self._asks = False
        self._approved = False

    @workflow.run
    async def run(self, shape: Shape) -> None:
        """Take the steps of the shape."""
        asks = shape.parent.index(Step.ask)
        last = max(number for number, step in enumerate(shape.parent[:asks]) if step is Step.activity)
        for number, step in enumerate(shape.parent):
            match step:
                case Step.ask:
                    self._asks = True
                    await workflow.wait_condition(lambda: self._approved, timeout=ASK_FOR)
                case Step.child:
                    name = f"{workflow.info().workflow_id}-{number}"
                    await workflow.execute_child_workflow(EmptyRollout.run, shape.child, id=name)
                case _:
                    await take(step, "last_before_asking" if number == last else "nothing", str(number))
        await workflow.wait_condition(workflow.all_handlers_finished)

    @workflow.update
    def approve(self) -> None:
        """Go on."""
        self._approved = True

    @approve.validator
    def _may_approve(self) -> None:
        if not self._asks:
            raise ApplicationError("nobody is asked now", non_retryable=True)


async def take(step: Step, activity_name: str, value: str = "") -> None:
    """Run an activity, upsert an attribute, or mark a patch."""
    if step is Step.patch:
        workflow.patched(f"step-{value}")
        return
    if step is Step.upsert:
        workflow.upsert_search_attributes([attributes.STATE.value_set(value)])  # pyright: ignore[reportUnknownMemberType]
        return
    await workflow.execute_activity(activity_name, start_to_close_timeout=LIMIT, heartbeat_timeout=LIMIT)
