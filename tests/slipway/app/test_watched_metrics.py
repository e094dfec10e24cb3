"""Rules on metrics of a new model, and how many former configs stay: what is read, what is refused, and what approvers see."""

from __future__ import annotations

from datetime import timedelta

import pytest

from activities.rollout_plans import traffic_of
from slipway.app.going_back import spec_of_rollback
from slipway.app.lint import read_app
from slipway.app.problems import SpecError
from slipway.app.spec import KEPT_CONFIGS, ModelPromotion
from slipway.app.spec_reader import parse_spec
from tests.slipway.app.test_lint import FILES, SPEC, reading

LATENCY = "{metric: ModelLatency, statistic: p99, maxRatio: 1.2, minRequests: 500, window: 30m}"


def with_metric(metric: str) -> str:
    return SPEC.replace("alarms: [errors]", f"alarms: [errors], metrics: [{metric}]")


def read(metric: str) -> ModelPromotion:
    return parse_spec(with_metric(metric))


def test_given_a_rule_on_a_metric_when_it_is_read_then_approvers_see_it_in_the_rollout_plan() -> None:
    strategy = read(LATENCY).spec.rollout.strategy
    assert strategy.metrics[0].window == timedelta(minutes=30)
    assert traffic_of(strategy).endswith(
        "back on the alarm errors, or where it breaches ModelLatency p99 at most 1.2 times the former model's over 30m, from 500 "
        "requests on"
    )


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        ("{metric: Invocations, max: 1}", "Invocation4XXErrors"),
        ("{metric: ModelLatency}", "needs at least one of max, maxRegression, maxRatio"),
        ("{metric: ModelLatency, statistic: p42, max: 1}", "'p50'"),
        ("{metric: Invocation5XXErrors, statistic: p99, max: 1}", "write average"),
        ("{metric: ModelLatency, max: 1, window: 4h}", "from 1m to 3h"),
        ("{metric: ModelLatency, max: -1}", "greater than or equal to 0"),
        ("{metric: ModelLatency, max: 1, minRequests: 0}", "greater than or equal to 1"),
    ],
)
def test_given_a_rule_that_cannot_be_judged_when_it_is_read_then_it_is_refused(metric: str, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        read(metric)


def test_given_a_rule_without_alarms_when_the_files_are_checked_then_a_warning_says_that_nothing_stops_an_update() -> None:
    spec = with_metric(LATENCY).replace("canary: {percent: 25, wait: 10m}, alarms: [errors], ", "")
    (problem,) = read_app(reading(FILES | {"promotion.yaml": spec})).warnings
    assert problem.path == "spec.rollout.strategy.metrics"
    assert "nothing stops an update" in problem.message


def test_given_a_rollback_then_no_metric_holds_it_up_and_as_much_is_kept() -> None:
    spec = parse_spec(with_metric(LATENCY).replace("waves:", "keep: all\n    waves:"))
    going_back = spec_of_rollback(spec).spec.rollout
    assert (going_back.strategy.metrics, going_back.keep) == ((), "all")


@pytest.mark.parametrize(
    ("written", "said"), [("0", "found 0; allowed: a whole number from 1"), ("some", "'all'"), ("1001", "from 1 to 1,000")]
)
def test_given_a_number_of_former_configs_that_cannot_be_when_it_is_read_then_it_is_refused(written: str, said: str) -> None:
    assert parse_spec(SPEC).spec.rollout.keep == KEPT_CONFIGS
    with pytest.raises(SpecError, match=said):
        parse_spec(SPEC.replace("waves:", f"keep: {written}\n    waves:"))
