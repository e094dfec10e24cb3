"""SageMaker pipeline executions and their steps, call by call."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from slipway_sandbox.testing import wait_until

from sandbox.testkit.contract import Aws, contract, real_client
from sandbox.testkit.pipelines import finished, received

WORD = {"Name": "Word", "Type": "String", "DefaultValue": "enough", "EnumValues": ["enough", "stop"]}
COUNT = {"Name": "Count", "Type": "Integer", "DefaultValue": 1}
SAY = {"Name": "Say", "Type": "Fail", "Arguments": {"ErrorMessage": {"Get": "Parameters.Word"}}}
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
MAY_SEND = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "*"}]}


@dataclass
class Desk:
    """Pipelines of one test, with a role that may send messages, and a queue."""

    aws: Aws
    role: str
    queue: str

    def __post_init__(self) -> None:
        self.sagemaker = self.aws.client("sagemaker")
        self.sqs = plain_client(self.aws, "sqs")
        self.pipelines: list[str] = []

    def create(self, steps: Sequence[dict[str, Any]]) -> str:
        """Create a pipeline; returns its name."""
        name = self.aws.name("pipeline")
        definition = {"Version": "2020-12-01", "Parameters": [WORD, COUNT], "Steps": steps}
        self.sagemaker.create_pipeline(
            PipelineName=name, PipelineDefinition=json.dumps(definition), RoleArn=self.role, ClientRequestToken="c" * 32
        )
        self.pipelines.append(name)
        return name

    def start(self, pipeline: str, token: str = "t" * 32, **more: Any) -> str:
        """Start an execution; returns its ARN."""
        answer = self.sagemaker.start_pipeline_execution(PipelineName=pipeline, ClientRequestToken=token, **more)
        return answer["PipelineExecutionArn"]

    def waiting(self) -> tuple[str, str]:
        """An execution that waits for an answer, and the token to give it with."""
        ask = {
            "Name": "Ask",
            "Type": "Callback",
            "SqsQueueUrl": self.queue,
            "Arguments": {"word": {"Get": "Parameters.Word"}},
            "OutputParameters": [{"OutputName": "count", "OutputType": "Integer"}],
        }
        execution = self.start(self.create([ask]))
        message = received(self.sqs, self.queue)
        assert message["pipelineExecutionArn"] == execution
        assert (message["arguments"], message["status"]) == ({"word": "enough"}, "Executing")
        return execution, message["token"]

    def steps(self, execution: str) -> dict[str, dict[str, Any]]:
        """The steps by name."""
        listed = self.sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=execution)["PipelineExecutionSteps"]
        return {step["StepName"]: step for step in listed}

    def close(self) -> None:
        """Delete what was created."""
        for name in self.pipelines:
            wait_until(lambda name=name: self._deleted(name), f"{name} to be deleted")

    def _deleted(self, name: str) -> bool:
        with contextlib.suppress(self.sagemaker.exceptions.ConflictException):
            self.sagemaker.delete_pipeline(PipelineName=name, ClientRequestToken="d" * 32)
            return True
        return False


@pytest.fixture
def desk(aws: Aws) -> Iterator[Desk]:
    """A role and a queue of the test's own."""
    iam, sqs, name = plain_client(aws, "iam"), plain_client(aws, "sqs"), aws.name("role")
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="send", PolicyDocument=json.dumps(MAY_SEND))
    made = Desk(aws, role, sqs.create_queue(QueueName=name)["QueueUrl"])
    yield made
    made.close()
    sqs.delete_queue(QueueUrl=made.queue)
    iam.delete_role_policy(RoleName=name, PolicyName="send")
    iam.delete_role(RoleName=name)


def plain_client(aws: Aws, service: str) -> Any:
    """A client whose answers are not held against the model: what these tests need beside SageMaker."""
    return aws.sandbox.client(service, aws.account, aws.region) if aws.sandbox else real_client(service, aws.region)


def missing(aws: Aws) -> str:
    """The ARN of an execution that is not there."""
    return f"arn:aws:sagemaker:{aws.region}:{aws.account}:pipeline/{aws.name('nobody')}/execution/abcdefghijkl"


