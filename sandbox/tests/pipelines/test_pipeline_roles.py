"""Steps act as the pipeline's role, so that its policies bind them; and what EventBridge hears of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from slipway_sandbox.core.calls import Caller
from slipway_sandbox.core.events import Event
from slipway_sandbox.core.world import World
from slipway_sandbox.sagemaker.pipelines import Pipelines
from slipway_sandbox.sagemaker.quotas import SageMakerQuotas
from slipway_sandbox.sagemaker.tags import TagRoom
from slipway_sandbox.testing import wait_until
from slipway_sandbox.testing.iam import RoleMaker, allow, trusting

from sandbox.testkit.contract import behaviour
from sandbox.testkit.pipelines import PipelineDesk

REGISTER = {"Name": "Register", "Type": "RegisterModel", "Arguments": {"ModelPackageGroupName": "group"}}
ANY = allow("*")
TRUST = trusting(service="sagemaker.amazonaws.com")
SAY = {"Name": "Say", "Type": "Fail", "Arguments": {"ErrorMessage": "no"}}


@behaviour(
    "In a pipeline's definition (2020-12-01)",
    "the pipeline's role",
    like="what steps call, functions and queues too, they call as the pipeline's role: its policies bind them, the call log has "
    "them, and it has to trust SageMaker",
    differs="a role that IAM does not know has no policies: then the account acts, and the calls are not logged; SageMaker's own "
    "looking after jobs is not bound",
)
@pytest.mark.parametrize(
    ("actions", "status"),
    [(["sagemaker:*"], "Succeeded"), (["sagemaker:CreateModelPackageGroup"], "Failed")],
)
def test_given_a_role_with_a_policy_when_a_step_calls_then_only_what_it_allows_is_done(
    desk: PipelineDesk, actions: list[str], status: str
) -> None:
    desk.role = RoleMaker(desk.sandbox, desk.account).create([allow(actions)], trust=trusting(service="sagemaker.amazonaws.com"))
    execution = desk.run([REGISTER])
    assert desk.describe(execution)["PipelineExecutionStatus"] == status, desk.steps(execution)
    made = desk.sandbox.calls("sagemaker", "CreateModelPackage", desk.account)
    assert [call["error"] for call in made] == [None if status == "Succeeded" else "AccessDeniedException"]
    if status == "Failed":
        reason = desk.steps(execution)["Register"]["FailureReason"]
        assert "Failed to invoke sagemaker:CreateModelPackage" in reason
        assert "is not authorized to perform" in reason


def test_given_a_role_that_trusts_sagemaker_no_more_when_a_step_calls_then_it_fails(desk: PipelineDesk) -> None:
    desk.role = RoleMaker(desk.sandbox, desk.account).create([ANY], trust=TRUST)
    desk.create({"Version": "2020-12-01", "Steps": [REGISTER]})
    iam, name = desk.sandbox.client("iam", desk.account), desk.role.rpartition("/")[2]
    iam.update_assume_role_policy(RoleName=name, PolicyDocument=trusting(service="ecs-tasks.amazonaws.com"))
    execution = desk.start()
    desk.finish(execution)
    refused = f"sagemaker.amazonaws.com is not authorized to perform: sts:AssumeRole on resource: {desk.role}"
    assert refused in desk.steps(execution)["Register"]["FailureReason"]


@pytest.mark.parametrize("allowed", [True, False])
def test_given_the_roles_policy_when_a_lambda_step_calls_then_only_what_it_allows_is_done(
    desk: PipelineDesk, allowed: bool
) -> None:
    arn = desk.function()
    action = allow("lambda:InvokeFunction", arn if allowed else f"{arn}-other")
    desk.role = RoleMaker(desk.sandbox, desk.account).create([action], trust=TRUST)
    step: dict[str, Any] = {"Name": "Call", "Type": "Lambda", "FunctionArn": arn, "Arguments": {}}
    execution = desk.run([step])
    (call,) = desk.sandbox.calls("lambda", "Invoke", desk.account)
    assert call["needs"] == [{"action": "lambda:InvokeFunction", "resources": [arn]}]
    assert call["error"] == (None if allowed else "AccessDeniedException")
    reason = desk.steps(execution)["Call"].get("FailureReason", "")
    assert (f"is not authorized to perform: lambda:InvokeFunction on resource: {arn}" in reason) is not allowed


def test_given_no_right_to_a_queue_when_a_callback_step_runs_then_it_fails(desk: PipelineDesk) -> None:
    queue = desk.queue()
    desk.role = RoleMaker(desk.sandbox, desk.account).create([allow("sqs:ReceiveMessage")], trust=TRUST)
    step: dict[str, Any] = {"Name": "Ask", "Type": "Callback", "SqsQueueUrl": queue, "Arguments": {}, "OutputParameters": []}
    execution = desk.run([step])
    refused = f"is not authorized to perform: sqs:sendmessage on resource: arn:aws:sqs:us-east-1:{desk.account}:callbacks"
    assert refused in desk.steps(execution)["Ask"]["FailureReason"]


@behaviour(
    "In a pipeline's definition (2020-12-01)",
    "EventBridge",
    like="`SageMaker Model Building Pipeline Execution Status Change` and `… Step Status Change`, with the members that AWS "
    "documents",
    differs="the first event of an execution or step has no previous status",
)
def test_given_an_execution_when_it_fails_then_eventbridge_hears_of_each_status(tmp_path: Path) -> None:
    world, heard = World(data=tmp_path), list[Event]()
    world.events.subscribe(heard.append)
    caller = Caller("111111111111", "us-east-1", "111111111111")
    pipelines = Pipelines(world, TagRoom(world), SageMakerQuotas(world))
    handlers = {name: (room, handler) for room in pipelines.rooms for name, handler in room.handlers.items()}

    def call(operation: str, **request: Any) -> dict[str, Any]:
        room, handler = handlers[operation]
        with world.lock("sagemaker"):
            return handler(room, caller, {"PipelineName": "Training", "ClientRequestToken": "t" * 32, **request})

    definition = json.dumps({"Version": "2020-12-01", "Steps": [SAY]})
    pipeline = call("CreatePipeline", PipelineDefinition=definition, RoleArn="arn:aws:iam::111111111111:role/r")["PipelineArn"]
    execution = call("StartPipelineExecution", PipelineExecutionDisplayName="try-1")["PipelineExecutionArn"]
    wait_until(lambda: len(heard) == 4, "four events")
    assert {(event.source, *event.resources) for event in heard} == {("aws.sagemaker", pipeline, execution)}
    executions = [event.detail for event in heard if "Step" not in event.detail_type]
    steps = [event.detail for event in heard if event.detail_type.endswith("Execution Step Status Change")]
    assert [(detail["currentPipelineExecutionStatus"], detail["pipelineExecutionDisplayName"]) for detail in executions] == [
        ("Executing", "try-1"),
        ("Failed", "try-1"),
    ]
    assert executions[1]["previousPipelineExecutionStatus"] == "Executing"
    assert executions[1]["executionEndTime"].endswith("Z")
    last = steps[-1]
    assert (last["stepName"], last["stepType"], last["currentStepStatus"]) == ("Say", "Fail", "Failed")
    assert (last["failureReason"], last["metadata"]) == ("no", {"fail": {"errorMessage": "no"}})
