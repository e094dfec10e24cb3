"""`task.launcher: pipecd`: piped runs the task as it always has, and Slipway finds it and sees it through."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from demo.piped import Piped
from demo.team import FOLDER
from slipway.api import LedgerState, OperatorCommand, Outcome, PromotionStatus, StageName
from slipway.errors import FailureReport
from slipway.temporal.start import send_update
from tests.scenarios.test_found import given_a_task_that_runs
from tests.support.scenario import Scenario
from tests.support.waiting import summary_of, until, until_parked

pytestmark = pytest.mark.timeout(400)
OTHER_IMAGE = f"screening-pipeline@sha256:{'b' * 64}"


@pytest.fixture
def piped(scenario: Scenario) -> Iterator[Piped]:
    """A piped that deploys the team's application; its spec leaves the task to it."""
    scenario.given_that_piped_runs_the_task()
    with Piped(scenario.team) as piped:
        yield piped


async def then_it_parks(scenario: Scenario) -> FailureReport:
    """The task stage waits for an operator; why."""
    status = await until_parked(scenario.handle, StageName.task)
    assert status.waiting_for
    assert status.waiting_for.failure
    return status.waiting_for.failure


def answered(status: PromotionStatus) -> str:
    """What was answered to the step that an operator is waited for because of; nothing where nobody is."""
    failure = status.waiting_for.failure if status.waiting_for else None
    return failure.answered if failure else ""


async def then_it_is_promoted(scenario: Scenario) -> PromotionStatus:
    """It ends well, and Slipway itself ran no task."""
    await scenario.when_ana_approves()
    status = await scenario.then_it_ends(Outcome.promoted)
    assert not [call for call in scenario.done("ecs.RunTask") if "startedBy" in call["request"]]
    return status


async def test_given_a_piped_when_an_image_is_promoted_then_its_one_task_is_found_by_the_commit_and_followed(
    scenario: Scenario, good_image: str, piped: Piped
) -> None:
    await scenario.when_ci_starts(good_image)
    status = await then_it_is_promoted(scenario)
    [deployment] = piped.deployments
    assert (status.task, scenario.team.remote.head()) == (deployment.task, deployment.commit)
    assert summary_of(status, StageName.task) == f"exit codes: pipeline 0; piped ran it for {deployment.commit[:12]}"
    assert "known by its ARN in the task's log" in summary_of(status, StageName.pipeline)
    assert (len(scenario.tasks()), len(scenario.executions()), len(scenario.packages())) == (1, 1, 1)


async def test_given_a_piped_that_runs_nothing_when_the_time_is_over_then_it_parks_and_retry_looks_again(
    scenario: Scenario, good_image: str
) -> None:
    scenario.given_that_piped_runs_the_task(timeout="10s")
    await scenario.when_ci_starts(good_image)
    failure = await then_it_parks(scenario)
    assert failure.answered == "piped ran none in 10s (spec.task.timeout)"
    assert "look in PipeCD whether the application has a deployment of this commit" in failure.remedy
    piped = Piped(scenario.team)
    piped.sync()
    await scenario.when_an_operator_says("retry")
    await then_it_is_promoted(scenario)


async def test_given_a_piped_that_ran_the_task_twice_when_it_is_looked_for_then_it_parks_until_an_operator_names_one(
    scenario: Scenario, good_image: str, piped: Piped
) -> None:
    blind = scenario.stack.sandbox.plant_fault("ecs", "ListTasks", "throttle", account=scenario.team.ml_account, count=10_000)
    await scenario.when_ci_starts(good_image)
    await scenario.until(lambda: len(piped.deployments) == 1, "the deployment")
    second = piped.sync()
    scenario.stack.sandbox.remove_fault(blind)
    failure = await then_it_parks(scenario)
    assert failure.answered.startswith("piped ran 2: ")
    assert all(f"{deployment.task} (of {second.commit[:12]})" in failure.answered for deployment in piped.deployments)
    await send_update(scenario.handle, "retry", OperatorCommand(by="ana", task=second.task or ""))
    assert (await then_it_is_promoted(scenario)).task == second.task


async def test_given_a_colleague_who_pushes_before_piped_deploys_when_the_image_is_kept_then_the_task_of_that_commit_counts(
    scenario: Scenario, good_image: str, piped: Piped
) -> None:
    piped.pause()
    await scenario.when_ci_starts(good_image)
    await scenario.until(lambda: bool(scenario.commits()), "the commit")
    later = scenario.team.remote.commit_files({f"{FOLDER}/notes.md": "hello"}, "Add notes")
    piped.resume()
    status = await then_it_is_promoted(scenario)
    assert summary_of(status, StageName.task).endswith(f"piped ran it for {later[:12]}")
    assert [deployment.commit for deployment in piped.deployments] == [later]


