from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from slipway_sandbox.testing import SandboxProcess, build_image, push_image, shell_layer

from activities.repositories import Repositories
from activities.tags import HASH_TAG, PROMOTION_TAG
from activities.tasks.activities import TaskActivities, placement_error
from activities.tasks.messages import FollowTask, RegisteredTaskDefinition, RegisterTaskDefinition, RunTask, StartedTask, StopTask
from activities.tasks.verdict import is_platforms, judge_task
from slipway.api import LedgerState
from slipway.app.pipecd import Attachment, AwsvpcConfiguration, CapacityProvider, EcsApp, Tag
from slipway.aws.clients import Aws
from slipway.aws.polling import Polling
from slipway.errors import NeedsPersonError, RefusedError, TransientError
from slipway.progress import TaskProgress


@pytest.fixture
def tasks(aws: Aws, repositories: Repositories) -> TaskActivities:
    return TaskActivities(aws, repositories, Polling(0.05))


class Launch:
    """Puts an image into the task definition and runs it."""

    def __init__(self, sandbox: SandboxProcess, account: str, deployment: Any, tasks: TaskActivities, run: Any) -> None:
        self.sandbox, self.account, self.deployment, self.tasks, self.run = sandbox, account, deployment, tasks, run
        sandbox.client("ecs", account).create_cluster(clusterName="pipelines")
        sandbox.client("logs", account).create_log_group(logGroupName="/ecs/screening")
        self.ecs = EcsApp(
            cluster_arn=f"arn:aws:ecs:us-east-1:{account}:cluster/pipelines",
            awsvpc_configuration=AwsvpcConfiguration(subnets=("subnet-1",), security_groups=("sg-1",)),
        )

    def file(self, command: str) -> RegisterTaskDefinition:
        """A commit whose task definition runs the command."""
        image = build_image([shell_layer()], command=["sh", "-c", command])
        uri = push_image(self.sandbox, self.account, "screening", "v1", image).rpartition(":")[0] + f"@{image.digest}"
        old = f"{self.account}.dkr.ecr.us-east-1.amazonaws.com/screening:old"
        commit = self.deployment.push({"taskdef.yaml": self.deployment.file("taskdef.yaml").replace(old, uri)})
        return RegisterTaskDefinition(app=self.deployment.app, commit=commit, file="taskdef.yaml", region="us-east-1", image=uri)

    def request(self, definition: RegisteredTaskDefinition, attempt: int = 1) -> RunTask:
        return RunTask(promotion_id="screening-1", attempt=attempt, task_definition=definition, ecs=self.ecs)

    async def start(self, command: str) -> StartedTask:
        definition = await self.run(self.tasks.register_task_definition, self.file(command))
        return await self.run(self.tasks.run_task, self.request(definition))

    def log(self, task: StartedTask) -> list[str]:
        """What the container printed."""
        logs, stream = self.sandbox.client("logs", self.account), f"run/pipeline/{task.arn.rpartition('/')[2]}"
        return [event["message"] for event in logs.get_log_events(logGroupName="/ecs/screening", logStreamName=stream)["events"]]

    def follow(self, task: StartedTask, timeout: timedelta = timedelta(minutes=5)) -> FollowTask:
        return FollowTask(task=task, timeout=timeout)


@pytest.fixture
def launch(sandbox: SandboxProcess, account: str, deployment: Any, tasks: TaskActivities, run: Any) -> Launch:
    return Launch(sandbox, account, deployment, tasks, run)


async def test_given_a_file_when_it_is_registered_twice_then_there_is_one_revision(
    launch: Launch, tasks: TaskActivities, run: Any, account: str
) -> None:
    request = launch.file("true")
    first = await run(tasks.register_task_definition, request)
    again = await run.again(tasks.register_task_definition, request)
    assert (first.reused, again.reused) == (False, True)
    assert first.arn == again.arn
    assert first.containers == ("pipeline",)
    assert len(launch.sandbox.calls("ecs", "RegisterTaskDefinition", account)) == 1


async def test_given_a_registration_whose_answer_is_lost_when_it_is_retried_then_there_is_one_revision(
    launch: Launch, tasks: TaskActivities, run: Any, account: str
) -> None:
    request = launch.file("true")
    launch.sandbox.plant_fault("ecs", "RegisterTaskDefinition", "lost-answer", account=account)
    with pytest.raises(TransientError):
        await run(tasks.register_task_definition, request)
    assert (await run.again(tasks.register_task_definition, request)).reused
    assert len(launch.sandbox.calls("ecs", "RegisterTaskDefinition", account)) == 1


