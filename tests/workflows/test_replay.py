"""Promotions that run while a worker is replaced must go on: the code must follow histories that older code made."""

from __future__ import annotations

from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer

from workflows.promotion import PromotionWorkflow
from workflows.rollout import RolloutWorkflow

HISTORIES = sorted((Path(__file__).parents[1] / "histories").glob("*.json"))
CURE = (
    "the code does not follow {name}, which older code made. Put the change behind workflow.patched(), so that promotions that "
    "run now go on as they began. Only if none runs anywhere: `python -m tests.record_histories`"
)


def read(file: Path) -> WorkflowHistory:
    history = WorkflowHistory.from_json(file.stem, file.read_text())
    # Children are named after their parent: it must have the id that it was recorded with.
    recorded = history.events[0].workflow_execution_started_event_attributes.workflow_id
    return WorkflowHistory(recorded, history.events)


def test_given_the_repository_then_there_are_histories_to_replay() -> None:
    assert len(HISTORIES) >= 7


@pytest.mark.parametrize("file", HISTORIES, ids=lambda file: file.stem)
async def test_given_a_history_of_older_code_when_it_is_replayed_then_the_code_follows_it(file: Path) -> None:
    history = read(file)
    replayer = Replayer(workflows=[PromotionWorkflow, RolloutWorkflow], data_converter=pydantic_data_converter)
    result = await replayer.replay_workflow(history, raise_on_replay_failure=False)
    assert result.replay_failure is None, f"{CURE.format(name=file.name)}\n{result.replay_failure}"
