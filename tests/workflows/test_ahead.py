"""What would stop a promotion later holds it up before it changes anything, and again before it asks people."""

from __future__ import annotations

import asyncio

from temporalio.client import Client

from slipway.api import OperatorCommand, Outcome, PromotionStatus, StageName
from slipway.findings import Finding, Level
from slipway.temporal.start import Handle, send_update, start_promotion
from tests.support.waiting import until_asked, until_parked
from tests.support.world import World, refused, request

STATEMENT = '{"Effect": "Allow"}'
ROLE = "arn:aws:iam::333333333333:role/slipway-rollout"


def finding(level: Level) -> Finding:
    what = f"the role {ROLE} cannot be assumed"
    return Finding(level=level, what=what, where="promotion.yaml", why="AccessDenied", remedy="allow it", statement=STATEMENT)


async def start(client: Client, world: World) -> Handle:
    handle, _ = await start_promotion(client, request(), world.task_queue)
    return handle


async def test_given_a_permission_that_is_missing_when_it_starts_then_it_parks_with_the_statement_and_nothing_is_changed(
    client: Client, world: World
) -> None:
    world.findings = [(finding(Level.refuse),)]
    handle = await start(client, world)
    parked = await until_parked(handle, StageName.image)
    assert sorted(world.names) == ["check_ahead", "read_app", "resolve_image"]
    assert parked.waiting_for
    assert parked.waiting_for.failure
    assert STATEMENT in parked.waiting_for.failure.answered.splitlines()
    await send_update(handle, "retry", OperatorCommand(by="ana"))
    await until_asked(handle)
    await handle.terminate()


async def test_given_a_package_that_a_target_may_not_read_when_people_are_to_be_asked_then_it_parks_first(
    client: Client, world: World
) -> None:
    world.findings = [(), (finding(Level.refuse),)]
    handle = await start(client, world)
    parked = await until_parked(handle, StageName.approval)
    assert [asked.package for asked in world.asked("check_ahead")] == [None]
    assert parked.evidence
    assert not parked.decisions
    await handle.terminate()


async def test_given_a_worker_of_an_older_release_that_gathers_the_evidence_when_people_are_to_be_asked_then_it_looks_again(
    client: Client, world: World
) -> None:
    world.looks_once, world.findings = False, [(), (finding(Level.refuse),)]
    handle = await start(client, world)
    await until_parked(handle, StageName.approval)
    assert [asked.package and asked.package.version for asked in world.asked("check_ahead")] == [None, 3]
    await handle.terminate()


async def test_given_an_image_that_is_not_there_when_the_look_ahead_goes_on_then_it_is_refused_once_that_has_ended(
    client: Client, world: World
) -> None:
    world.fail("resolve_image", refused())
    world.held["check_ahead"] = asyncio.Event()
    handle = await start(client, world)
    await asyncio.wait_for(world.entered["check_ahead"].wait(), 20)
    assert (await handle.query("status", result_type=PromotionStatus)).outcome is None
    world.held["check_ahead"].set()
    status = await handle.result()
    assert status.outcome is Outcome.refused
    assert "ImageNotFoundException" in status.reason


async def test_given_a_check_that_cannot_be_made_when_it_is_promoted_then_it_is_noticed_once_and_stops_nothing(
    client: Client, world: World
) -> None:
    world.findings = [(finding(Level.warn),), (finding(Level.warn),)]
    handle = await start(client, world)
    status = await asyncio.wait_for(until_asked(handle), 30)
    [notice] = status.notices
    assert STATEMENT in notice
    await handle.terminate()