async def test_given_a_colleague_who_brings_another_image_when_piped_deploys_that_then_it_parks_and_an_abort_keeps_it(
    scenario: Scenario, good_image: str, piped: Piped
) -> None:
    piped.pause()
    await scenario.when_ci_starts(good_image)
    await scenario.until(lambda: bool(scenario.commits()), "the commit")
    digest = good_image.rpartition("@")[2]
    scenario.given_its_file("taskdef.yaml", f"screening-pipeline@{digest}", OTHER_IMAGE)
    piped.resume()
    failure = await then_it_parks(scenario)
    later = scenario.team.remote.head()
    assert failure.answered.startswith(f"the later commit {later[:12]} brings another image, and piped ran the task ")
    await scenario.when_an_operator_says("abort")
    # The colleague changed the very line that would be put back: a second abort leaves it.
    await until(scenario.handle, lambda status: "were changed since" in answered(status), "the revert to need a person")
    await scenario.when_an_operator_says("abort")
    status = await scenario.then_it_ends(Outcome.aborted)
    assert OTHER_IMAGE in scenario.team.remote.read(f"{FOLDER}/taskdef.yaml")
    stopped = next(entry for entry in status.ledger if entry.inverse == "stop the task")
    assert (stopped.state, stopped.note) == (
        LedgerState.kept,
        "piped had run no task for this image; what it may still run is not stopped",
    )


async def test_given_a_task_that_failed_when_it_is_retried_then_slipway_waits_until_piped_has_run_it_again(
    scenario: Scenario, good_image: str, piped: Piped
) -> None:
    scenario.team.remove_data()
    await scenario.when_ci_starts(good_image)
    failure = await then_it_parks(scenario)
    assert "container pipeline exit code 1" in failure.answered
    assert "no training data" in failure.answered
    assert "sync the application in PipeCD and retry, which waits for the task that piped runs then" in failure.remedy
    scenario.team.upload_data()
    listed = len(scenario.done("ecs.ListTasks"))
    await scenario.when_an_operator_says("retry")
    await scenario.until(lambda: len(scenario.done("ecs.ListTasks")) > listed + 2, "another look for the task")
    again = piped.sync()
    assert (await then_it_is_promoted(scenario)).task == again.task
    assert len(scenario.tasks()) == 2


async def test_given_a_task_of_piped_that_runs_when_the_promotion_is_aborted_then_it_is_stopped_and_the_commit_reverted(
    scenario: Scenario, good_image: str, piped: Piped
) -> None:
    given_a_task_that_runs(scenario, "import time\nwhile True:\n    time.sleep(1)\n")
    await scenario.when_ci_starts(good_image)
    await scenario.until(lambda: bool(scenario.done("ecs.DescribeTaskDefinition")), "the task to be found")
    await scenario.when_an_operator_says("abort")
    status = await scenario.then_it_ends(Outcome.aborted)
    ours = next(deployment for deployment in piped.deployments if deployment.commit in revert_of(scenario))
    [task] = scenario.team.client("ecs").describe_tasks(cluster="ml", tasks=[ours.task])["tasks"]
    assert task["lastStatus"] == "STOPPED"
    assert task["stoppedReason"].startswith("aborted: ")
    assert {entry.inverse: entry.state for entry in status.ledger if entry.state is LedgerState.undone} == {
        "stop the task": LedgerState.undone,
        "revert the commit": LedgerState.undone,
    }


def revert_of(scenario: Scenario) -> str:
    """The message of the newest commit, which names the one that it reverts."""
    return scenario.team.remote.log()[0]


async def test_given_workers_killed_at_each_step_when_others_take_over_then_piped_has_run_one_task_and_there_is_one_of_everything(
    scenario: Scenario, good_image: str, piped: Piped
) -> None:
    steps = (
        ("registry", "PutManifest"),
        ("ecs", "ListTasks"),
        ("ecs", "DescribeTasks"),
        ("sagemaker", "ListPipelineExecutionSteps"),
    )
    await scenario.when_the_worker_is_killed_after_each(steps, partial(scenario.when_ci_starts, good_image))
    await then_it_is_promoted(scenario)
    assert len(piped.deployments) == 1
    assert (len(scenario.commits()), len(scenario.tasks()), len(scenario.executions()), len(scenario.packages())) == (1, 1, 1, 1)
