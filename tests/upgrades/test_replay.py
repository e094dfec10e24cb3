"""Promotions that run while a worker is replaced must go on: the code must follow histories that older code made."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer

from tests.support.world import PreparedOnce
from workflows.promotion import PromotionWorkflow
from workflows.rollout import RolloutWorkflow
from workflows.watch import WatchWorkflow

HISTORIES = sorted((Path(__file__).parents[1] / "histories").glob("*.json"))
CURE = (
    "the code does not follow {name}, which older code made. Put the change behind workflow.patched(), so that promotions that "
    "run now go on as they began. Only if none runs anywhere: `make histories`"
)
WATCH = "watch"
"""The history that is a branch's: it has no end."""
ENDINGS = {"promoted", "refused", "rejected", "expired", "rolled-back", "aborted"}
MAPS = {"metrics", "counts", "environment", "labels", "indexedFields", "fields", "nonUndoable"}
"""Members whose keys are data: a key more is another metric, not a member that the code does not know."""


def read(file: Path, change: Callable[[Any], Any] = lambda value: value) -> WorkflowHistory:
    """A history, each of whose payloads is changed."""
    recorded = json.loads(file.read_text())
    history = WorkflowHistory.from_json(file.stem, changed(recorded, change))
    # Children are named after their parent: it must have the id that it was recorded with.
    workflow_id = history.events[0].workflow_execution_started_event_attributes.workflow_id
    return WorkflowHistory(workflow_id, history.events)


def changed(value: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(value, list):
        return [changed(each, change) for each in cast("list[Any]", value)]
    if not isinstance(value, dict):
        return value
    members = cast("dict[str, Any]", value)
    if "data" in members and "metadata" in members:
        content = json.loads(base64.b64decode(members["data"]))
        return members | {"data": base64.b64encode(json.dumps(change(content)).encode()).decode()}
    return {key: each if key in MAPS else changed(each, change) for key, each in members.items()}


def with_unknown_members(value: Any) -> Any:
    """The same JSON with one member more in each object, as a later release may send it."""
    if isinstance(value, list):
        return [with_unknown_members(each) for each in cast("list[Any]", value)]
    if not isinstance(value, dict):
        return value
    members = cast("dict[str, Any]", value)
    known = {key: each if key in MAPS else with_unknown_members(each) for key, each in members.items()}
    return known | {"of_a_later_release": {"anything": [1, None]}}


def namespace_of(history: WorkflowHistory) -> str:
    """Temporal's namespace, which documents of decisions name: a history says it only in what was looked up of them."""
    for event in history.events:
        for payload in event.activity_task_scheduled_event_attributes.input.payloads:
            if subject := json.loads(payload.data).get("subject"):
                return subject["namespace"]
    return "default"


async def failure_of(history: WorkflowHistory) -> Exception | None:
    replayer = Replayer(
        workflows=[PromotionWorkflow, RolloutWorkflow, WatchWorkflow],
        workflow_runner=PreparedOnce(),
        data_converter=pydantic_data_converter,
        namespace=namespace_of(history),
    )
    return (await replayer.replay_workflow(history, raise_on_replay_failure=False)).replay_failure


def outcomes() -> Iterator[str]:
    """How the recorded promotions ended."""
    for file in (each for each in HISTORIES if each.stem != WATCH):
        last = read(file).events[-1].workflow_execution_completed_event_attributes
        payloads: list[Payload] = list(last.result.payloads)
        result = json.loads(payloads[0].data)
        if "outcome" in result:
            yield result["outcome"]


def test_given_the_recorded_promotions_then_each_way_to_end_is_among_them() -> None:
    assert set(outcomes()) == ENDINGS


@pytest.mark.parametrize("file", HISTORIES, ids=lambda file: file.stem)
async def test_given_a_history_of_older_code_when_it_is_replayed_then_the_code_follows_it(file: Path) -> None:
    failure = await failure_of(read(file))
    assert failure is None, f"{CURE.format(name=file.name)}\n{failure}"


@pytest.mark.parametrize("file", HISTORIES, ids=lambda file: file.stem)
async def test_given_members_that_the_code_does_not_know_when_a_history_is_replayed_then_they_are_ignored(file: Path) -> None:
    failure = await failure_of(read(file, with_unknown_members))
    assert failure is None, f"a member that a later release adds stops {file.name}\n{failure}"