@contract("sagemaker", "StartPipelineExecution", errors=("ConflictException", "ResourceNotFound", "ValidationException"))
@contract("sagemaker", "DescribePipelineExecution", errors=("ResourceNotFound",))
def test_start_pipeline_execution(aws: Aws, desk: Desk) -> None:
    name = desk.create([SAY])
    request: dict[str, Any] = {
        "PipelineExecutionDisplayName": "promotion-1",
        "PipelineExecutionDescription": "a try",
        "PipelineParameters": [{"Name": "Word", "Value": "stop"}],
    }
    execution = desk.start(name, **request)
    assert desk.start(name, **request) == execution
    shown = finished(desk.sagemaker, execution)
    assert (shown["PipelineExecutionStatus"], shown["FailureReason"]) == (
        "Failed",
        "Step failure: One or multiple steps failed.",
    )
    assert (shown["PipelineExecutionDisplayName"], shown["PipelineExecutionDescription"]) == ("promotion-1", "a try")
    assert (shown["CreatedBy"], shown["PipelineVersionId"]) == ({}, 1)
    with aws.refused("ConflictException"):
        desk.start(name, PipelineExecutionDisplayName="promotion-2")
    for wrong in ({"Name": "Word", "Value": "other"}, {"Name": "Count", "Value": "many"}, {"Name": "Nobody", "Value": "1"}):
        with aws.refused("ValidationException", match=wrong["Name"]):
            desk.start(name, "u" * 32, PipelineParameters=[wrong])
    with aws.refused("ValidationException", match="is too short"):
        desk.start(name, "u" * 32, PipelineParameters=[{"Name": "Word", "Value": ""}])
    with aws.refused("ValidationException", match="RoleArn"):
        desk.start(name, "u" * 32, RoleArn=desk.role)
    with aws.refused("ResourceNotFound"):
        desk.start(aws.name("nobody"))
    with aws.refused("ResourceNotFound"):
        desk.sagemaker.describe_pipeline_execution(PipelineExecutionArn=missing(aws))


@contract("sagemaker", "ListPipelineExecutions", errors=("ResourceNotFound",))
@contract("sagemaker", "DescribePipelineDefinitionForExecution", errors=("ResourceNotFound",))
@contract("sagemaker", "UpdatePipelineExecution", errors=("ResourceNotFound",))
def test_list_pipeline_executions(aws: Aws, desk: Desk) -> None:
    name = desk.create([SAY])
    executions = [desk.start(name, token * 32) for token in "tu"]
    desk.sagemaker.update_pipeline_execution(PipelineExecutionArn=executions[0], PipelineExecutionDisplayName="renamed")
    listed = desk.sagemaker.list_pipeline_executions(PipelineName=name, SortBy="CreationTime", SortOrder="Ascending")
    rows = listed["PipelineExecutionSummaries"]
    assert [row["PipelineExecutionArn"] for row in rows] == executions
    assert rows[0]["PipelineExecutionDisplayName"] == "renamed"
    first = desk.sagemaker.list_pipeline_executions(PipelineName=name, MaxResults=1)
    assert [row["PipelineExecutionArn"] for row in first["PipelineExecutionSummaries"]] == executions[1:]
    shown = desk.sagemaker.describe_pipeline_definition_for_execution(PipelineExecutionArn=executions[0])
    assert json.loads(shown["PipelineDefinition"])["Steps"] == [SAY]
    with aws.refused("ResourceNotFound"):
        desk.sagemaker.list_pipeline_executions(PipelineName=aws.name("nobody"))
    with aws.refused("ResourceNotFound"):
        desk.sagemaker.list_pipeline_executions(PipelineName=name, PipelineVersionAlias="nobody")
    for call in (desk.sagemaker.describe_pipeline_definition_for_execution, desk.sagemaker.update_pipeline_execution):
        with aws.refused("ResourceNotFound"):
            call(PipelineExecutionArn=missing(aws))


@contract("sagemaker", "ListPipelineExecutionSteps", errors=("ResourceNotFound", "ValidationException"))
@contract("sagemaker", "ListPipelineParametersForExecution", errors=("ResourceNotFound",))
def test_list_pipeline_execution_steps(aws: Aws, desk: Desk) -> None:
    execution = desk.start(desk.create([{**SAY, "DisplayName": "Speaks", "Description": "and ends"}]))
    finished(desk.sagemaker, execution)
    (step,) = desk.sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=execution)["PipelineExecutionSteps"]
    assert (step["StepName"], step["StepStatus"], step["FailureReason"]) == ("Say", "Failed", "enough")
    assert (step["StepDisplayName"], step["StepDescription"], step["AttemptCount"]) == ("Speaks", "and ends", 1)
    assert step["Metadata"] == {"Fail": {"ErrorMessage": "enough"}}
    assert step["EndTime"] >= step["StartTime"]
    listed = desk.sagemaker.list_pipeline_parameters_for_execution(PipelineExecutionArn=execution)["PipelineParameters"]
    assert {row["Name"]: row["Value"] for row in listed} == {"Word": "enough", "Count": "1"}
    for call in (desk.sagemaker.list_pipeline_execution_steps, desk.sagemaker.list_pipeline_parameters_for_execution):
        with aws.refused("ResourceNotFound"):
            call(PipelineExecutionArn=missing(aws))
    with aws.refused("ValidationException"):
        desk.sagemaker.list_pipeline_execution_steps()


