from __future__ import annotations

import json
import time
from typing import Any

import pytest

from slipway.app.reports import REPORT_LIMIT, kept, measure, nearest_name, numbers_of, parse_report, together
from tests.support.memory import peak_of


def nested(levels: int, inside: Any) -> dict[str, Any]:
    for _ in range(levels):
        inside = {"k" * 5_000: inside}
    return inside


def numbers(report: Any) -> dict[str, float]:
    return dict(numbers_of(parse_report(json.dumps(report).encode())))


def test_given_a_report_when_it_is_read_then_only_numbers_stay() -> None:
    report = {"auc": {"value": 0.97, "standard_deviation": "NaN"}, "rows": "569", "curve": [1, 2], "good": True}
    assert numbers(report) == {"auc.value": 0.97, "rows": 569}


@pytest.mark.parametrize(("spare", "others"), [(2, {"explanations.0": 0, "explanations.1": 1}), (0, {})])
def test_given_the_metric_of_a_gate_behind_many_others_when_numbers_are_kept_then_it_is_among_them(
    spare: int, others: dict[str, float]
) -> None:
    report = {f"explanations.{index}": index for index in range(2_000)} | {"rmse": 2.5}
    assert kept(dict(numbers_of(report)).items(), {"rmse"}, spare) == {**others, "rmse": 2.5}


def test_given_keys_that_cannot_be_shown_or_are_too_long_when_a_report_is_read_then_they_are_passed_over() -> None:
    assert numbers({"a\ud800": 1, "a\x1b[2J": 2, "k" * 257: 3, "k" * 256: 4}) == {"k" * 256: 4}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"[" * 100_000, "nested too deeply; allowed: 32 levels"),
        (b'{"a":' * 40 + b"1" + b"}" * 40, "nested too deeply; allowed: 32 levels"),
        (b" " * (REPORT_LIMIT + 1), "more than 4,194,304 bytes"),
        (b"nan", "not JSON"),
        (b"[1]", "not a JSON object"),
        (b"\xff", "not JSON"),
    ],
)
def test_given_a_report_that_is_no_report_when_it_is_read_then_it_is_refused_with_what_is_allowed(body: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        dict(numbers_of(parse_report(body)))


def test_given_a_number_of_many_digits_when_a_report_is_read_then_it_is_no_measurement() -> None:
    body = b'{"a": ' + b"9" * 100_000 + b', "b": 1e999, "c": 12345678901234567890}'
    assert dict(numbers_of(parse_report(body))) == {"c": 12345678901234567890.0}


def test_given_a_confusion_matrix_of_many_classes_when_a_gate_names_a_metric_behind_it_then_it_is_found() -> None:
    matrix = {str(row): {str(column): 1 for column in range(400)} for row in range(400)}
    report = parse_report(json.dumps({"confusion_matrix": matrix, "weighted_f1": {"value": 0.9}}).encode())
    found = measure(report, {"weighted_f1.value"}, 500)
    assert (found.numbers["weighted_f1.value"], len(found.numbers)) == (0.9, 501)


def test_given_long_keys_around_many_numbers_when_a_report_is_read_then_time_and_memory_stay_small() -> None:
    report = nested(30, {str(index): 1 for index in range(90_000)})
    before = time.process_time()
    assert numbers(report) == {}
    assert time.process_time() - before < 3


@pytest.mark.parametrize("item", ["{}", '{"a":{}}', "[]", "1", '""'])
def test_given_a_report_full_of_one_thing_when_it_is_read_then_the_memory_is_bounded(item: str) -> None:
    program = f"""
from slipway.app.reports import numbers_of, parse_report
from tests.support.memory import peak_of
body = '{{"a": [' + ",".join([{item!r}] * (4_100_000 // {len(item) + 1})) + "]}}"
assert not dict(numbers_of(parse_report(body.encode())))
"""
    assert peak_of(program) < 400_000  # kB


def test_given_two_reports_when_they_are_put_together_then_a_number_wins_over_what_is_none() -> None:
    named = {"accuracy", "auc"}
    parts = [measure(report, named, 10) for report in ({"accuracy": 0.9, "auc": "NaN"}, {"accuracy": "NaN", "auc": "NaN"})]
    found = together(parts, named, 10)
    assert found.numbers == {"accuracy": 0.9}
    assert found.faults == {"auc": "is NaN"}


@pytest.mark.parametrize(
    ("path", "near"),
    [
        ("regression_metrics.mse", "regression_metrics.mse.value"),
        ("mse", "regression_metrics.mse.value"),
        ("regression_metrics.mes.value", "regression_metrics.mse.value"),
        ("confusion", None),
    ],
)
def test_given_a_name_that_is_not_there_then_the_one_that_was_meant_is_found(path: str, near: str | None) -> None:
    assert nearest_name(path, ["regression_metrics.mse.standard_deviation", "regression_metrics.mse.value", "rows"]) == near


def test_given_many_wrong_names_and_a_full_report_when_it_is_measured_then_the_time_stays_small() -> None:
    report = {f"metrics.{index:05}.value": index for index in range(50_000)}
    before = time.process_time()
    found = measure(report, {f"metric.{index}.valeu" for index in range(10)}, 500)
    assert time.process_time() - before < 20
    assert len(found.numbers) == 500


def test_given_an_object_with_odd_keys_where_a_number_is_wanted_then_they_are_shown_harmless() -> None:
    report = parse_report(b'{"a": {"\\ud800": 1, "\\u001b[2J\\n": 2}}')
    assert measure(report, ["a"], 0).faults == {"a": "is an object, not a number: it has �, �[2J"}
