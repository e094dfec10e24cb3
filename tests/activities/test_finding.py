"""Which execution a task started, where the task does not name it."""

from __future__ import annotations

import json
import time
from datetime import datetime, timedelta
from typing import Any

import pytest
from slipway_sandbox.testing import SandboxProcess

from activities.pipelines.activities import PipelineActivities
from activities.pipelines.finding import BY_LOG, BY_OPERATOR, BY_TIME, is_anothers, is_session
from activities.pipelines.messages import FindExecution
from activities.tasks.messages import StartedTask
from slipway.aws.clients import Aws
from slipway.aws.polling import Polling
from slipway.errors import NeedsPersonError

PROMOTION = "screening-0123456789ab"
TASK = "0" * 32
SECOND = timedelta(seconds=1)


class Desk:
    """A pipeline that anybody may start, and a task of which only its log is there."""

    def __init__(self, sandbox: SandboxProcess, account: str) -> None:
        self.sandbox, self.account = sandbox, account
        self.sagemaker, self.logs = sandbox.client("sagemaker", account), sandbox.client("logs", account)
        self.create("training")
        container = {"name": "pipeline", "image": "pipeline:v1", "memory": 128}
        options = {"awslogs-group": "/ecs/screening", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "run"}
        log = {"logDriver": "awslogs", "options": options}
        registered = sandbox.client("ecs", account).register_task_definition(
            family="screening", containerDefinitions=[{**container, "logConfiguration": log}]
        )
        self.definition = registered["taskDefinition"]["taskDefinitionArn"]
        sandbox.client("ecs", account).create_cluster(clusterName="ml")

    def create(self, pipeline: str) -> None:
        step = {"Name": "Stop", "Type": "Fail", "Arguments": {"ErrorMessage": "enough"}}
        definition = json.dumps({"Version": "2020-12-01", "Metadata": {}, "Parameters": [], "Steps": [step]})
        role = f"arn:aws:iam::{self.account}:role/pipeline"
        self.sagemaker.create_pipeline(PipelineName=pipeline, PipelineDefinition=definition, RoleArn=role)

    def start(self, name: str = "", pipeline: str = "training") -> str:
        """An execution as somebody starts it; without a name as `pipeline.start()` does."""
        more = {"PipelineExecutionDisplayName": name} if name else {}
        return self.sagemaker.start_pipeline_execution(PipelineName=pipeline, **more)["PipelineExecutionArn"]

    def began(self, execution: str) -> datetime:
        return self.sagemaker.describe_pipeline_execution(PipelineExecutionArn=execution)["CreationTime"]

    def task(self, started_at: datetime, stopped_at: datetime) -> StartedTask:
        arn = f"arn:aws:ecs:us-east-1:{self.account}:task/ml/{TASK}"
        return StartedTask(arn=arn, cluster="ml", started_at=started_at, stopped_at=stopped_at, definition=self.definition)

    def task_around(self, *executions: str) -> StartedTask:
        times = [self.began(execution) for execution in executions]
        return self.task(min(times) - SECOND, max(times) + SECOND)

    def write_log(self, *lines: str) -> None:
        self.logs.create_log_group(logGroupName="/ecs/screening")
        stream = {"logGroupName": "/ecs/screening", "logStreamName": f"run/pipeline/{TASK}"}
        self.logs.create_log_stream(**stream)
        now = int(time.time() * 1000)
        self.logs.put_log_events(**stream, logEvents=[{"timestamp": now, "message": line} for line in lines])

    def find(self, task: StartedTask, **more: Any) -> FindExecution:
        asked = FindExecution(
            pipeline="training",
            promotion_id=PROMOTION,
            region="us-east-1",
            started_after=task.started_at,
            within=timedelta(0),
            task=task,
        )
        return asked.model_copy(update=more)


@pytest.fixture
def desk(sandbox: SandboxProcess, account: str) -> Desk:
    return Desk(sandbox, account)


@pytest.fixture
def pipelines(aws: Aws) -> PipelineActivities:
    return PipelineActivities(aws, Polling(0.05))


