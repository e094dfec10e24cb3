"""Gates: what passes, what is missed, and what cannot be read."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.app.gates import GateResult, Rival, evaluate_gates, explain_unreadable, unreadable
from slipway.app.reports import Measurements, measure
from slipway.app.spec import Gate

REPORT = {"binary_classification_metrics": {"auc": {"value": 0.97, "standard_deviation": "NaN"}, "accuracy": {"value": 0.95}}}
AUC = "binary_classification_metrics.auc.value"
CHAMPION = "the champion screening/6"


def measured(report: dict[str, Any], path: str = AUC) -> Measurements:
    return measure(report, {path}, 10)


def rival(report: dict[str, Any], path: str = AUC) -> Rival:
    return Rival(CHAMPION, measured(report, path))


@pytest.mark.parametrize(
    ("rule", "challenger", "champion", "passed", "said"),
    [
        ({"min": 0.97}, REPORT, None, True, "0.97 meets min 0.97"),
        ({"min": 0.98}, REPORT, None, False, "0.97 does not meet min 0.98"),
        ({"max": 0.5}, REPORT, None, False, "does not meet max 0.5"),
        ({"maxRegression": 0.01}, REPORT, {AUC: 0.98}, True, "against the champion's 0.98"),
        ({"maxRegression": 0.01}, REPORT, {AUC: 0.981}, False, "does not meet maxRegression 0.01"),
        ({"maxRegression": 0.01}, REPORT, None, True, "no champion"),
        ({"maxRegression": 0.01, "direction": "lower"}, REPORT, {AUC: 0.95}, False, "lower is better"),
        ({"minImprovement": 0.01}, REPORT, {AUC: 0.96}, True, "meets minImprovement 0.01"),
        ({"minImprovement": 0.02}, REPORT, {AUC: 0.96}, False, "does not meet minImprovement"),
        ({"min": 0.9}, {AUC: "0.93"}, None, True, "0.93 meets"),
    ],
)
def test_given_a_rule_when_a_model_is_held_against_it_then_it_passes_or_is_missed_and_says_why(
    rule: dict[str, Any], challenger: dict[str, Any], champion: dict[str, Any] | None, passed: bool, said: str
) -> None:
    gate = Gate.model_validate({"metric": AUC, **rule})
    [result] = evaluate_gates([gate], measured(challenger), None if champion is None else rival(champion))
    assert (result.passed, result.missed, result.problem) == (passed, not passed, "")
    assert said in result.message


@pytest.mark.parametrize(
    ("report", "said"),
    [
        ({}, "the challenger has no such metric"),
        ({"binary_classification_metrics": {"auc": {"valu": 1}}}, "did you mean 'binary_classification_metrics.auc.valu'?"),
        ({AUC: "NaN"}, "it is NaN"),
        ({AUC: math.nan}, "it is NaN"),
        ({AUC: -math.inf}, "it is infinite"),
        ({AUC: True}, "it is true, not a number"),
        ({AUC: None}, "it is null"),
        ({AUC: "good"}, "it is the text 'good', not a number"),
        ({AUC: [0.9]}, "it is a list of 1, not a number: say which item, as [0]"),
        ({AUC: {"value": 1}}, "it is an object, not a number: it has value"),
    ],
)
@pytest.mark.parametrize("rule", [{"min": 0.9}, {"max": 0.9}, {"maxRegression": 0.1}, {"minImprovement": 0.1}], ids=str)
def test_given_a_challenger_whose_metric_cannot_be_read_when_it_is_judged_then_the_gate_is_not_missed_and_says_what_is_there(
    rule: dict[str, float], report: dict[str, Any], said: str
) -> None:
    [result] = evaluate_gates([Gate.model_validate({"metric": AUC, **rule})], measured(report), rival({AUC: 0.9}))
    assert (result.passed, result.missed, result.value) == (False, False, None)
    assert said in result.problem


@pytest.mark.parametrize(
    ("champion", "said"),
    [
        (rival({}), f"{CHAMPION} has no such metric"),
        (rival({AUC: math.nan}), f"{CHAMPION} has no number there: it is NaN"),
        (Rival(CHAMPION, unmeasured="its report has expired"), "its report has expired"),
    ],
)
def test_given_a_champion_that_cannot_be_measured_then_only_a_gate_that_compares_is_hurt_and_only_if_the_spec_says_so(
    champion: Rival, said: str
) -> None:
    gate = Gate(metric=AUC, min=0.9, max_regression=0.01)
    absolute, parked = evaluate_gates([gate], measured(REPORT), champion)
    assert absolute.passed
    assert (parked.passed, parked.missed) == (False, False)
    assert said in parked.problem
    [_, lenient] = evaluate_gates([gate.model_copy(update={"unmeasured_champion": "pass"})], measured(REPORT), champion)
    assert (lenient.passed, lenient.problem) == (True, "")
    assert said in lenient.message


def test_given_two_rules_on_a_metric_when_they_are_evaluated_then_each_has_its_result() -> None:
    results = evaluate_gates([Gate(metric=AUC, min=0.9, max=0.96)], measured(REPORT))
    assert [(result.rule, result.passed) for result in results] == [("min 0.9", True), ("max 0.96", False)]


def test_given_a_fault_that_several_rules_and_champions_have_when_it_is_told_then_it_is_told_once() -> None:
    gates = [Gate(metric="auc", min=0.9, max_regression=0.1), Gate(metric=AUC, min=0.9)]
    challenger = measure(REPORT, {"auc", AUC}, 10)
    results = [result for name in "ab" for result in evaluate_gates(gates, challenger, Rival(name, measured({AUC: 0.9})))]
    [fault] = unreadable(results)
    assert fault == f"auc (min 0.9, maxRegression 0.1): the challenger has no such metric; did you mean {AUC!r}?"
    accuracy = "binary_classification_metrics.accuracy.value"
    assert explain_unreadable(results, challenger.numbers) == f"gate {fault}\nthe challenger's metrics: {accuracy}, {AUC}"


def test_given_many_faults_and_metrics_when_they_are_told_then_the_text_fits_into_a_failure() -> None:
    def result(number: int) -> GateResult:
        path = f"{number:03}" + "m" * 30
        return GateResult(
            metric=path, rule="min 1", value=None, champion=None, passed=False, message="", problem=f"lacks {number}"
        )

    text = explain_unreadable([result(number) for number in range(50)], [f"{number:040}" for number in range(500)])
    assert "and 45 faults more" in text
    assert text.endswith(", 493 more")
    assert len(text) < 1_000


NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
UNREADABLE = st.sampled_from([math.nan, math.inf, -math.inf]) | st.none() | st.booleans() | st.lists(NUMBERS) | st.just("x")
GATES = st.builds(
    Gate,
    metric=st.just("m"),
    min=NUMBERS,
    max=st.none() | NUMBERS,
    max_regression=st.none() | st.floats(0, 1e9),
    min_improvement=st.none() | st.floats(0, 1e9),
    direction=st.sampled_from(["higher", "lower"]),
    unmeasured_champion=st.sampled_from(["park", "pass"]),
)


@given(gate=GATES, value=NUMBERS, champion=NUMBERS)
def test_given_two_numbers_then_each_rule_passes_or_is_missed_and_never_both(gate: Gate, value: float, champion: float) -> None:
    results = evaluate_gates([gate], measured({"m": value}, "m"), rival({"m": champion}, "m"))
    assert all(result.passed is not result.missed and not result.problem for result in results)
    assert len({result.rule for result in results}) == len(results) >= 1
    assert results[0].passed == (value >= (gate.min or 0))


@given(gate=GATES, value=UNREADABLE, champion=NUMBERS | UNREADABLE)
def test_given_no_number_then_no_rule_passes_and_none_is_missed(gate: Gate, value: Any, champion: Any) -> None:
    results = evaluate_gates([gate], measured({"m": value}, "m"), rival({"m": champion}, "m"))
    assert all(result.problem and not result.passed and not result.missed for result in results)


@given(gate=GATES, value=NUMBERS, champion=UNREADABLE)
def test_given_a_champion_without_a_number_then_a_comparing_rule_follows_the_specs_choice(
    gate: Gate, value: float, champion: Any
) -> None:
    compared = {
        result.rule: result for result in evaluate_gates([gate], measured({"m": value}, "m"), rival({"m": champion}, "m"))
    }
    for rule, result in compared.items():
        if rule.startswith(("max ", "min ")):
            assert not result.problem
        else:
            assert (result.passed, bool(result.problem)) == (
                (True, False) if gate.unmeasured_champion == "pass" else (False, True)
            )


def test_given_a_number_that_misses_a_bound_by_little_when_it_is_judged_then_the_difference_is_seen() -> None:
    [result] = evaluate_gates([Gate(metric="accuracy", min=0.9)], measured({"accuracy": 0.899999999999}))
    assert result.message == "0.899999999999 does not meet min 0.9"