@contract("sagemaker", "SendPipelineExecutionStepSuccess", errors=("ConflictException", "ResourceNotFound"))
@contract("sagemaker", "DeletePipeline", errors=("ConflictException",))
def test_send_pipeline_execution_step_success(aws: Aws, desk: Desk) -> None:
    execution, token = desk.waiting()
    with aws.refused("ConflictException"):
        desk.sagemaker.delete_pipeline(PipelineName=desk.pipelines[0], ClientRequestToken="d" * 32)
    outputs = [{"Name": "count", "Value": "3"}]
    answer = {"CallbackToken": token, "OutputParameters": outputs, "ClientRequestToken": "s" * 32}
    for _ in range(2):
        assert desk.sagemaker.send_pipeline_execution_step_success(**answer)["PipelineExecutionArn"] == execution
    assert finished(desk.sagemaker, execution)["PipelineExecutionStatus"] == "Succeeded"
    callback = {"CallbackToken": token, "SqsQueueUrl": desk.queue, "OutputParameters": outputs}
    assert desk.steps(execution)["Ask"]["Metadata"] == {"Callback": callback}
    with aws.refused("ConflictException"):
        desk.sagemaker.send_pipeline_execution_step_success(CallbackToken=token, ClientRequestToken="u" * 32)
    with aws.refused("ResourceNotFound"):
        desk.sagemaker.send_pipeline_execution_step_success(CallbackToken="0123456789")
    desk.sagemaker.delete_pipeline(PipelineName=desk.pipelines.pop(), ClientRequestToken="d" * 32)


@contract("sagemaker", "SendPipelineExecutionStepFailure", errors=("ConflictException", "ResourceNotFound"))
def test_send_pipeline_execution_step_failure(aws: Aws, desk: Desk) -> None:
    execution, token = desk.waiting()
    desk.sagemaker.send_pipeline_execution_step_failure(CallbackToken=token, FailureReason="nobody agreed")
    assert finished(desk.sagemaker, execution)["PipelineExecutionStatus"] == "Failed"
    assert desk.steps(execution)["Ask"]["FailureReason"] == "nobody agreed"
    with aws.refused("ConflictException"):
        desk.sagemaker.send_pipeline_execution_step_failure(CallbackToken=token)
    with aws.refused("ResourceNotFound"):
        desk.sagemaker.send_pipeline_execution_step_failure(CallbackToken="0123456789")


@contract("sagemaker", "StopPipelineExecution", errors=("ResourceNotFound", "ValidationException"))
def test_stop_pipeline_execution(aws: Aws, desk: Desk) -> None:
    execution, token = desk.waiting()
    for _ in range(2):
        desk.sagemaker.stop_pipeline_execution(PipelineExecutionArn=execution, ClientRequestToken="p" * 32)
    message = received(desk.sqs, desk.queue)
    assert (message["token"], message["status"]) == (token, "Stopping")
    assert desk.sagemaker.describe_pipeline_execution(PipelineExecutionArn=execution)["PipelineExecutionStatus"] == "Stopping"
    desk.sagemaker.send_pipeline_execution_step_success(CallbackToken=token)
    assert finished(desk.sagemaker, execution)["PipelineExecutionStatus"] == "Stopped"
    with aws.refused("ValidationException", match="Only pipelines with 'Executing' status can be stopped"):
        desk.sagemaker.stop_pipeline_execution(PipelineExecutionArn=execution, ClientRequestToken="q" * 32)
    with aws.refused("ResourceNotFound"):
        desk.sagemaker.stop_pipeline_execution(PipelineExecutionArn=missing(aws), ClientRequestToken="q" * 32)


@contract("sagemaker", "StartPipelineExecution", errors=("ResourceLimitExceeded",))
@contract(
    "sagemaker",
    "RetryPipelineExecution",
    errors=("ConflictException", "ResourceNotFound", "ValidationException", "ResourceLimitExceeded"),
)
def test_retry_pipeline_execution(aws: Aws, desk: Desk) -> None:
    execution, token = desk.waiting()

    def retry(arn: str, request: str) -> None:
        desk.sagemaker.retry_pipeline_execution(PipelineExecutionArn=arn, ClientRequestToken=request * 32)

    with aws.refused("ConflictException"):
        retry(execution, "r")
    desk.sagemaker.send_pipeline_execution_step_failure(CallbackToken=token)
    finished(desk.sagemaker, execution)
    with aws.quota("sagemaker", "Maximum number of concurrent pipeline executions allowed per account", 0):
        with aws.refused("ResourceLimitExceeded", match="is 0 executions"):
            desk.start(desk.pipelines[0], "n" * 32)
        with aws.refused("ResourceLimitExceeded", match="a request delta of 1 executions"):
            retry(execution, "r")
    for _ in range(2):
        retry(execution, "r")
    desk.sagemaker.send_pipeline_execution_step_success(CallbackToken=received(desk.sqs, desk.queue)["token"])
    assert finished(desk.sagemaker, execution)["PipelineExecutionStatus"] == "Succeeded"
    assert desk.steps(execution)["Ask"]["AttemptCount"] == 2
    with aws.refused("ValidationException"):
        retry(execution, "s")
    with aws.refused("ResourceNotFound"):
        retry(missing(aws), "r")
