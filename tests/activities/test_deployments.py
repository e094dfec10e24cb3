"""PipeCD's API as the second witness of what piped ran: what it adds, what it stops, and what is done without it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from slipway_sandbox.testing import SandboxProcess

from activities.repositories import Repositories
from activities.tasks.activities import TaskActivities
from activities.tasks.messages import FindTask, FollowTask, FoundTask
from activities.tasks.witness import is_same_repository
from demo.processes import free_port
from slipway.aws.clients import Aws
from slipway.aws.polling import Polling
from slipway.errors import FailureReport, NeedsPersonError
from slipway.pipecd import api_pb2
from slipway.pipecd.client import PipecdApi
from tests.activities.piped_team import DIGEST, Team
from tests.support.pipecd import KEY, PipecdServer

OTHER = f"sha256:{'b' * 64}"
PATIENT = timedelta(minutes=5)


class Desk:
    """A team whose tasks piped runs, and the PipeCD that the worker asks."""

    def __init__(self, team: Team, server: PipecdServer, tasks: TaskActivities, run: Any) -> None:
        self.team, self.server = team, server
        self._tasks, self._run = tasks, run
        server.register(team.deployment.app.repository)

    async def find(self, find: FindTask) -> FoundTask:
        return await self._run(self._tasks.find_task, find)

    async def parks(self, find: FindTask) -> FailureReport:
        with pytest.raises(NeedsPersonError) as caught:
            await self.find(find)
        return caught.value.report

    async def follow(self, find: FindTask) -> None:
        found = await self.find(find)
        await self._run(self._tasks.follow_task, FollowTask(task=found.task, timeout=PATIENT, by_piped=True))

    @property
    def progress(self) -> list[str]:
        """What watchers saw, each line once."""
        return list(dict.fromkeys(beat.status for beat in self._run.heartbeats))


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    file = tmp_path / "pipecd-key"
    file.write_text(KEY)
    return file


@pytest.fixture
def server() -> Iterator[PipecdServer]:
    with PipecdServer() as server:
        yield server


@pytest.fixture
async def pipecd(server: PipecdServer, key_file: Path) -> AsyncIterator[PipecdApi]:
    api = PipecdApi(server.address, key_file, plaintext=True)
    yield api
    await api.close()


@pytest.fixture
def desk(
    sandbox: SandboxProcess,
    account: str,
    deployment: Any,
    aws: Aws,
    repositories: Repositories,
    server: PipecdServer,
    pipecd: PipecdApi,
    run: Any,
) -> Desk:
    team = Team(sandbox, account, deployment)
    return Desk(team, server, TaskActivities(aws, repositories, Polling(0.05), pipecd), run)


# --- It agrees ---


async def test_given_a_deployment_that_succeeded_when_its_task_is_found_then_both_are_told(desk: Desk) -> None:
    commit = desk.team.bring(DIGEST)
    desk.server.deploy(commit)
    arn = desk.team.runs(commit)
    found = await desk.find(desk.team.find(commit))
    assert (found.task.arn, found.task.deployment) == (arn, "d1")
    assert found.pipecd == "deployment d1 SUCCESS by PipeCD"


async def test_given_a_deployment_that_goes_on_when_its_task_is_waited_for_then_watchers_see_how_far_it_is(desk: Desk) -> None:
    commit = desk.team.bring(DIGEST)
    deployment = desk.server.deploy(commit, api_pb2.DEPLOYMENT_PENDING)
    states = iter((api_pb2.DEPLOYMENT_PENDING, api_pb2.DEPLOYMENT_PLANNED, api_pb2.DEPLOYMENT_RUNNING))

    def go_on() -> None:
        deployment.status = next(states, api_pb2.DEPLOYMENT_SUCCESS)
        if deployment.status == api_pb2.DEPLOYMENT_SUCCESS and not arns:
            arns.append(desk.team.runs(commit))

    arns: list[str] = []
    desk.server.on_deployments = go_on
    found = await desk.find(desk.team.find(commit, within=PATIENT))
    assert ([found.task.arn], found.pipecd) == (arns, "deployment d1 SUCCESS by PipeCD")
    seen = [line.partition("; ")[2] for line in desk.progress if "; " in line]
    assert seen[:3] == [f"deployment d1 {state} by PipeCD" for state in ("PENDING", "PLANNED", "RUNNING")]


async def test_given_a_task_whose_deployment_was_not_begun_when_the_time_is_over_then_both_are_told(desk: Desk) -> None:
    commit = desk.team.bring(DIGEST)
    desk.server.deploy(commit, api_pb2.DEPLOYMENT_ROLLING_BACK, "A stage failed")
    arn = desk.team.runs(commit)
    report = await desk.parks(desk.team.find(commit))
    assert f"piped ran the task {arn}, and PipeCD's deployment d1 of {commit[:12]} is ROLLING_BACK" in report.answered
    assert (await desk.find(desk.team.find(commit, named=arn))).pipecd == "deployment d1 ROLLING_BACK by PipeCD"


# --- It failed ---


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (api_pb2.DEPLOYMENT_FAILURE, "Failed while executing stage ECS_SYNC"),
        (api_pb2.DEPLOYMENT_CANCELLED, "Cancelled by bo while executing stage ECS_SYNC"),
    ],
    ids=["failed", "cancelled"],
)
async def test_given_a_deployment_that_did_not_go_well_when_there_is_no_task_then_it_parks_at_once_until_it_is_synced_anew(
    desk: Desk, status: api_pb2.DeploymentStatus, reason: str
) -> None:
    commit = desk.team.bring(DIGEST)
    desk.server.deploy(commit, status, reason)
    report = await desk.parks(desk.team.find(commit, within=PATIENT))
    name = api_pb2.DeploymentStatus.Name(status).removeprefix("DEPLOYMENT_")
    assert report.answered == f"no task of it is seen: PipeCD's deployment d1 of {commit[:12]} is {name} ({reason})"
    assert "sync the application there; retry once the new deployment is there" in report.remedy
    desk.server.deploy(commit)
    arn = desk.team.runs(commit)
    assert (await desk.find(desk.team.find(commit, within=PATIENT))).task.arn == arn


async def test_given_a_deployment_that_failed_after_its_task_began_when_it_is_found_then_a_person_says_whether_it_counts(
    desk: Desk,
) -> None:
    commit = desk.team.bring(DIGEST)
    desk.server.deploy(commit, api_pb2.DEPLOYMENT_FAILURE, "Failed while executing stage SCRIPT_RUN")
    desk.server.errors["d1"] = "exit status 7"
    arn = desk.team.runs(commit)
    report = await desk.parks(desk.team.find(commit))
    assert report.answered == (
        f"piped ran the task {arn}, and PipeCD's deployment d1 of {commit[:12]} is FAILURE (Failed while executing stage "
        "SCRIPT_RUN), and its log says: exit status 7"
    )
    assert f"slipway retry {desk.team.origin.promotion_id} --task {arn}" in report.remedy
    found = await desk.find(desk.team.find(commit, named=arn))
    assert (found.task.arn, found.pipecd) == (arn, "deployment d1 FAILURE by PipeCD")


async def test_given_a_task_that_failed_when_a_newer_one_is_waited_for_then_only_newer_deployments_count(desk: Desk) -> None:
    digest = desk.team.pushed("exit 3")
    commit = desk.team.bring(digest)
    desk.server.deploy(commit)
    desk.team.runs(commit, digest)
    former = (await desk.find(desk.team.find(commit))).task
    with pytest.raises(NeedsPersonError):
        await desk.follow(desk.team.find(commit))
    report = await desk.parks(desk.team.find(commit, former=former))
    assert "PipeCD has no newer deployment; the last one: PipeCD's deployment d1" in report.answered
    desk.server.deploy(commit, api_pb2.DEPLOYMENT_FAILURE, "Failed")
    report = await desk.parks(desk.team.find(commit, former=former, within=PATIENT))
    assert report.answered.startswith("no task of it is seen: PipeCD's deployment d2")
    desk.server.deploy(commit)
    newer = desk.team.runs(commit, digest)
    found = await desk.find(desk.team.find(commit, former=former))
    assert (found.task.arn, found.task.deployment) == (newer, "d3")


# --- There is none ---


async def test_given_a_deployment_that_succeeded_without_a_task_when_the_time_is_over_then_both_are_told(desk: Desk) -> None:
    commit = desk.team.bring(DIGEST)
    desk.server.deploy(commit, reason="The deployment was completed successfully")
    report = await desk.parks(desk.team.find(commit))
    assert report.answered == (
        f"piped ran none in 1s (spec.task.timeout); PipeCD's deployment d1 of {commit[:12]} is SUCCESS (The deployment was "
        "completed successfully)"
    )
    assert "see the cluster's capacity and network" in report.remedy


async def test_given_a_commit_that_piped_skipped_when_the_time_is_over_then_the_last_deployment_and_a_bad_file_are_told(
    desk: Desk,
) -> None:
    former = desk.team.bring(OTHER)
    commit = desk.team.bring(DIGEST)
    desk.server.deploy(former)
    desk.server.applications[0].sync_state.status = 4
    desk.server.applications[0].sync_state.reason = "unknown field: spec.inputs"
    report = await desk.parks(desk.team.find(commit))
    assert report.answered == (
        f"piped ran none in 1s (spec.task.timeout); PipeCD has no deployment of it; the last one: PipeCD's deployment d1 of "
        f"{former[:12]} is SUCCESS; piped cannot read the application's file: unknown field: spec.inputs"
    )
    assert desk.progress[-1].endswith("; no deployment of it by PipeCD yet")


async def test_given_an_application_that_is_disabled_in_pipecd_when_its_task_is_waited_for_then_it_parks_at_once(
    desk: Desk,
) -> None:
    commit = desk.team.bring(DIGEST)
    desk.server.applications[0].disabled = True
    report = await desk.parks(desk.team.find(commit, within=PATIENT))
    assert report.answered == "PipeCD has no deployment of it; the application a is disabled in PipeCD"
    assert report.remedy.startswith("enable the application in PipeCD")


async def test_given_a_later_commit_with_another_image_when_pipecd_deploys_that_then_it_parks_at_once_before_its_task_runs(
    desk: Desk,
) -> None:
    commit = desk.team.bring(DIGEST)
    later = desk.team.bring(OTHER)
    desk.server.deploy(later, api_pb2.DEPLOYMENT_RUNNING)
    report = await desk.parks(desk.team.find(commit, within=PATIENT))
    assert report.answered == (
        f"the later commit {later[:12]} brings another image, and PipeCD's deployment d1 of {later[:12]} is RUNNING"
    )


async def test_given_a_later_commit_that_keeps_the_image_when_pipecd_deploys_that_then_it_is_the_promotions(desk: Desk) -> None:
    commit = desk.team.bring(DIGEST)
    later = desk.team.deployment.push({"note.txt": "a colleague's"})
    desk.server.deploy(later)
    desk.team.runs(later)
    found = await desk.find(desk.team.find(commit))
    assert (found.commit, found.task.deployment) == (later, "d1")


# --- It disagrees ---


async def test_given_a_task_that_names_another_application_when_it_is_found_then_it_parks_and_says_both(desk: Desk) -> None:
    commit = desk.team.bring(DIGEST)
    desk.server.deploy(commit)
    arn = desk.team.runs(commit, application="somebody-else")
    report = await desk.parks(desk.team.find(commit, within=PATIENT))
    assert report.answered == (
        f"of the task {arn}: its tags name the application somebody-else, and the application of this file is a in PipeCD"
    )
    assert report.remedy.startswith("find out who ran it; slipway retry")


async def test_given_a_task_of_a_commit_that_pipecd_did_not_deploy_when_it_is_found_then_it_parks_and_says_both(
    desk: Desk,
) -> None:
    commit = desk.team.bring(DIGEST)
    later = desk.team.deployment.push({"note.txt": "a colleague's"})
    desk.server.deploy(later)
    desk.team.runs(commit)
    report = await desk.parks(desk.team.find(commit, within=PATIENT))
    assert f"its tags say that piped ran it for {commit[:12]}, and PipeCD has no deployment of that" in report.answered
    assert f"the last one: PipeCD's deployment d1 of {later[:12]} is SUCCESS" in report.answered


async def test_given_two_tasks_when_both_were_deployed_then_the_deployments_are_told_beside_them(desk: Desk) -> None:
    commit = desk.team.bring(DIGEST)
    for _ in range(2):
        desk.server.deploy(commit)
        desk.team.runs(commit)
    report = await desk.parks(desk.team.find(commit))
    assert report.answered.startswith("piped ran 2: ")
    assert f"PipeCD's deployment d2 of {commit[:12]} is SUCCESS; PipeCD's deployment d1" in report.answered


# --- It is silent ---


async def test_given_a_key_that_pipecd_refuses_when_a_task_is_looked_for_then_the_tags_count_and_the_refusal_is_told(
    desk: Desk, key_file: Path
) -> None:
    await asyncio.to_thread(key_file.write_text, "S3CRET")
    commit = desk.team.bring(DIGEST)
    desk.team.runs(commit)
    found = await desk.find(desk.team.find(commit))
    assert found.pipecd == "PipeCD could not be asked: UNAUTHENTICATED: Unauthenticated: API-KEY <key>"
    assert found.task.deployment == ""


async def test_given_a_pipecd_out_of_reach_when_there_is_no_task_then_it_is_told_that_it_could_not_be_asked(
    desk: Desk, aws: Aws, repositories: Repositories, key_file: Path, run: Any
) -> None:
    commit = desk.team.bring(DIGEST)
    nobody = PipecdApi(f"127.0.0.1:{free_port()}", key_file, plaintext=True)
    tasks = TaskActivities(aws, repositories, Polling(0.05), nobody)
    with pytest.raises(NeedsPersonError, match=r"piped ran none in 1s .*; PipeCD could not be asked: UNAVAILABLE"):
        await run(tasks.find_task, desk.team.find(commit))
    await nobody.close()


@pytest.mark.parametrize("difference", [{"folder": "apps/other"}, {"remote": "https://example.com/deploy"}, {"name": "other"}])
async def test_given_no_application_of_the_file_when_a_task_is_found_then_pipecd_says_nothing_of_it(
    desk: Desk, difference: dict[str, str]
) -> None:
    desk.server.applications.clear()
    desk.server.register(**({"remote": desk.team.deployment.app.repository} | difference))
    commit = desk.team.bring(DIGEST)
    desk.team.runs(commit)
    found = await desk.find(desk.team.find(commit))
    assert found.pipecd == (
        "PipeCD could not be asked: it has no application screening of apps/screening/app.pipecd.yaml on main of this repository"
    )


async def test_given_an_abort_when_the_task_is_looked_for_to_be_stopped_then_pipecd_is_not_asked(desk: Desk) -> None:
    commit = desk.team.bring(DIGEST)
    desk.server.deploy(commit, api_pb2.DEPLOYMENT_FAILURE)
    arn = desk.team.runs(commit)
    assert (await desk.find(desk.team.find(commit, for_undo=True))).task.arn == arn
    assert desk.server.asked == []


@pytest.mark.parametrize(
    ("remote", "is_same"),
    [
        ("git@github.com:acme/deploy.git", True),
        ("ssh://git@GitHub.com:22/acme/deploy", True),
        ("https://github.com/acme/deploy.git", True),
        ("https://github.com/acme/deploy2", False),
        ("https://example.com/acme/deploy", False),
        ("ext::sh -c id", False),
        ("", False),
    ],
)
def test_given_where_piped_clones_from_then_the_way_there_does_not_matter(remote: str, is_same: bool) -> None:
    assert is_same_repository(remote, "https://github.com/acme/deploy.git") is is_same
