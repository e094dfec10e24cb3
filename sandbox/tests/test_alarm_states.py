"""What an alarm's periods come to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from slipway_sandbox.sagemaker.hosting.alarm_rules import UnknownExpressionError, judge, points_of
from slipway_sandbox.sagemaker.hosting.metrics import Metric


def alarm(**more: Any) -> dict[str, Any]:
    plain = {
        "MetricName": "Invocation5XXErrors",
        "ComparisonOperator": "GreaterThanThreshold",
        "Threshold": 0.1,
        "EvaluationPeriods": 1,
        "Statistic": "Average",
    }
    return {**plain, **more}


def state(of: dict[str, Any], *windows: Sequence[float]) -> str | None:
    """The state that the values of its periods come to, the newest first."""
    return judge(of, points_of(of, lambda _metric, number: windows[number]))


@pytest.mark.parametrize(("values", "expected"), [([0, 0, 1], "ALARM"), ([0, 0, 0], "OK"), ([], "INSUFFICIENT_DATA")])
def test_given_an_error_rate_when_its_period_is_judged_then_the_threshold_decides(values: list[float], expected: str) -> None:
    assert state(alarm(), values) == expected


@pytest.mark.parametrize(
    ("treatment", "expected"),
    [("breaching", "ALARM"), ("notBreaching", "OK"), ("missing", "INSUFFICIENT_DATA"), ("ignore", None)],
)
def test_given_no_data_when_it_is_judged_then_the_treatment_decides(treatment: str, expected: str | None) -> None:
    assert state(alarm(TreatMissingData=treatment), []) == expected


def test_given_two_of_three_periods_when_two_breach_then_it_is_in_alarm() -> None:
    assert state(alarm(EvaluationPeriods=3, DatapointsToAlarm=2), [1], [0], [1]) == "ALARM"


def test_given_three_of_three_periods_when_two_breach_then_it_is_not_in_alarm() -> None:
    assert state(alarm(EvaluationPeriods=3), [1], [0], [1]) == "OK"


def test_given_a_percentile_when_its_tail_is_slow_then_it_is_in_alarm() -> None:
    slow = alarm(Statistic=None, ExtendedStatistic="p90", Threshold=500)
    assert state(slow, [100] * 8 + [900] * 2) == "ALARM"
    assert state(slow, [100] * 19 + [900]) == "OK"


def test_given_a_trimmed_mean_when_only_its_tail_is_slow_then_it_is_not_in_alarm() -> None:
    assert state(alarm(Statistic=None, ExtendedStatistic="tm90", Threshold=500), [100] * 9 + [9000]) == "OK"


@pytest.mark.parametrize(("statistic", "value"), [("Sum", 6), ("Maximum", 3), ("Minimum", 1), ("SampleCount", 3), ("Average", 2)])
def test_given_a_statistic_when_it_equals_the_threshold_then_at_least_is_met(statistic: str, value: float) -> None:
    exact = alarm(Statistic=statistic, Threshold=value, ComparisonOperator="GreaterThanOrEqualToThreshold")
    assert state(exact, [1, 2, 3]) == "ALARM"


def math(expression: str, **more: Any) -> dict[str, Any]:
    """An alarm on an expression over errors `e` and invocations `n`."""
    metrics = [
        {"Id": name, "ReturnData": False, "MetricStat": {"Stat": "Sum", "Period": 60, "Metric": {"MetricName": metric}}}
        for name, metric in (("e", "errors"), ("n", "invocations"))
    ]
    return alarm(Metrics=[*metrics, {"Id": "rate", "Expression": expression, "ReturnData": True}], **more)


def math_state(of: dict[str, Any], errors: Sequence[float], invocations: Sequence[float]) -> str | None:
    def values(metric: Metric, _number: int) -> Sequence[float]:
        return errors if metric.name == "errors" else invocations

    return judge(of, points_of(of, values))


@pytest.mark.parametrize(
    ("expression", "errors", "invocations", "expected"),
    [
        ("e / n", [1], [1] * 4, "ALARM"),
        ("e / n", [1], [1] * 20, "OK"),
        ("e / n", [1], [], "INSUFFICIENT_DATA"),
        ("e / n", [1], [0], "INSUFFICIENT_DATA"),
        ("FILL(e, 0) / n", [], [1], "OK"),
        ("IF(n > 10, e / n, 0)", [1], [1] * 4, "OK"),
        ("IF(n > 10, e / n, 0)", [5], [1] * 20, "ALARM"),
        ("SUM([e, n]) - n", [1], [1], "ALARM"),
        ("-e + (n * 2)", [1], [1], "ALARM"),
    ],
)
def test_given_metric_math_when_it_is_judged_then_it_is_worked_out(
    expression: str, errors: list[float], invocations: list[float], expected: str
) -> None:
    assert math_state(math(expression), errors, invocations) == expected


@pytest.mark.parametrize("expression", ["ANOMALY_DETECTION_BAND(e)", "missing + 1", "rate + 1", "e e", "__import__('os')"])
def test_given_metric_math_that_is_not_known_when_it_is_judged_then_that_is_said(expression: str) -> None:
    with pytest.raises(UnknownExpressionError):
        math_state(math(expression), [1], [1])