@pytest.mark.parametrize(
    "line",
    [
        "###### Execution started with PipelineExecutionArn: {arn}",
        '{{"pipelineExecutionArn": "{arn}", "level": "info"}}',
        "_PipelineExecution(arn='{arn}', sagemaker_session=...)",
    ],
)
async def test_given_a_task_that_prints_the_arn_when_its_execution_is_looked_for_then_the_log_decides(
    desk: Desk, pipelines: PipelineActivities, run: Any, line: str
) -> None:
    ours, other = desk.start(), desk.start()
    desk.write_log("preparing", line.format(arn=ours), "done")
    found = await run(pipelines.find_execution, desk.find(desk.task_around(ours, other)))
    assert (found.arn, found.witness) == (ours, BY_LOG)


async def test_given_a_long_log_when_the_arn_is_at_its_beginning_then_it_is_found(
    desk: Desk, pipelines: PipelineActivities, run: Any
) -> None:
    ours, other = desk.start(), desk.start()
    desk.write_log(f"started {ours}", *["waiting"] * 9_999)
    desk.logs.put_log_events(
        logGroupName="/ecs/screening",
        logStreamName=f"run/pipeline/{TASK}",
        logEvents=[{"timestamp": int(time.time() * 1000), "message": "waiting"}] * 5_000,
    )
    assert (await run(pipelines.find_execution, desk.find(desk.task_around(ours, other)))).arn == ours


async def test_given_two_arns_in_the_log_when_the_execution_is_looked_for_then_both_are_named_and_a_person_is_asked(
    desk: Desk, pipelines: PipelineActivities, run: Any
) -> None:
    first, second = desk.start(), desk.start()
    desk.write_log(f"started {first}", f"started {second}")
    with pytest.raises(NeedsPersonError) as caught:
        await run(pipelines.find_execution, desk.find(desk.task_around(first, second)))
    assert first in caught.value.report.answered
    assert second in caught.value.report.answered
    assert f"slipway retry {PROMOTION} --execution" in caught.value.report.remedy


async def test_given_one_execution_that_began_while_the_task_ran_when_nothing_names_it_then_it_is_taken(
    desk: Desk, pipelines: PipelineActivities, run: Any
) -> None:
    ours = desk.start()
    began = desk.began(ours)
    desk.start("candidate-7", pipeline="training")
    found = await run(pipelines.find_execution, desk.find(desk.task(began - SECOND, began)))
    assert (found.arn, found.witness) == (ours, BY_TIME)


async def test_given_the_execution_of_another_promotion_when_one_is_looked_for_then_it_is_not_taken_for_the_tasks(
    desk: Desk, pipelines: PipelineActivities, run: Any
) -> None:
    other, ours = desk.start("screening-ba9876543210"), desk.start()
    found = await run(pipelines.find_execution, desk.find(desk.task_around(other, ours)))
    assert found.arn == ours


async def test_given_two_executions_that_began_while_the_task_ran_when_nothing_tells_them_apart_then_a_person_is_asked(
    desk: Desk, pipelines: PipelineActivities, run: Any
) -> None:
    first, second = desk.start(), desk.start()
    with pytest.raises(NeedsPersonError, match="2 executions began while the task ran") as caught:
        await run(pipelines.find_execution, desk.find(desk.task_around(first, second)))
    assert "the task's log could not be read" in caught.value.report.answered
    assert f"slipway retry {PROMOTION} --execution" in caught.value.report.remedy


async def test_given_an_execution_that_an_operator_names_when_it_began_after_the_task_then_it_is_taken(
    desk: Desk, pipelines: PipelineActivities, run: Any
) -> None:
    first, second = desk.start(), desk.start()
    found = await run(pipelines.find_execution, desk.find(desk.task_around(first, second), named=second))
    assert (found.arn, found.witness) == (second, BY_OPERATOR)