async def test_given_a_file_without_the_image_when_it_is_registered_then_it_is_refused(
    launch: Launch, tasks: TaskActivities, run: Any
) -> None:
    request = launch.file("true").model_copy(update={"image": f"other@sha256:{'0' * 64}"})
    with pytest.raises(RefusedError, match="and pipeline runs"):
        await run(tasks.register_task_definition, request)


async def test_given_the_image_in_another_container_alone_when_it_is_registered_then_it_is_refused(
    launch: Launch, tasks: TaskActivities, run: Any, account: str
) -> None:
    request = launch.file("true")
    sidecar = launch.deployment.file("taskdef.yaml") + f"\n  - name: sidecar\n    image: {account}.example/sidecar:v1\n"
    written = request.model_copy(update={"commit": launch.deployment.push({"taskdef.yaml": sidecar})})
    assert (await run(tasks.register_task_definition, written.model_copy(update={"containers": ("pipeline",)}))).arn
    with pytest.raises(RefusedError, match=f"and sidecar runs {account}.example/sidecar:v1"):
        await run(tasks.register_task_definition, written.model_copy(update={"containers": ("sidecar",)}))


async def test_given_an_attachment_when_the_file_is_registered_then_it_is_rendered_from_the_files_of_the_commit(
    launch: Launch, tasks: TaskActivities, run: Any, account: str
) -> None:
    request = launch.file("true")
    command = launch.deployment.file("taskdef.yaml") + '\n    command: ["{{ .attachment.settings | b64enc }}"]\n'
    attachment = Attachment(sources={"settings": "settings.yaml"}, targets=("taskdef.yaml",))
    asked = [
        request.model_copy(update={"commit": launch.deployment.push(files), "attachment": attachment})
        for files in ({"taskdef.yaml": command, "settings.yaml": "a: 1\n"}, {"settings.yaml": "a: 2\n"})
    ]
    ecs = launch.sandbox.client("ecs", account)
    arns = [(await run(tasks.register_task_definition, each)).arn for each in asked]
    described = [ecs.describe_task_definition(taskDefinition=arn)["taskDefinition"] for arn in arns]
    assert [each["containerDefinitions"][0]["command"] for each in described] == [["YTogMQo="], ["YTogMgo="]]


async def test_given_all_that_says_how_to_run_a_task_when_it_is_run_then_ecs_is_told(
    launch: Launch, tasks: TaskActivities, run: Any, account: str
) -> None:
    ecs = launch.sandbox.client("ecs", account)
    ecs.put_cluster_capacity_providers(
        cluster="pipelines", capacityProviders=["FARGATE", "FARGATE_SPOT"], defaultCapacityProviderStrategy=[]
    )
    launch.ecs = launch.ecs.model_copy(
        update={
            "capacity_provider_strategy": (CapacityProvider(capacity_provider="FARGATE_SPOT", weight=1),),
            "platform_version": "1.4.0",
            "propagate_tags": "TASK_DEFINITION",
            "tags": (Tag(key="team", value="ml"),),
        }
    )
    task = await launch.start("true")
    [described] = ecs.describe_tasks(cluster="pipelines", tasks=[task.arn], include=["TAGS"])["tasks"]
    assert described["capacityProviderName"] == "FARGATE_SPOT"
    assert described["platformVersion"] == "1.4.0"
    tags = {tag["key"]: tag["value"] for tag in described["tags"]}
    assert tags["team"] == "ml"
    assert HASH_TAG in tags
    assert tags[PROMOTION_TAG] == "screening-1"


async def test_given_a_revision_when_it_is_run_twice_then_there_is_one_task(
    launch: Launch, tasks: TaskActivities, run: Any, account: str
) -> None:
    definition = await run(tasks.register_task_definition, launch.file("true"))
    first = await run(tasks.run_task, launch.request(definition))
    again = await run.again(tasks.run_task, launch.request(definition))
    assert first.arn == again.arn
    arns = launch.sandbox.client("ecs", account).list_tasks(cluster="pipelines", startedBy="screening-1")["taskArns"]
    assert len(arns) <= 1


