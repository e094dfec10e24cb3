"""Paths to a metric, on reports of many shapes."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.app.metric_paths import check_metric_path, values_at
from slipway.app.reports import measure

REPORT: dict[str, Any] = {
    "auc": {"value": 0.97},
    "a.b": {"c": 1},
    "mAP@0.5": 0.8,
    "F1 score": 0.7,
    "precision[weighted]": 0.6,
    "classes": [{"name": "cat", "f1": 0.5, "folds": [1, 2]}, {"name": "dog", "f1": 0.4}],
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("auc.value", 0.97),
        ("a.b.c", 1),
        ('"a.b".c', 1),
        ("mAP@0.5", 0.8),
        ("F1 score", 0.7),
        ('"precision[weighted]"', 0.6),
        ("classes[0].f1", 0.5),
        ("classes[-1].f1", 0.4),
        ("classes[0].folds[1]", 2),
        ("classes[?name=='dog'] | [0].f1", 0.4),
        ("classes[?name=='dog'].f1 | [0]", 0.4),
        ("classes[?f1>`0.45`] | [0].f1", 0.5),
    ],
)
def test_given_a_path_when_it_is_followed_then_the_number_is_found(path: str, value: float) -> None:
    assert measure(REPORT, {check_metric_path(path)}, 0).numbers == {path: value}


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("classes[*].f1", "a part that is not taken (projection)"),
        ("classes[0:2] | [0]", "a part that is not taken"),
        ("[@, @] | []", "a part that is not taken"),
        ("classes[?max(folds)>`1`] | [0]", "a part that is not taken (function expression)"),
        (" | ".join(["[?b]"] * 5), "up to 4 filters"),
        ("classes[", "is no JMESPath expression"),
        ("precision[weighted]", "is no JMESPath expression"),
        ("[?" * 100, "is no JMESPath expression"),
        ("$.auc.value", "without $."),
        ("$['auc'].value", "without $["),
        (".auc.value", "without ."),
    ],
)
def test_given_a_path_that_does_not_lead_to_one_number_then_the_spec_is_told_why(path: str, said: str) -> None:
    with pytest.raises(ValueError, match="must be a path") as refusal:
        check_metric_path(path)
    assert said in str(refusal.value)


def test_given_a_key_with_brackets_that_an_older_release_took_then_it_is_still_found() -> None:
    assert list(values_at(REPORT, "precision[weighted]")) == [0.6]


def test_given_a_path_that_a_recorded_spec_has_and_that_is_no_expression_then_it_leads_nowhere() -> None:
    assert list(values_at(REPORT, "classes[")) == []


def test_given_a_filter_that_compares_numbers_when_the_report_has_a_text_there_then_it_leads_nowhere() -> None:
    assert list(values_at({"a": [{"n": "1", "v": 3}]}, "a[?n>`0`].v | [0]")) == []


@given(path=st.text(alphabet="ab.[]\"|?='`0-@*(){}&!", max_size=60))
def test_given_any_path_then_it_leads_to_values_or_nowhere(path: str) -> None:
    assert len(list(values_at(REPORT, path))) <= 60


def test_given_a_long_list_when_it_is_filtered_then_the_time_is_bounded() -> None:
    report = {"a": [{"b": 0}] * 100_000}
    before = time.process_time()
    assert list(values_at(report, "a[?b==`0`] | [?b==`0`] | [?b==`0`] | [?b==`1`]")) == [[]]
    assert time.process_time() - before < 30
