"""What a promotion has read of its app is in its history. Later releases load it, whatever their rules are by then."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from temporalio.contrib.pydantic import pydantic_data_converter

from activities.taskdefs import AppSnapshot
from slipway.app.problems import SpecError
from slipway.app.spec_reader import parse_spec

RECORDED = Path(__file__).with_name("app-snapshot.json")
"""A snapshot with a member that nobody knows in each object, and with values that every bound and every rule of today forbids."""


async def loaded(recorded: Any) -> AppSnapshot:
    """The snapshot as a workflow gets it out of its history."""
    payloads = await pydantic_data_converter.encode([recorded])
    found: list[AppSnapshot] = await pydantic_data_converter.decode(payloads, [AppSnapshot])
    return found[0]


def known_only(recorded: Any) -> Any:
    """What is recorded, without the members that nobody knows."""
    if isinstance(recorded, dict):
        pairs: dict[str, Any] = recorded  # pyright: ignore[reportUnknownVariableType]
        return {key: known_only(value) for key, value in pairs.items() if key != "later"}
    return [known_only(each) for each in recorded] if isinstance(recorded, list) else recorded  # pyright: ignore[reportUnknownVariableType]


async def test_given_a_recorded_snapshot_when_later_rules_forbid_what_it_says_then_it_loads_as_it_was_recorded() -> None:
    recorded = json.loads(RECORDED.read_text())

    snapshot = await loaded(recorded)

    assert json.loads(snapshot.model_dump_json()) == known_only(recorded)


async def test_given_a_spec_that_loads_from_history_when_a_person_writes_it_then_it_is_refused() -> None:
    recorded = known_only(json.loads(RECORDED.read_text()))

    with pytest.raises(SpecError) as refused:
        parse_spec(json.dumps(recorded["spec"]))

    assert len(refused.value.problems) > 30