async def test_given_a_start_whose_answer_is_lost_when_it_is_retried_then_the_same_task_is_told(
    launch: Launch, tasks: TaskActivities, run: Any, account: str
) -> None:
    definition = await run(tasks.register_task_definition, launch.file("true"))
    launch.sandbox.plant_fault("ecs", "RunTask", "lost-answer", account=account, count=3)
    with pytest.raises(TransientError):
        await run(tasks.run_task, launch.request(definition))
    task = await run.again(tasks.run_task, launch.request(definition))
    verdict = await run(tasks.follow_task, launch.follow(task))
    assert verdict.arn == task.arn
    tokens = {call["request"]["clientToken"] for call in launch.sandbox.calls("ecs", "RunTask", account)}
    assert len(tokens) == 1


async def test_given_a_new_attempt_when_it_is_run_then_there_is_another_task(
    launch: Launch, tasks: TaskActivities, run: Any
) -> None:
    definition = await run(tasks.register_task_definition, launch.file("true"))
    first = await run(tasks.run_task, launch.request(definition))
    second = await run(tasks.run_task, launch.request(definition, attempt=2))
    assert first.arn != second.arn


async def test_given_a_task_that_exits_0_when_it_is_followed_then_it_knew_the_promotion(
    launch: Launch, tasks: TaskActivities, run: Any
) -> None:
    task = await launch.start('echo "id $SLIPWAY_PROMOTION_ID"')
    verdict = await run(tasks.follow_task, launch.follow(task))
    assert [(found.name, found.exit_code) for found in verdict.containers] == [("pipeline", 0)]
    assert launch.log(task) == ["id screening-1"]
    assert all(isinstance(beat, TaskProgress) for beat in run.heartbeats)
    assert run.heartbeats[-1].status == "STOPPED"


async def test_given_a_task_that_exits_1_when_it_is_followed_then_code_and_last_line_are_told(
    launch: Launch, tasks: TaskActivities, run: Any
) -> None:
    task = await launch.start("echo the bucket is missing; exit 1")
    with pytest.raises(NeedsPersonError) as caught:
        await run(tasks.follow_task, launch.follow(task))
    assert "exit code 1" in caught.value.report.answered
    assert "the bucket is missing" in caught.value.report.answered
    assert "retry" in caught.value.report.remedy


async def test_given_an_image_that_is_not_there_when_the_task_is_followed_then_it_says_that_nothing_ran(
    launch: Launch, tasks: TaskActivities, run: Any, account: str
) -> None:
    request = launch.file("true")
    missing = f"{account}.dkr.ecr.us-east-1.amazonaws.com/screening@sha256:{'0' * 64}"
    text = launch.deployment.file("taskdef.yaml").replace(request.image, missing)
    commit = launch.deployment.push({"taskdef.yaml": text})
    request = request.model_copy(update={"commit": commit, "image": missing})
    definition = await run(tasks.register_task_definition, request)
    task = await run(tasks.run_task, launch.request(definition))
    with pytest.raises(NeedsPersonError, match="CannotPullContainerError") as caught:
        await run(tasks.follow_task, launch.follow(task))
    assert "nothing ran" in caught.value.report.remedy


PULL = "CannotPullContainerError: pull image manifest has been retried 5 time(s): failed to resolve ref"
ENDS = [
    ("SpotInterruption", "Your Spot Task was interrupted.", True),
    ("TerminationNotice", "the host is being retired", True),
    ("InfrastructureHealth", "the host is unhealthy", True),
    ("TaskFailedToStart", "Timeout waiting for network interface provisioning to complete.", True),
    ("TaskFailedToStart", "Timeout waiting for EphemeralStorage provisioning to complete.", True),
    ("TaskFailedToStart", f"{PULL}: dial tcp 10.0.0.1:443: i/o timeout", True),
    ("TaskFailedToStart", f"{PULL}: unexpected EOF", True),
    ("TaskFailedToStart", f"{PULL}: not found", False),
    ("TaskFailedToStart", "ResourceInitializationError: typeof secret", False),
    ("UserInitiated", "Task stopped by user", False),
    ("EssentialContainerExited", "read: i/o timeout", False),
]


@pytest.mark.parametrize(("code", "reason", "platforms"), ENDS)
def test_given_an_end_of_a_task_when_it_is_judged_then_only_the_platforms_own_are_worth_another_launch(
    code: Any, reason: str, platforms: bool
) -> None:
    assert is_platforms({"stopCode": code, "stoppedReason": reason}, ()) is platforms


