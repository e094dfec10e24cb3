"""Which of the tasks on a cluster is the one that piped ran for a promotion."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from slipway_sandbox.testing import SandboxProcess

from activities.repositories import Repositories
from activities.tasks.activities import TaskActivities
from activities.tasks.messages import FindTask, FollowTask, StartedTask
from slipway.aws.clients import Aws
from slipway.aws.polling import Polling
from slipway.errors import NeedsPersonError
from tests.activities.piped_team import DIGEST, Team
from tests.support.piped import run_as_piped


@pytest.fixture
def tasks(aws: Aws, repositories: Repositories) -> TaskActivities:
    return TaskActivities(aws, repositories, Polling(0.05))


@pytest.fixture
def team(sandbox: SandboxProcess, account: str, deployment: Any) -> Team:
    return Team(sandbox, account, deployment)


async def test_given_a_task_of_piped_for_the_commit_when_it_is_looked_for_then_it_is_found_though_it_has_stopped(
    team: Team, tasks: TaskActivities, run: Any
) -> None:
    commit = team.bring(DIGEST)
    arn = team.runs(commit)
    team.ecs.get_waiter("tasks_stopped").wait(cluster="pipelines", tasks=[arn], WaiterConfig={"Delay": 1})
    found = await run(tasks.find_task, team.find(commit))
    assert (found.task.arn, found.commit, found.application) == (arn, commit, "a")
    assert found.task.definition.endswith("task-definition/screening:1")


async def test_given_a_later_commit_that_has_the_image_still_when_piped_deploys_that_then_its_task_is_found(
    team: Team, tasks: TaskActivities, run: Any
) -> None:
    commit = team.bring(DIGEST)
    later = team.deployment.push({"note.txt": "a colleague's"})
    arn = team.runs(later)
    found = await run(tasks.find_task, team.find(commit))
    assert (found.task.arn, found.commit) == (arn, later)


async def test_given_an_image_that_was_on_the_branch_already_when_its_task_is_looked_for_then_the_commit_that_brought_it_counts(
    team: Team, tasks: TaskActivities, run: Any
) -> None:
    arn = team.runs(team.bring(DIGEST))
    head = team.deployment.push({"note.txt": "a colleague's"})
    assert (await run(tasks.find_task, team.find(head))).task.arn == arn


async def test_given_tasks_that_are_not_the_promotions_when_it_is_looked_for_then_they_are_told_and_none_is_taken(
    team: Team, tasks: TaskActivities, run: Any
) -> None:
    former = team.bring(f"sha256:{'b' * 64}")
    commit = team.bring(DIGEST)
    team.runs(former)
    team.runs(commit, **{"managed-by": "somebody"})
    team.runs("main")
    team.runs("f" * 40)
    other = team.runs(commit, digest=f"sha256:{'c' * 64}").rpartition("/")[2]
    with pytest.raises(NeedsPersonError) as caught:
        await run(tasks.find_task, team.find(commit))
    report = caught.value.report
    assert f"piped runs for the commit {commit[:12]}, of the family screening on arn:aws:ecs" in report.tried
    assert report.answered == (
        f"piped ran none in 1s (spec.task.timeout); a revision with another image was run for it ({other}): another one of "
        "the family came between; 2 tasks of the family without piped's tags"
    )
    assert "sync the application there" in report.remedy
    assert run.heartbeats[-1].status == "waiting for piped, 5 tasks of the family so far"


async def test_given_two_tasks_of_piped_when_it_is_looked_for_then_both_are_named_and_an_operator_may_say_which(
    team: Team, tasks: TaskActivities, run: Any
) -> None:
    commit = team.bring(DIGEST)
    both = [team.runs(commit), team.runs(commit)]
    with pytest.raises(NeedsPersonError) as caught:
        await run(tasks.find_task, team.find(commit))
    assert all(arn in caught.value.report.answered for arn in both)
    assert f"slipway retry {team.origin.promotion_id} --task <arn>" in caught.value.report.remedy
    assert (await run(tasks.find_task, team.find(commit, named=both[1]))).task.arn == both[1]
    with pytest.raises(NeedsPersonError, match="is none of those that piped ran for it"):
        await run(tasks.find_task, team.find(commit, named=f"{both[1]}0"))


async def test_given_a_later_commit_with_another_image_when_piped_has_run_that_then_it_parks_at_once_until_the_image_is_back(
    team: Team, tasks: TaskActivities, run: Any
) -> None:
    other = f"sha256:{'b' * 64}"
    commit = team.bring(DIGEST)
    later = team.bring(other)
    arn = team.runs(later, digest=other)
    patient = team.find(commit, within=timedelta(minutes=5))
    with pytest.raises(NeedsPersonError) as caught:
        await run(tasks.find_task, patient)
    ran = arn.rpartition("/")[2]
    said = f"the later commit {later[:12]} brings another image, and piped ran the task {ran} for that"
    assert caught.value.report.answered == said
    back = team.bring(DIGEST, "again")
    arn = team.runs(back)
    assert (await run(tasks.find_task, patient)).task.arn == arn


async def test_given_a_later_commit_with_another_image_when_piped_has_run_nothing_in_time_then_that_commit_is_told(
    team: Team, tasks: TaskActivities, run: Any
) -> None:
    commit = team.bring(DIGEST)
    later = team.bring(f"sha256:{'b' * 64}")
    said = f"the later commit {later[:12]} brings another image, and piped deploys the newest commit"
    with pytest.raises(NeedsPersonError, match=said):
        await run(tasks.find_task, team.find(commit))


async def test_given_a_commit_that_was_taken_off_the_branch_when_its_task_is_looked_for_then_none_is_found(
    team: Team, tasks: TaskActivities, run: Any
) -> None:
    commit = team.bring(DIGEST)
    team.runs(commit)
    team.deployment.drop_head()
    with pytest.raises(NeedsPersonError, match="brings another image"):
        await run(tasks.find_task, team.find(commit))


async def test_given_a_tag_that_pipeds_event_watcher_wrote_when_its_task_is_looked_for_then_what_ecs_pulled_decides(
    team: Team, tasks: TaskActivities, run: Any
) -> None:
    team.leave_writing_to_piped()
    team.pushed("sleep 120")
    commit = team.bring_tag("v1")
    arn = run_as_piped(team.ecs, team.account, commit, f"{team.registry}/screening:v1")
    assert (await run(tasks.find_task, team.find(commit, for_undo=True))).task.arn == arn
    assert (await run(tasks.find_task, team.find(commit, within=timedelta(minutes=2)))).task.arn == arn
    team.origin = team.promotion_of(f"sha256:{'b' * 64}", team.origin.commit)
    with pytest.raises(NeedsPersonError, match="a revision with another image was run for it"):
        await run(tasks.find_task, team.find(commit))
    team.ecs.stop_task(cluster="pipelines", task=arn)


async def test_given_tasks_that_run_twice_when_the_promotion_is_undone_then_the_one_that_still_runs_is_stopped(
    team: Team, tasks: TaskActivities, run: Any
) -> None:
    digest = team.pushed("sleep 120")
    commit = team.bring(digest)
    first, second = team.runs(commit, digest), team.runs(commit, digest)
    with pytest.raises(NeedsPersonError, match="piped ran 2") as caught:
        await run(tasks.find_task, team.find(commit, for_undo=True))
    assert caught.value.report.remedy == "see which of them are this promotion's, and stop those in ECS"
    team.ecs.stop_task(cluster="pipelines", task=second)
    team.ecs.get_waiter("tasks_stopped").wait(cluster="pipelines", tasks=[second], WaiterConfig={"Delay": 1})
    assert (await run(tasks.find_task, team.find(commit, for_undo=True))).task.arn == first
    team.ecs.stop_task(cluster="pipelines", task=first)


async def started(tasks: TaskActivities, run: Any, find: FindTask) -> StartedTask:
    return (await run(tasks.find_task, find)).task


async def test_given_a_task_that_failed_when_it_is_looked_for_again_then_only_a_newer_one_counts(
    team: Team, tasks: TaskActivities, run: Any
) -> None:
    digest = team.pushed("exit 3")
    commit = team.bring(digest)
    team.runs(commit, digest)
    former = await started(tasks, run, team.find(commit))
    with pytest.raises(NeedsPersonError) as caught:
        await run(tasks.follow_task, FollowTask(task=former, timeout=timedelta(minutes=5), by_piped=True))
    assert "sync the application in PipeCD and retry" in caught.value.report.remedy
    with pytest.raises(NeedsPersonError, match="none is newer than the task"):
        await run(tasks.find_task, team.find(commit, former=former))
    newer = team.runs(commit, digest)
    assert (await started(tasks, run, team.find(commit, former=former))).arn == newer


async def test_given_a_task_beyond_its_time_when_it_is_looked_for_again_then_it_is_followed_again_and_not_stopped(
    team: Team, tasks: TaskActivities, run: Any
) -> None:
    digest = team.pushed("sleep 120")
    commit = team.bring(digest)
    arn = team.runs(commit, digest)
    former = await started(tasks, run, team.find(commit))
    with pytest.raises(NeedsPersonError, match=r"spec\.task\.timeout") as caught:
        await run(tasks.follow_task, FollowTask(task=former, timeout=timedelta(0), by_piped=True))
    assert caught.value.report.remedy == "see its log; retry follows it again, abort stops it"
    assert (await started(tasks, run, team.find(commit, former=former))).arn == arn
    team.ecs.stop_task(cluster="pipelines", task=arn)


async def test_given_a_task_that_has_succeeded_meanwhile_when_it_is_looked_for_again_then_it_counts(
    team: Team, tasks: TaskActivities, run: Any
) -> None:
    digest = team.pushed("exit 0")
    commit = team.bring(digest)
    arn = team.runs(commit, digest)
    former = await started(tasks, run, team.find(commit))
    team.ecs.get_waiter("tasks_stopped").wait(cluster="pipelines", tasks=[arn], WaiterConfig={"Delay": 1})
    assert (await started(tasks, run, team.find(commit, former=former))).arn == arn


async def test_given_an_abort_when_piped_has_run_no_task_then_there_is_none_to_stop(
    team: Team, tasks: TaskActivities, run: Any
) -> None:
    commit = team.bring(DIGEST)
    assert await run(tasks.find_task, team.find(commit, for_undo=True, within=timedelta(hours=1))) is None
