from typing import Any

import pytest
from slipway_sandbox.sagemaker.hosting.alarms import judge


def alarm(**more: Any) -> dict[str, Any]:
    plain = {
        "ComparisonOperator": "GreaterThanThreshold",
        "Threshold": 0.1,
        "EvaluationPeriods": 1,
        "Statistic": "Average",
    }
    return {**plain, **more}


@pytest.mark.parametrize(("values", "state"), [([0, 0, 1], "ALARM"), ([0, 0, 0], "OK"), ([], "OK")])
def test_given_an_error_rate_when_its_period_is_judged_then_the_threshold_decides(values: list[float], state: str) -> None:
    assert judge(alarm(), [values]) == state


@pytest.mark.parametrize(
    ("treatment", "state"), [("breaching", "ALARM"), ("notBreaching", "OK"), ("missing", "OK"), ("ignore", None)]
)
def test_given_no_data_when_it_is_judged_then_the_treatment_decides(treatment: str, state: str | None) -> None:
    assert judge(alarm(TreatMissingData=treatment), [[]]) == state


def test_given_two_of_three_periods_when_two_breach_then_it_is_in_alarm() -> None:
    assert judge(alarm(EvaluationPeriods=3, DatapointsToAlarm=2), [[1], [0], [1]]) == "ALARM"


def test_given_three_of_three_periods_when_two_breach_then_it_is_not_in_alarm() -> None:
    assert judge(alarm(EvaluationPeriods=3), [[1], [0], [1]]) == "OK"


def test_given_a_percentile_when_its_tail_is_slow_then_it_is_in_alarm() -> None:
    slow = alarm(Statistic=None, ExtendedStatistic="p90", Threshold=500)
    assert judge(slow, [[100] * 8 + [900] * 2]) == "ALARM"
    assert judge(slow, [[100] * 19 + [900]]) == "OK"


@pytest.mark.parametrize(("statistic", "value"), [("Sum", 6), ("Maximum", 3), ("Minimum", 1), ("SampleCount", 3), ("Average", 2)])
def test_given_a_statistic_when_it_equals_the_threshold_then_at_least_is_met(statistic: str, value: float) -> None:
    exact = alarm(Statistic=statistic, Threshold=value, ComparisonOperator="GreaterThanOrEqualToThreshold")
    assert judge(exact, [[1, 2, 3]]) == "ALARM"
