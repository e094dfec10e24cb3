from __future__ import annotations

from typing import Any

import pytest

from slipway.app.gates import evaluate_gates, metric_value
from slipway.app.spec import Gate

REPORT = {"binary_classification_metrics": {"auc": {"value": 0.97, "standard_deviation": "NaN"}, "accuracy": {"value": 0.95}}}
AUC = "binary_classification_metrics.auc.value"


def auc(value: float) -> dict[str, float]:
    return {AUC: value}


@pytest.mark.parametrize(
    ("rule", "challenger", "champion", "passed", "said"),
    [
        ({"min": 0.97}, REPORT, None, True, "0.97 meets min 0.97"),
        ({"min": 0.98}, REPORT, None, False, "0.97 does not meet min 0.98"),
        ({"max": 0.5}, REPORT, None, False, "does not meet max 0.5"),
        ({"maxRegression": 0.01}, REPORT, auc(0.98), True, "against the champion's 0.98"),
        ({"maxRegression": 0.01}, REPORT, auc(0.981), False, "does not meet maxRegression 0.01"),
        ({"maxRegression": 0.01}, REPORT, None, True, "no champion"),
        ({"maxRegression": 0.01}, REPORT, {}, False, "the champion's report has no number at"),
        ({"maxRegression": 0.01}, {}, auc(0.98), False, "the evaluation has no number at"),
        ({"maxRegression": 0.01, "direction": "lower"}, REPORT, auc(0.95), False, "lower is better"),
        ({"minImprovement": 0.01}, REPORT, auc(0.96), True, "meets minImprovement 0.01"),
        ({"minImprovement": 0.02}, REPORT, auc(0.96), False, "does not meet minImprovement"),
        ({"min": 0.9}, {AUC: "0.93"}, None, True, "0.93 meets"),
        ({"min": 0.9}, {AUC: "NaN"}, None, False, "no number"),
        ({"min": 0.9}, {AUC: True}, None, False, "no number"),
    ],
)
def test_given_a_rule_when_a_model_is_held_against_it_then_it_passes_or_says_why_not(
    rule: dict[str, Any], challenger: dict[str, Any], champion: dict[str, Any] | None, passed: bool, said: str
) -> None:
    [result] = evaluate_gates([Gate.model_validate({"metric": AUC, **rule})], challenger, champion)
    assert result.passed is passed
    assert said in result.message


def test_given_two_rules_on_a_metric_when_they_are_evaluated_then_each_has_its_result() -> None:
    results = evaluate_gates([Gate(metric=AUC, min=0.9, max=0.96)], REPORT)
    assert [(result.rule, result.passed) for result in results] == [("min 0.9", True), ("max 0.96", False)]


def test_given_a_key_with_dots_when_a_metric_is_looked_up_then_it_is_found() -> None:
    assert metric_value({"a.b": {"c": 1}}, "a.b.c") == 1


def test_given_a_champion_of_which_nothing_is_known_when_a_rule_compares_then_it_passes_and_says_why() -> None:
    [result] = evaluate_gates([Gate(metric=AUC, max_regression=0.01)], REPORT, absent="the champion has no evaluation report")
    assert (result.passed, result.message) == (True, "the champion has no evaluation report")
