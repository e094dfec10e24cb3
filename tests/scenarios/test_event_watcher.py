"""CI registers an event, piped's event watcher commits the image, and the promotion follows: nobody calls `slipway start`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from demo.images import build_pipeline_image
from demo.oci_layout import BuiltImage
from demo.piped import Piped
from demo.stack import Stack
from demo.team import FOLDER, ROOT
from slipway.api import LedgerState, Outcome, StageName
from tests.support.event_watcher import NAME
from tests.support.owned import NEIGHBOUR
from tests.support.scenario import COMMIT
from tests.support.waiting import summary_of
from tests.support.watched import WatchedScenario

pytestmark = pytest.mark.timeout(400)


@pytest.fixture
def watched(stack: Stack, model_image: BuiltImage) -> Iterator[WatchedScenario]:
    """A worker that polls, and a team whose spec leaves the writing to piped."""
    scenario = WatchedScenario(stack, model_image)
    with scenario:
        yield scenario


async def test_given_an_event_when_piped_commits_its_image_then_it_is_promoted_by_digest_and_slipway_writes_nothing(
    watched: WatchedScenario,
) -> None:
    await watched.given_a_watch()
    by_digest = await asyncio.to_thread(watched.team.push_pipeline_image, build_pipeline_image(ROOT), "v1")
    source, _, digest = by_digest.partition("@")
    commit = await watched.when_ci_registers(f"{source}:v1")
    assert commit
    await watched.then_one_is_started()
    await watched.when_ana_approves()
    status = await watched.then_it_ends(Outcome.promoted)
    assert (status.image, status.requested_by, status.commit) == (by_digest, NAME, COMMIT)
    expected = f"taskdef.yaml: {source}:v1 since commit {commit[:12]} by {NAME} (claimed); nothing was written"
    assert summary_of(status, StageName.taskdef) == expected
    assert watched.commits() == []
    assert watched.team.remote.head() == commit
    definition = watched.team.client("ecs").describe_task_definition(taskDefinition=status.task_definition)["taskDefinition"]
    assert definition["containerDefinitions"][0]["image"] == f"{watched.team.spec.spec.image.target}@{digest}"
    [entry] = [entry for entry in status.ledger if entry.stage is StageName.taskdef]
    assert entry.state is LedgerState.kept


async def test_given_a_piped_that_writes_and_runs_when_ci_registers_an_event_then_its_task_is_followed_to_the_end(
    watched: WatchedScenario,
) -> None:
    await watched.given_that_piped_runs_what_it_writes().given_a_watch()
    by_digest = await asyncio.to_thread(watched.team.push_pipeline_image, build_pipeline_image(ROOT), "v1")
    source = watched.team.spec.spec.image.source
    with Piped(watched.team) as piped:
        commit = await watched.when_ci_registers(f"{source}:v1")
        await watched.then_one_is_started()
        await watched.when_ana_approves()
        status = await watched.then_it_ends(Outcome.promoted)
    [deployment] = piped.deployments
    assert (status.image, status.task, deployment.commit) == (by_digest, deployment.task, commit)
    assert not [call for call in watched.done("ecs.RunTask") if "startedBy" in call["request"]]
    assert watched.team.remote.head() == commit


async def test_given_two_events_while_no_worker_looks_when_one_looks_then_only_the_newest_is_promoted(
    watched: WatchedScenario,
) -> None:
    await watched.given_a_watch()
    watched.crew.worker.kill()
    first, second = watched.given_a_tagged_image("v1"), watched.given_a_tagged_image("v2")
    superseded = await watched.when_ci_registers(first)
    await watched.when_ci_registers(second)
    await asyncio.to_thread(watched.crew.start_worker)
    promotion_id = await watched.then_one_is_started()
    status = await watched.until_watch(lambda status: bool(status.notes), "the note")
    [note] = status.notes
    assert f"started {promotion_id} for {second}" in note
    assert f"superseded, and not promoted: {first} of {str(superseded)[:12]}" in note


async def test_given_a_worker_killed_between_seeing_and_starting_when_another_takes_over_then_one_is_started(
    watched: WatchedScenario,
) -> None:
    await watched.given_a_watch()
    value = watched.given_a_tagged_image("v1")
    sandbox = watched.stack.sandbox
    fault = sandbox.plant_fault("ecr", "DescribeImages", "hold-answer", account=watched.team.ml_account)
    await watched.when_ci_registers(value)
    await watched.until(lambda: sandbox.struck(fault) > 0, "the look at the tag")
    watched.crew.worker.kill()
    sandbox.remove_fault(fault)
    assert await watched.promotions() == []
    await asyncio.to_thread(watched.crew.start_worker)
    await watched.then_one_is_started()
    # Who watches anew finds the image there, and starts nothing.
    await (await watched.watch()).terminate()
    watched.crew.worker.kill()
    await asyncio.to_thread(watched.crew.start_worker)
    await watched.given_a_watch()
    assert len(await watched.promotions()) == 1


async def test_given_a_push_by_force_that_takes_the_image_off_when_it_is_seen_then_nothing_is_started(
    watched: WatchedScenario,
) -> None:
    await watched.given_a_watch()
    before = watched.team.remote.head()
    await watched.when_ci_registers(watched.given_a_tagged_image("v1"))
    await watched.then_one_is_started()
    watched.team.remote.force(before)
    status = await watched.until_watch(lambda status: status.seen.commit == before, "the former head")
    assert "is back at" in status.notes[-1]
    assert len(await watched.promotions()) == 1


async def test_given_the_app_of_a_neighbour_when_its_image_changes_then_nothing_is_started(watched: WatchedScenario) -> None:
    await watched.given_a_watch()
    files = {
        f"{NEIGHBOUR}/{name}": watched.team.remote.read(f"{FOLDER}/{name}")
        for name in ("app.pipecd.yaml", "taskdef.yaml", "promotion.yaml", "smoke/request.json")
    }
    files[f"{NEIGHBOUR}/promotion.yaml"] = files[f"{NEIGHBOUR}/promotion.yaml"].replace("writer: pipecd", "writer: slipway")
    watched.team.remote.commit_files(files, "Add the neighbour")
    taskdef = files[f"{NEIGHBOUR}/taskdef.yaml"].replace("sha256:0000", "sha256:1111")
    changed = watched.team.remote.commit_files({f"{NEIGHBOUR}/taskdef.yaml": taskdef}, "Run another image")
    status = await watched.until_watch(lambda status: status.seen.commit == changed, "the neighbour's commit")
    assert (status.seen.apps, status.seen.open, status.notes) == ((FOLDER,), (), ())
    assert await watched.promotions() == []
