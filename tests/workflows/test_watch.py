"""The watch of a branch, on the real server with activities written by hand."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

import pytest
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError

from activities.branch_news import BranchNews, FoundImage
from slipway.api import PromotionRequest
from slipway.errors import RefusedError
from slipway.temporal.connect import WATCH
from slipway.temporal.failures import to_application_error
from slipway.temporal.start import promotion, start_promotion
from slipway.temporal.watches import WatchHandle, ask_to_look, start_watch
from slipway.watch import OpenApp, SeenBranch, WatchedBranch, WatchInput, WatchStatus
from tests.support.waiting import answered, until_asked
from tests.support.world import SOURCE, World, request

SEEN = SeenBranch(commit="a" * 40, apps=("apps/screening",))


def branch() -> WatchedBranch:
    return WatchedBranch(repository=f"file:///repositories/{uuid4()}.git")


def found(asked: PromotionRequest, *superseded: str) -> FoundImage:
    return FoundImage(request=asked, commit="b" * 40, held=f"{SOURCE}:v1", superseded=superseded)


async def until(handle: WatchHandle, condition: Callable[[WatchStatus], bool]) -> WatchStatus:
    return await answered(lambda: handle.query("watch", result_type=WatchStatus), condition, "the watch")


async def test_given_a_new_image_then_its_promotion_runs_as_any_other(client: Client, world: World) -> None:
    asked = request()
    world.news.put_nowait(BranchNews(seen=SEEN, found=(found(asked, f"{SOURCE}:v0 of cccccccccccc"),)))
    handle = await start_watch(client, branch(), world.task_queue)
    status = await until(handle, lambda status: status.seen == SEEN)
    assert status.notes[0].endswith(
        f"started {asked.promotion_id} for {SOURCE}:v1 of bbbbbbbbbbbb by ci (claimed); "
        f"superseded, and not promoted: {SOURCE}:v0 of cccccccccccc"
    )
    started = promotion(client, asked.promotion_id)
    await until_asked(started)
    await handle.terminate()
    described = await started.describe()
    assert described.status is WorkflowExecutionStatus.RUNNING
    assert "superseded, and not promoted" in (await described.static_details() or "")
    await started.terminate()


async def test_given_a_promotion_of_the_image_when_it_is_seen_again_then_none_is_started(client: Client, world: World) -> None:
    asked = request()
    first, _ = await start_promotion(client, asked, world.task_queue)
    world.news.put_nowait(BranchNews(seen=SEEN, found=(found(asked),)))
    handle = await start_watch(client, branch(), world.task_queue)
    status = await until(handle, lambda status: bool(status.notes))
    assert f"nothing was started for {SOURCE}:v1" in status.notes[0]
    assert asked.promotion_id in status.notes[0]
    await handle.terminate()
    await first.terminate()


async def test_given_news_then_the_next_look_goes_on_from_there(client: Client, world: World) -> None:
    world.news.put_nowait(BranchNews(seen=SEEN))
    watched = branch()
    handle = await start_watch(client, watched, world.task_queue)
    await until(handle, lambda _: len(world.asked("follow_branch")) == 2)
    assert [asked.seen for asked in world.asked("follow_branch")] == [SeenBranch(), SEEN]
    assert world.asked("follow_branch")[0].branch == watched
    await handle.terminate()


async def test_given_a_watch_that_waits_when_somebody_asks_for_a_look_then_it_looks_at_once(client: Client, world: World) -> None:
    watched = branch()
    handle, is_new = await ask_to_look(client, watched, world.task_queue)
    await until(handle, lambda _: bool(world.asked("follow_branch")))
    looks = len(world.asked("follow_branch"))
    _, is_new_again = await ask_to_look(client, watched, world.task_queue)
    assert (is_new, is_new_again) == (True, False)
    await until(handle, lambda _: len(world.asked("follow_branch")) > looks)
    await handle.terminate()


async def test_given_a_branch_that_cannot_be_read_when_it_can_be_again_then_the_problem_is_gone(
    client: Client, world: World
) -> None:
    world.fail("follow_branch", to_application_error(RefusedError("fetching main", "no such branch", "name one that exists")))
    watched = branch()
    handle = await start_watch(client, watched, world.task_queue)
    status = await until(handle, lambda status: bool(status.problem))
    assert "fetching main: no such branch" in status.problem
    world.news.put_nowait(BranchNews(seen=SEEN))
    await ask_to_look(client, watched, world.task_queue)
    await until(handle, lambda status: status.seen == SEEN and not status.problem)
    await handle.terminate()


async def test_given_an_app_that_waits_then_the_page_in_the_temporal_ui_says_why(client: Client, world: World) -> None:
    waits = OpenApp(folder="apps/screening", since="a" * 40, why="the image is <not> there")
    world.news.put_nowait(BranchNews(seen=SEEN.model_copy(update={"open": (waits,)})))
    handle = await start_watch(client, branch(), world.task_queue)
    await until(handle, lambda status: bool(status.seen.open))
    details = str(await handle.query("__temporal_workflow_metadata"))
    assert "waits:" in details
    assert "<not>" not in details
    await handle.terminate()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (WatchInput(repository="file:///repositories/app.git"), "the watch of this branch is watch-app-main-"),
        ({"branch": "main"}, "repository"),
        (WatchInput(repository="no url"), "is not a repository"),
    ],
)
async def test_given_a_watch_that_somebody_starts_otherwise_then_it_is_refused(
    client: Client, world: World, given: object, said: str
) -> None:
    handle = await client.start_workflow(WATCH, given, id=f"mine-{uuid4()}", task_queue=world.task_queue)
    with pytest.raises(WorkflowFailureError) as failed:
        await handle.result()
    assert said in str(failed.value.cause)
    assert not world.asked("follow_branch")