async def test_given_an_execution_of_before_the_task_when_an_operator_names_it_then_it_is_not_taken(
    desk: Desk, pipelines: PipelineActivities, run: Any
) -> None:
    before = desk.start()
    task = desk.task(desk.began(before) + SECOND, desk.began(before) + 2 * SECOND)
    with pytest.raises(NeedsPersonError, match="and the task was started at"):
        await run(pipelines.find_execution, desk.find(task, named=before))


async def test_given_an_execution_of_another_pipeline_when_an_operator_names_it_then_it_is_not_taken(
    desk: Desk, pipelines: PipelineActivities, run: Any
) -> None:
    desk.create("other")
    other = desk.start(pipeline="other")
    with pytest.raises(NeedsPersonError, match="the pipeline lists no execution"):
        await run(pipelines.find_execution, desk.find(desk.task_around(other), named=other))


# --- To be stopped ---


async def test_given_a_task_that_started_none_when_its_execution_is_to_be_stopped_then_there_is_none(
    desk: Desk, pipelines: PipelineActivities, run: Any
) -> None:
    before = desk.start()
    task = desk.task(desk.began(before) + SECOND, desk.began(before) + 2 * SECOND)
    assert await run(pipelines.find_execution, desk.find(task, for_undo=True)) is None


async def test_given_a_pipeline_that_the_task_had_not_made_yet_when_its_execution_is_to_be_stopped_then_there_is_none(
    desk: Desk, pipelines: PipelineActivities, run: Any
) -> None:
    task = desk.task_around(desk.start())
    assert await run(pipelines.find_execution, desk.find(task, pipeline="not-made-yet", for_undo=True)) is None


async def test_given_an_execution_whose_origin_nothing_proves_when_it_is_to_be_stopped_then_a_person_decides(
    desk: Desk, pipelines: PipelineActivities, run: Any
) -> None:
    perhaps = desk.start()
    with pytest.raises(NeedsPersonError, match=perhaps) as caught:
        await run(pipelines.find_execution, desk.find(desk.task_around(perhaps), for_undo=True))
    assert "nothing proves whose" in caught.value.report.answered


async def test_given_an_aws_that_refuses_when_the_execution_is_to_be_stopped_then_that_is_not_told_as_none(
    desk: Desk, pipelines: PipelineActivities, run: Any, account: str
) -> None:
    ours = desk.start()
    desk.sandbox.plant_fault(
        "sagemaker",
        "ListPipelineExecutions",
        "error",
        account=account,
        code="AccessDeniedException",
        message="User: worker is not authorized to perform: sagemaker:ListPipelineExecutions",
    )
    with pytest.raises(NeedsPersonError, match="not authorized"):
        await run(pipelines.find_execution, desk.find(desk.task_around(ours), for_undo=True))


# --- The witnesses ---


@pytest.mark.parametrize(
    ("created_by", "is_ours"),
    [
        ({"IamIdentity": {"Arn": f"arn:aws:sts::222222222222:assumed-role/screening-task/{TASK}"}}, True),
        ({"IamIdentity": {"PrincipalId": f"AROAEXAMPLE:{TASK}"}}, True),
        ({"IamIdentity": {"Arn": "arn:aws:sts::222222222222:assumed-role/screening-task/ana"}}, False),
        ({"IamIdentity": {"Arn": f"arn:aws:iam::222222222222:user/{TASK}"}}, False),
        ({}, False),
    ],
)
def test_given_who_created_an_execution_then_only_a_session_of_the_tasks_name_is_the_task(
    created_by: dict[str, Any], is_ours: bool
) -> None:
    assert is_session(created_by, TASK) is is_ours


@pytest.mark.parametrize(
    ("name", "anothers"),
    [
        ("screening-ba9876543210", True),
        ("screening-ba9876543210-2", True),
        (f"{PROMOTION}-2", True),
        (PROMOTION, False),
        ("spam-ba9876543210", False),
        ("execution-1795980266539", False),
        ("screening-nightly", False),
    ],
)
def test_given_an_executions_name_then_only_one_that_another_promotion_of_the_app_has_is_anothers(
    name: str, anothers: bool
) -> None:
    assert is_anothers(name, PROMOTION) is anothers
