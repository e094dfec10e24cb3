"""`slipway rollback` and `slipway history`."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from temporalio.client import Client

from slipway.api import PromotionRequest, StageName
from slipway.served import History, Served, ServedTarget
from slipway.temporal.start import promotion, start_promotion
from tests.support.shell import Shell
from tests.support.waiting import until, until_asked
from tests.support.world import World, approval, request

MARCH = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def asked() -> PromotionRequest:
    """A promotion of an application that no other test has."""
    made = request()
    app = made.app.model_copy(update={"folder": f"apps/screening-{made.digest[-8:]}"})
    return made.model_copy(update={"app": app})


async def promoted(client: Client, world: World, asked: PromotionRequest) -> str:
    """The application's short name, once a promotion of it is done."""
    world.set_approval(approval(mode="auto", approvers=["ana"]))
    handle, _ = await start_promotion(client, asked, world.task_queue)
    await handle.result()
    world.set_approval(approval())
    return asked.slug


async def test_given_an_app_when_it_is_taken_back_then_a_rollback_waits_for_its_approvers(
    shell: Shell, world: World, client: Client, asked: PromotionRequest
) -> None:
    app = await promoted(client, world, asked)
    done = await shell.slipway("rollback", app, "--to", "1", "--reason", "recall fell", "--requested-by", "cy", "--json")
    assert done.code == 0, done.err
    handle = promotion(client, done.lines[0]["id"])
    status = await until_asked(handle)
    assert status.rollback
    assert (status.rollback.version, status.rollback.endpoint, status.rollback.reason) == (1, "", "recall fell")
    shown = await shell.slipway("status", handle.id)
    assert "rollback of every target to version 1, requested by cy (claimed): recall fell" in shown.out
    evidence = await shell.slipway("evidence", handle.id)
    assert "rollback of every target to version 1: recall fell" in evidence.out
    again = await shell.slipway("rollback", app, "--to", "1", "--reason", "recall fell")
    assert again.code == 2
    assert "has not finished" in again.err
    await shell.slipway("abort", handle.id)


async def test_given_an_app_at_its_rollout_when_it_is_to_be_taken_back_then_the_abort_is_named(
    shell: Shell, world: World, client: Client, asked: PromotionRequest
) -> None:
    world.set_approval(approval(mode="auto"))
    world.hold("follow_endpoint")
    handle, _ = await start_promotion(client, asked, world.task_queue)
    await until(
        handle, lambda status: status.stages[-1].name is StageName.rollout and bool(status.stages[-1].started_at), "rollout"
    )
    await world.entered["follow_endpoint"].wait()
    refused = await shell.slipway("rollback", asked.slug, "--reason", "recall fell")
    assert refused.code == 2
    assert f"slipway abort {handle.id}" in refused.err
    await shell.slipway("abort", handle.id)


async def test_given_a_name_that_nothing_has_when_it_is_to_be_taken_back_then_it_is_refused(shell: Shell, world: World) -> None:
    del world
    refused = await shell.slipway("rollback", "no-such-app", "--reason", "recall fell")
    assert refused.code == 2
    assert "Temporal knows no promotion" in refused.err


async def test_given_records_when_the_history_is_asked_for_then_it_shows_what_served_when(
    shell: Shell, world: World, client: Client, asked: PromotionRequest
) -> None:
    app = await promoted(client, world, asked)
    served = tuple(
        Served(promotion=f"screening-{day}", at=MARCH.replace(day=day), version=day, evidence="e" * 16, by=("ana:signed",))
        for day in (3, 1)
    )
    target = ServedTarget(
        endpoint="screening-prod", region="us-east-1", package="arn:3", served=served, drift="it serves by-hand"
    )
    world.history = History(app="screening", targets=(target,), notices=("other: AccessDenied",))
    shown = await shell.slipway("history", app)
    assert shown.code == 0, shown.err
    assert "screening-prod (us-east-1) serves arn:3" in shown.out
    assert "changed by hand: it serves by-hand" in shown.out
    assert "ana (signed)" in shown.out
    assert "other: AccessDenied" in shown.err
    then = await shell.slipway("history", app, "--at", "2026-03-02", "--json")
    assert [each["promotion"] for each in then.lines[0]["served"]] == ["screening-1"]
    before = await shell.slipway("history", app, "--at", "2026-02-01")
    assert "nothing is recorded" in before.out
