"""Metrics of new models, held against rules: the numbers, and on the local AWS an update and a soak that they end."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta

import pytest
from temporalio.testing import ActivityEnvironment

from activities.endpoints.measuring import Fleet, Judgement, Sample, Wanted, Window, judge, measure
from activities.endpoints.messages import (
    AlarmPlace,
    EndpointPlan,
    FollowEndpoint,
    RolloutEnd,
    WatchAlarms,
    WatchedAlarms,
    WatchedModel,
)
from activities.endpoints.metric_watch import Look, MetricWatch
from activities.endpoints.served import SageMakerAccount, account_of
from activities.endpoints.soaking import SoakActivities
from slipway.api import LedgerState
from slipway.app.strategy import Canary, Strategy
from slipway.app.watched_metrics import WatchedMetric
from slipway.aws.clients import Aws
from slipway.aws.looking import Described
from slipway.aws.polling import Polling
from tests.activities.conftest import Run
from tests.activities.serving import ALARM, Serving

ERRORS = WatchedMetric(metric="Invocation5XXErrors", max=0.1, min_requests=3)
SLOWER = WatchedMetric(metric="ModelLatency", statistic="p90", max_ratio=1000, min_requests=3)
NOW = datetime.now(UTC)


def rule(**limits: float) -> WatchedMetric:
    return WatchedMetric(metric="ModelLatency", statistic="p99", min_requests=100, **limits)  # pyright: ignore[reportArgumentType]


def sample(value: float, requests: int = 200) -> Sample:
    return Sample(requests, value)


@pytest.mark.parametrize(
    ("limits", "new", "former", "breach"),
    [
        ({"max": 500}, sample(500), None, ""),
        ({"max": 500}, sample(501), None, "ModelLatency p99 is 501 µs over 200 requests, and at most 500 µs passes"),
        ({"max_ratio": 1.2}, sample(120), sample(100), ""),
        ({"max_ratio": 1.2}, sample(121), sample(100), "at most 1.2 times the former model's 100 µs passes"),
        ({"max_regression": 20}, sample(121), sample(100), "at most 20 µs more than the former model's 100 µs passes"),
        ({"max_ratio": 2}, sample(1), sample(0), "at most 2 times the former model's 0 µs passes"),
        ({"max_ratio": 2}, sample(900), None, ""),
        ({"max": 500, "max_ratio": 9}, sample(501), sample(100, 3), "at most 500 µs passes"),
    ],
)
def test_given_enough_requests_when_a_rule_is_judged_then_a_breach_says_by_how_much(
    limits: dict[str, float], new: Sample, former: Sample | None, breach: str
) -> None:
    found = judge(rule(**limits), new, former)
    assert found.unjudged == ""
    assert found.breach.endswith(breach)
    assert bool(found.breach) == bool(breach)


@pytest.mark.parametrize(
    ("new", "former", "said"),
    [
        (sample(9e9, 12), sample(1), "ModelLatency p99: too few requests (12 of 100)"),
        (Sample(), None, "ModelLatency p99: too few requests (0 of 100)"),
        (sample(9e9), sample(1, 7), "ModelLatency p99: too few requests of the former model (7 of 100)"),
    ],
)
def test_given_too_few_requests_when_a_rule_is_judged_then_it_is_not(new: Sample, former: Sample | None, said: str) -> None:
    assert judge(rule(max_ratio=1.5), new, former) == Judgement(unjudged=said)


def test_given_a_time_when_its_minutes_are_taken_then_each_that_has_a_part_of_it_is_there() -> None:
    start = datetime(2026, 1, 1, 12, 0, 59, tzinfo=UTC)
    assert Window.between(start, start + timedelta(seconds=2)) == Window(
        datetime(2026, 1, 1, 12, 0, tzinfo=UTC), datetime(2026, 1, 1, 12, 2, tzinfo=UTC)
    )


def requests(serving: Serving, number: int) -> int:
    """Ask the endpoint; how often the model failed."""
    runtime, failed = serving.sandbox.client("sagemaker-runtime", serving.account), 0
    for _ in range(number):
        try:
            runtime.invoke_endpoint(EndpointName="screening-prod", ContentType="application/json", Body=b"{}")
        except runtime.exceptions.ModelError:
            failed += 1
    return failed


def watched(plan: EndpointPlan) -> WatchedModel:
    return WatchedModel(
        place=AlarmPlace(region=plan.region, role_arn=None),
        endpoint=plan.target.endpoint,
        variant=None,
        config=plan.config,
        former=plan.former,
        since=NOW,
    )


async def counted(aws: Aws, plan: EndpointPlan, config: str, number: int) -> Sample:
    """What CloudWatch has of a fleet, once it has as many requests."""
    account = SageMakerAccount(aws, plan.region, None)
    wanted = Wanted(
        Fleet(plan.target.endpoint, "AllTraffic", config),
        "ModelLatency",
        "p90",
        Window.between(NOW, datetime.now(UTC) + timedelta(minutes=1)),
    )
    deadline = asyncio.get_running_loop().time() + 60
    while (found := (await measure(account, [wanted]))[wanted]).requests < number:
        assert asyncio.get_running_loop().time() < deadline, f"timeout waiting for {number} requests in CloudWatch"
    return found


async def test_given_a_model_that_fails_during_its_update_when_a_metric_breaches_then_the_update_is_stopped_by_an_alarm(
    serving: Serving, run: Run
) -> None:
    first = await serving.serve()
    hour = timedelta(hours=1)
    strategy = Strategy(canary=Canary(percent=50, wait=hour), bake=hour, alarms=(ALARM,), metrics=(ERRORS,))
    found = await serving.preflight(serving.package("bad", status=500), strategy)
    await serving.update(found.plan, first.config)
    follow = FollowEndpoint(plan=found.plan, timeout=timedelta(hours=2))
    following = asyncio.ensure_future(run(serving.activities.follow_endpoint, follow))
    while not following.done():
        await asyncio.to_thread(requests, serving, 4)
    verdict = await following
    assert (verdict.end, verdict.stopped, verdict.config) == (RolloutEnd.rolled_back, True, first.config)
    assert "Invocation5XXErrors is 1 over" in verdict.reason
    assert (await serving.restore(found.plan, first.config)).state is LedgerState.undone
    assert serving.served() == first.config
    assert serving.calls("UpdateEndpoint") == 1, "the alarm of the deployment stopped it"


async def test_given_a_model_without_requests_when_its_update_ends_then_it_serves_and_the_rule_was_not_judged(
    serving: Serving, run: Run
) -> None:
    await serving.serve()
    found = await serving.preflight(serving.package("second"), Strategy(metrics=(ERRORS, SLOWER)))
    await serving.update(found.plan, found.current_config)
    verdict = await serving.follow(found.plan)
    assert verdict.end is RolloutEnd.served
    assert [each.said for each in verdict.unjudged] == [
        "Invocation5XXErrors: too few requests (0 of 3)",
        "ModelLatency p90: too few requests (0 of 3)",
    ]


async def test_given_models_that_soak_when_one_fails_then_the_watch_ends_with_its_breach(
    serving: Serving, run: Run, aws: Aws
) -> None:
    first = await serving.serve()
    second = await serving.roll_out(serving.package("bad", status=500), Strategy())
    soak = SoakActivities(aws, Polling(0.05))
    watch = WatchAlarms(
        places=(),
        alarms=(),
        until=datetime.now(UTC) + timedelta(hours=1),
        models=(watched(first), watched(second)),
        metrics=(ERRORS,),
    )
    watching = asyncio.ensure_future(run(soak.watch_alarms, watch))
    await asyncio.to_thread(requests, serving, 3)
    ended = await asyncio.wait_for(watching, 60)
    assert [breach.model for breach in ended.breaches] == [1]
    assert ended.breaches[0].said == "Invocation5XXErrors is 1 over 3 requests, and at most 0.1 passes"


@pytest.mark.parametrize(("models", "named"), [(100, 1_000), (101, 101)])
async def test_given_more_breaches_than_fit_into_a_message_when_they_are_told_then_one_of_each_model_is(
    models: int, named: int
) -> None:
    async def describe(keys: Collection[str]) -> Mapping[str, Judgement]:
        return {key: Judgement(breach="it is slow") for key in keys}

    def source(_region: str | None, _role: str | None) -> Described[Judgement]:
        return Described(describe)

    model = WatchedModel(
        place=AlarmPlace(region="us-east-1", role_arn=None), endpoint="e", variant=None, config="c", former=None, since=NOW
    )
    looks = {
        Look(served=model, variant=f"v{number}", made=NOW, rule=at, metric=ERRORS): number
        for number in range(models)
        for at in range(10)
    }
    watch = MetricWatch(Polling(0.05).pollers(source, account_of), looks)
    await ActivityEnvironment().run(watch.look_once_more)
    assert (len(watch.breaches), {breach.model for breach in watch.breaches}) == (named, set(range(models)))


async def test_given_two_models_when_the_time_is_over_then_the_new_one_was_compared_with_the_one_before_it(
    serving: Serving, run: Run, aws: Aws
) -> None:
    first = await serving.serve()
    await asyncio.to_thread(requests, serving, 3)
    second = await serving.roll_out(serving.package("second"), Strategy())
    await asyncio.to_thread(requests, serving, 3)
    for config in (first.config, second.config):
        assert not math.isnan((await counted(aws, second, config, 3)).value)
    soak = SoakActivities(aws, Polling(0.05))
    watch = WatchAlarms(places=(), alarms=(), until=datetime.now(UTC), models=(watched(second),), metrics=(SLOWER,))
    assert await run(soak.watch_alarms, watch) == WatchedAlarms()
    no_better = SLOWER.model_copy(update={"max_ratio": 0})
    breached = await run(soak.watch_alarms, watch.model_copy(update={"metrics": (no_better,)}))
    assert "at most 0 times the former model's" in breached.breaches[0].said
