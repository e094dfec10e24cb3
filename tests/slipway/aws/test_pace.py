from __future__ import annotations

import pytest

from slipway.aws import pace
from slipway.aws.pace import Pace


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, as the pace sees it."""
    now = [100.0]
    monkeypatch.setattr(pace.time, "monotonic", lambda: now[0])
    return now


def test_given_rounds_that_go_wrong_when_there_are_more_then_the_pause_doubles_up_to_its_longest(clock: list[float]) -> None:
    found = Pace(30)
    seconds: list[float] = []
    for _ in range(4):
        found.note(wrong=True)
        seconds.append(found.seconds)
    assert seconds == [60, 120, 120, 120]


def test_given_a_slow_pace_when_no_round_of_two_pauses_went_wrong_then_it_is_as_fast_as_before(clock: list[float]) -> None:
    found = Pace(30)
    found.note(wrong=True)
    clock[0] += 120
    found.note(wrong=False)
    assert (found.seconds, found.is_slowed) == (30, False)


def test_given_a_slow_pace_when_another_poller_goes_well_meanwhile_then_it_stays_slow(clock: list[float]) -> None:
    found = Pace(30)
    found.note(wrong=True)
    clock[0] += 61
    found.note(wrong=False)
    assert found.is_slowed
