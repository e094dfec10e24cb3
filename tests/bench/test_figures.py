from __future__ import annotations

import json
from pathlib import Path

from bench.figures import Goal, line_of, ratio_of_pairs, write


def test_given_a_figure_with_a_goal_then_its_line_starts_with_name_and_value_and_says_whether_it_is_met() -> None:
    assert line_of("history_events", 186) == "history_events 186  # goal <= 186: met"
    assert line_of("history_events", 187) == "history_events 187  # goal <= 186: MISSED"


def test_given_a_figure_without_a_goal_then_its_line_is_name_and_value() -> None:
    assert line_of("promotion_seconds", 12.5) == "promotion_seconds 12.5"


def test_given_a_lower_bound_then_more_meets_it_and_less_does_not() -> None:
    goal = Goal(0.8, at_least=True)
    assert [goal.is_met(value) for value in (0.79, 0.8, 0.9)] == [False, True, True]


def test_given_a_run_that_the_machine_disturbed_then_the_ratio_of_the_other_pairs_counts() -> None:
    assert ratio_of_pairs([11, 22, 90], [10, 20, 30]) == 1.1


def test_given_figures_when_they_are_written_then_the_file_holds_them_and_the_goals_that_were_measured(tmp_path: Path) -> None:
    write({"history_events": 100, "promotion_seconds": 9.0}, tmp_path / "build" / "bench.json")
    assert json.loads((tmp_path / "build" / "bench.json").read_text()) == {
        "figures": {"history_events": 100, "promotion_seconds": 9.0},
        "goals": {"history_events": {"bound": 186, "at_least": False, "met": True}},
    }
