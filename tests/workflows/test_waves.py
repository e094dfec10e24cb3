"""What becomes of a rollout where a target does not keep the new model."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner

from activities.endpoints.messages import Breach, RolloutEnd, Scaling, Unjudged
from slipway.api import LedgerState, OperatorCommand, Outcome, PromotionStatus, StageName
from slipway.app.spec import Target, Wave
from slipway.app.strategy import Strategy
from slipway.app.watched_metrics import WatchedMetric
from slipway.temporal.start import Handle, send_update, start_promotion
from tests.support.waiting import summary_of, until, until_parked
from tests.support.world import World, approval, needs_person, request, working
from workflows import new_run

SOAK = timedelta(days=1)
ALARMS = Strategy(alarms=("screening-5xx",))
METRICS = Strategy(metrics=(WatchedMetric(metric="Invocation5XXErrors", max=0.01),))


async def start(client: Client, world: World) -> Handle:
    world.set_approval(approval(mode="auto"))
    handle, _ = await start_promotion(client, request(), world.task_queue)
    return handle


def endpoints(world: World, activity: str) -> list[str]:
    """The endpoints that an activity was asked to act on, in the order of its calls."""
    return [asked.plan.target.endpoint for asked in world.asked(activity)]


def ledger(status: PromotionStatus) -> dict[str, LedgerState]:
    return {entry.inverse: entry.state for entry in status.ledger if entry.stage is StageName.rollout}


def answered(status: PromotionStatus) -> str:
    assert status.waiting_for
    assert status.waiting_for.failure
    return status.waiting_for.failure.answered


async def retry(handle: Handle) -> None:
    await send_update(handle, "retry", OperatorCommand(by="ana"))


async def test_given_a_limit_when_a_wave_is_rolled_out_then_no_more_targets_are_in_flight(client: Client, world: World) -> None:
    world.set_waves(("a", "b", "c"), at_once=1)
    gate = world.hold("follow_endpoint")
    handle = await start(client, world)
    await asyncio.wait_for(world.entered["follow_endpoint"].wait(), 30)
    assert endpoints(world, "update_endpoint") == ["a"]
    gate.set()
    assert (await handle.result()).outcome is Outcome.promoted
    assert endpoints(world, "update_endpoint") == ["a", "b", "c"]


@pytest.mark.parametrize("policy", ["stop", "rollbackWave", "rollbackAll"])
async def test_given_a_target_that_fails_when_others_have_not_begun_then_they_do_not_begin(
    client: Client, world: World, policy: str
) -> None:
    world.set_waves(("a", "b", "c"), ("d",), at_once=1, on_failure=policy)
    world.verdicts["b"] = RolloutEnd.rolled_back
    handle = await start(client, world)
    await until(handle, lambda status: bool(status.outcome or status.waiting_for), "the end or a park")
    assert endpoints(world, "update_endpoint") == ["a", "b"]


async def test_given_stop_when_a_target_fails_then_it_alone_goes_back_and_a_retry_rolls_it_out_again(
    client: Client, world: World
) -> None:
    world.set_waves(("a",), ("b", "c"), at_once=1, on_failure="stop")
    world.verdicts["c"] = RolloutEnd.rolled_back
    handle = await start(client, world)
    parked = await until_parked(handle, StageName.rollout)
    assert "c: the alarm screening-5xx went off" in answered(parked)
    assert endpoints(world, "restore_endpoint") == ["c"]
    assert ledger(parked)["restore c (us-east-1)"] is LedgerState.undone
    assert ledger(parked)["restore b (us-east-1)"] is LedgerState.planned
    assert [served.endpoint for served in parked.endpoints] == ["a", "b"]
    world.verdicts.clear()
    await retry(handle)
    status = await handle.result()
    assert status.outcome is Outcome.promoted
    assert endpoints(world, "update_endpoint") == ["a", "b", "c", "c"]
    assert set(ledger(status).values()) == {LedgerState.kept}


async def test_given_stop_when_a_target_fails_while_another_one_is_updated_then_that_one_is_stopped_and_goes_back_too(
    client: Client, world: World
) -> None:
    world.set_waves(("a",), ("b", "c"), on_failure="stop")
    world.verdicts["b"] = RolloutEnd.rolled_back
    world.endless = {"c"}
    handle = await start(client, world)
    parked = await until_parked(handle, StageName.rollout)
    assert set(endpoints(world, "restore_endpoint")) == {"b", "c"}
    assert [served.endpoint for served in parked.endpoints] == ["a"]
    world.verdicts.clear()
    world.endless = set()
    await retry(handle)
    status = await handle.result()
    assert status.outcome is Outcome.promoted
    assert set(ledger(status).values()) == {LedgerState.kept}


async def test_given_stop_when_a_target_fails_beside_one_that_cannot_be_followed_then_both_go_back(
    client: Client, world: World
) -> None:
    world.set_waves(("a", "b"), on_failure="stop")
    world.unfollowed = {"a"}
    world.verdicts["b"] = RolloutEnd.rolled_back
    handle = await start(client, world)
    parked = await until_parked(handle, StageName.rollout)
    assert set(endpoints(world, "restore_endpoint")) == {"a", "b"}
    assert set(ledger(parked).values()) == {LedgerState.undone}


async def test_given_rollback_of_the_wave_when_a_target_fails_then_its_wave_goes_back_the_last_target_first(
    client: Client, world: World
) -> None:
    world.set_waves(("a",), ("b", "c", "d"), at_once=1, on_failure="rollbackWave")
    world.verdicts["d"] = RolloutEnd.rolled_back
    handle = await start(client, world)
    parked = await until_parked(handle, StageName.rollout)
    assert endpoints(world, "restore_endpoint") == ["d", "c", "b"]
    assert [served.endpoint for served in parked.endpoints] == ["a"]
    await send_update(handle, "abort", OperatorCommand(by="ana"))
    status = await handle.result()
    assert status.outcome is Outcome.aborted
    assert endpoints(world, "restore_endpoint") == ["d", "c", "b", "a"]
    assert set(ledger(status).values()) == {LedgerState.undone}


async def test_given_rollback_of_all_when_a_target_fails_then_every_wave_goes_back_and_the_promotion_ends(
    client: Client, world: World
) -> None:
    world.set_waves(("a",), ("b",), on_failure="rollbackAll")
    world.verdicts["b"] = RolloutEnd.rolled_back
    status = await (await start(client, world)).result()
    assert status.outcome is Outcome.rolled_back
    assert set(endpoints(world, "restore_endpoint")) == {"a", "b"}


async def test_given_a_target_that_cannot_be_put_back_when_the_promotion_parks_then_it_says_so_and_an_abort_tries_again(
    client: Client, world: World
) -> None:
    world.set_waves(("a",), on_failure="stop")
    world.verdicts["a"] = RolloutEnd.rolled_back
    world.fail("restore_endpoint", needs_person())
    handle = await start(client, world)
    parked = await until_parked(handle, StageName.rollout)
    assert "a is not put back: AccessDeniedException: not allowed" in answered(parked)
    await send_update(handle, "abort", OperatorCommand(by="ana"))
    assert set(ledger(await handle.result()).values()) == {LedgerState.undone}
    assert endpoints(world, "restore_endpoint") == ["a", "a"]


async def test_given_an_abort_when_a_wave_is_being_put_back_then_the_rest_goes_back_too(client: Client, world: World) -> None:
    world.set_waves(("a",), ("b", "c"), at_once=1, on_failure="rollbackWave")
    world.verdicts["c"] = RolloutEnd.rolled_back
    gate = world.hold("restore_endpoint")
    handle = await start(client, world)
    await asyncio.wait_for(world.entered["restore_endpoint"].wait(), 30)
    await send_update(handle, "abort", OperatorCommand(by="ana"))
    gate.set()
    status = await handle.result()
    assert status.outcome is Outcome.aborted
    assert set(ledger(status).values()) == {LedgerState.undone}
    assert set(endpoints(world, "restore_endpoint")) == {"a", "b", "c"}


async def test_given_a_soak_when_no_alarm_goes_off_then_the_next_wave_follows(client: Client, world: World) -> None:
    world.set_waves(("a",), ("b",), soak=timedelta(seconds=1), strategy=ALARMS)
    status = await (await start(client, world)).result()
    assert status.outcome is Outcome.promoted
    [watched] = world.asked("watch_alarms")
    assert watched.alarms == ("screening-5xx",)
    assert [place.region for place in watched.places] == ["us-east-1"]


async def test_given_a_soak_when_an_alarm_goes_off_then_the_waves_before_go_back(client: Client, world: World) -> None:
    world.set_waves(("a",), ("b",), soak=SOAK, strategy=ALARMS)
    world.firing = ["screening-5xx"]
    status = await (await start(client, world)).result()
    assert status.outcome is Outcome.rolled_back
    assert status.reason == "a: the alarm screening-5xx went off while it served"
    assert endpoints(world, "restore_endpoint") == ["a"]
    assert endpoints(world, "update_endpoint") == ["a"]


async def test_given_a_soak_when_a_metric_breaches_its_rule_then_the_waves_before_go_back(client: Client, world: World) -> None:
    world.set_waves(("a",), ("b",), soak=SOAK, strategy=METRICS)
    world.breaches = (Breach(model=0, said="Invocation5XXErrors is 1 over 120 requests, and at most 0.01 passes"),)
    status = await (await start(client, world)).result()
    assert status.outcome is Outcome.rolled_back
    assert status.reason == "a: Invocation5XXErrors is 1 over 120 requests, and at most 0.01 passes"
    [watched] = world.asked("watch_alarms")
    assert (watched.places, watched.metrics) == ((), METRICS.metrics)
    assert [(model.endpoint, model.former) for model in watched.models] == [("a", "former")]


async def test_given_too_few_requests_when_a_promotion_is_done_then_its_line_says_what_was_not_judged(
    client: Client, world: World
) -> None:
    world.set_waves(("a",), ("b",), soak=timedelta(seconds=1), strategy=METRICS)
    world.unjudged = (Unjudged(rule=0, said="Invocation5XXErrors: too few requests (12 of 100)"),)
    status = await (await start(client, world)).result()
    assert status.outcome is Outcome.promoted
    few = "Invocation5XXErrors: too few requests (12 of 100)"
    assert status.stages[-1].summary == f"version 3 on 2 endpoints; a: {few}; b: {few}"
    assert f"a metric was not judged: a: {few}" in " ".join(status.notices)


async def test_given_a_metric_that_breaches_during_an_update_when_the_target_is_scaled_then_only_its_way_back_scales_it_again(
    client: Client, world: World
) -> None:
    world.set_waves(("a",), strategy=METRICS)
    world.scaling = Scaling(target={"ResourceId": "endpoint/a/variant/main"})
    world.verdicts["a"], world.stopped = RolloutEnd.rolled_back, frozenset({"a"})
    status = await (await start(client, world)).result()
    assert status.outcome is Outcome.rolled_back
    assert world.names[world.names.index("follow_endpoint") + 1 :][:3] == [
        "take_off_scaling_again",
        "restore_endpoint",
        "put_back_scaling",
    ]


async def test_given_stop_when_an_alarm_goes_off_in_a_soak_then_a_retry_rolls_the_wave_out_and_soaks_again(
    client: Client, world: World
) -> None:
    world.set_waves(("a",), ("b",), soak=SOAK, strategy=ALARMS, on_failure="stop")
    world.firing = ["screening-5xx"]
    handle = await start(client, world)
    await until_parked(handle, StageName.rollout)
    world.firing = []
    await retry(handle)
    await until(handle, lambda status: "wave 2 follows" in summary_of(status, StageName.rollout), "the second soak")
    assert endpoints(world, "update_endpoint") == ["a", "a"]
    await handle.terminate()


async def test_given_an_abort_when_a_soak_is_watched_then_the_watch_ends_and_all_goes_back(client: Client, world: World) -> None:
    world.set_waves(("a",), ("b",), soak=SOAK, strategy=ALARMS)
    handle = await start(client, world)
    await asyncio.wait_for(world.entered["watch_alarms"].wait(), 30)
    await send_update(handle, "abort", OperatorCommand(by="ana"))
    status = await asyncio.wait_for(handle.result(), 30)
    assert status.outcome is Outcome.aborted
    assert endpoints(world, "restore_endpoint") == ["a"]


async def test_given_a_history_that_has_grown_when_a_soak_is_watched_then_a_new_run_watches_on(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(task_queue=f"test-{uuid4()}")
    world.set_waves(("a",), ("b",), soak=SOAK, strategy=ALARMS)
    async with working(client, world, UnsandboxedWorkflowRunner()):
        handle = await start(client, world)
        await asyncio.wait_for(world.entered["watch_alarms"].wait(), 45)
        monkeypatch.setattr(new_run, "EVENTS", 30)
        await handle.signal("approve", {"by": "eve"})
        async with asyncio.timeout(45):
            while len(world.asked("watch_alarms")) < 2:  # noqa: ASYNC110 -- the worker decides
                await asyncio.sleep(0.02)
        first, second = world.asked("watch_alarms")
        assert second == first
        world.firing = ["screening-5xx"]
        assert (await handle.result()).outcome is Outcome.rolled_back


async def test_given_alarms_that_cannot_be_watched_when_it_is_retried_then_the_soak_goes_on(client: Client, world: World) -> None:
    world.set_waves(("a",), ("b",), soak=timedelta(seconds=2), strategy=ALARMS)
    world.fail("watch_alarms", needs_person())
    handle = await start(client, world)
    await until_parked(handle, StageName.rollout)
    await retry(handle)
    assert (await handle.result()).outcome is Outcome.promoted
    assert endpoints(world, "update_endpoint") == ["a", "b"]


async def test_given_endpoints_of_one_name_in_two_accounts_when_they_go_back_then_each_of_them_does(
    client: Client, world: World
) -> None:
    roles = [f"arn:aws:iam::{account}:role/slipway-rollout" for account in ("333333333333", "444444444444")]
    world.set_waves(waves=(Wave(targets=tuple(Target(endpoint="a", role_arn=role) for role in roles)),))
    world.verdicts["a"] = RolloutEnd.rolled_back
    status = await (await start(client, world)).result()
    assert status.outcome is Outcome.rolled_back
    assert {asked.plan.target.role_arn for asked in world.asked("restore_endpoint")} == set(roles)
    assert set(ledger(status)) == {"restore a (us-east-1, 333333333333)", "restore a (us-east-1, 444444444444)"}