async def test_given_a_task_that_the_platform_ended_when_it_is_judged_then_its_verdict_says_so(
    launch: Launch, tasks: TaskActivities, aws: Aws, run: Any, account: str
) -> None:
    task = await launch.start("exit 137")
    with pytest.raises(NeedsPersonError):
        await run(tasks.follow_task, launch.follow(task))
    ecs = launch.sandbox.client("ecs", account)
    described = ecs.describe_tasks(cluster=task.cluster, tasks=[task.arn])["tasks"][0]
    interrupted: Any = {**described, "stopCode": "SpotInterruption", "stoppedReason": "Your Spot Task was interrupted."}
    verdict = await judge_task(aws, interrupted)
    assert verdict.ended_by_platform
    assert verdict.ended_by_platform.startswith(
        "SpotInterruption: Your Spot Task was interrupted.; container pipeline exit code 137"
    )


async def test_given_a_task_beyond_its_time_when_it_is_followed_then_a_person_is_asked(
    launch: Launch, tasks: TaskActivities, run: Any
) -> None:
    task = await launch.start("sleep 60")
    with pytest.raises(NeedsPersonError, match=r"spec\.task\.timeout"):
        await run(tasks.follow_task, launch.follow(task, timedelta(seconds=1)))
    await run(tasks.stop_task, StopTask(task=task, reason="test"))


async def test_given_a_running_task_when_it_is_stopped_twice_then_it_is_undone_and_stopped_once(
    launch: Launch, tasks: TaskActivities, run: Any, account: str
) -> None:
    task = await launch.start("sleep 60")
    first = await run(tasks.stop_task, StopTask(task=task, reason="aborted"))
    await run(tasks.stop_task, StopTask(task=task, reason="aborted"))
    assert first.state is LedgerState.undone
    assert len(launch.sandbox.calls("ecs", "StopTask", account)) == 1


async def test_given_a_task_that_takes_its_time_when_it_is_stopped_then_the_answer_waits_until_it_has_stopped(
    launch: Launch, tasks: TaskActivities, run: Any, account: str
) -> None:
    task = await launch.start("trap 'sleep 1; exit 0' TERM; while :; do sleep 0.1; done")
    assert (await run(tasks.stop_task, StopTask(task=task, reason="aborted"))).state is LedgerState.undone
    described = launch.sandbox.client("ecs", account).describe_tasks(cluster=task.cluster, tasks=[task.arn])["tasks"][0]
    assert described["lastStatus"] == "STOPPED"


async def test_given_a_task_that_ecs_has_just_accepted_when_it_is_stopped_then_it_is_tried_again_and_not_told_as_ended(
    launch: Launch, tasks: TaskActivities, run: Any, account: str
) -> None:
    arn = f"arn:aws:ecs:us-east-1:{account}:task/pipelines/{'0' * 32}"
    newborn = StartedTask(arn=arn, cluster=launch.ecs.cluster_arn, started_at=datetime.now(UTC))
    with pytest.raises(TransientError, match="just accepted"):
        await run(tasks.stop_task, StopTask(task=newborn, reason="aborted"))


async def test_given_a_task_that_ecs_has_forgotten_when_it_is_followed_then_that_is_told(
    launch: Launch, tasks: TaskActivities, run: Any, account: str
) -> None:
    arn = f"arn:aws:ecs:us-east-1:{account}:task/pipelines/{'0' * 32}"
    old = StartedTask(arn=arn, cluster=launch.ecs.cluster_arn, started_at=datetime.now(UTC) - timedelta(hours=2))
    with pytest.raises(NeedsPersonError, match="forgotten"):
        await run(tasks.follow_task, launch.follow(old))


@pytest.mark.parametrize(
    ("reason", "error"),
    [
        ("Capacity is unavailable at this time. Please try again later", TransientError),
        ("RESOURCE:MEMORY", TransientError),
        ("AGENT", TransientError),
        ("ATTRIBUTE", NeedsPersonError),
        ("INACTIVE", NeedsPersonError),
    ],
)
def test_given_a_placement_failure_when_it_is_judged_then_only_what_heals_is_tried_again(
    reason: str, error: type[Exception]
) -> None:
    assert isinstance(placement_error("running x", [{"reason": reason}]), error)
