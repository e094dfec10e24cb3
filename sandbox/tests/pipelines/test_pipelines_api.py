"""Pipelines and their executions as the API shows them; no jobs run here."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sandbox.testkit.contract import behaviour
from sandbox.testkit.pipelines import PipelineDesk

FAIL = {"Name": "Stop", "Type": "Fail", "Arguments": {"ErrorMessage": {"Get": "Parameters.Word"}}}
WORD = {"Name": "Word", "Type": "String", "DefaultValue": "enough"}
EMPTY: dict[str, Any] = {"Version": "2020-12-01", "Steps": []}
FAILING = {"Version": "2020-12-01", "Parameters": [WORD], "Steps": [FAIL]}


def register(group: str, **more: Any) -> dict[str, Any]:
    """A step that registers a package."""
    return {"Name": f"Register-{group}", "Type": "RegisterModel", "Arguments": {"ModelPackageGroupName": group}, **more}


def check(left: object, right: object, **branches: list[dict[str, Any]]) -> dict[str, Any]:
    """A condition step, which compares two values."""
    condition = {"Type": "Equals", "LeftValue": left, "RightValue": right}
    return {"Name": "Check", "Type": "Condition", "Arguments": {"Conditions": [condition], **branches}}


def test_given_a_definition_when_a_pipeline_is_created_then_it_is_active_and_shows_it(desk: PipelineDesk) -> None:
    arn = desk.create(FAILING)
    shown = desk.client.describe_pipeline(PipelineName="Training")
    assert (shown["PipelineArn"], shown["PipelineStatus"], json.loads(shown["PipelineDefinition"])) == (arn, "Active", FAILING)
    assert arn == f"arn:aws:sagemaker:us-east-1:{desk.account}:pipeline/training"
    assert desk.client.describe_pipeline(PipelineName=arn)["PipelineName"] == "Training"


def test_given_a_definition_in_s3_when_a_pipeline_is_created_then_it_is_read_from_there(desk: PipelineDesk) -> None:
    s3 = desk.sandbox.client("s3", desk.account)
    s3.create_bucket(Bucket=f"d-{desk.account}")
    s3.put_object(Bucket=f"d-{desk.account}", Key="p.json", Body=json.dumps(FAILING).encode())
    desk.client.create_pipeline(
        PipelineName="Training",
        PipelineDefinitionS3Location={"Bucket": f"d-{desk.account}", "ObjectKey": "p.json"},
        RoleArn=desk.role,
        ClientRequestToken="c" * 32,
    )
    assert json.loads(desk.client.describe_pipeline(PipelineName="Training")["PipelineDefinition"]) == FAILING


def test_given_a_pipeline_when_it_is_created_again_then_only_the_same_token_is_let_pass(desk: PipelineDesk) -> None:
    assert desk.create(FAILING) == desk.create(FAILING)
    with pytest.raises(ClientError, match="Pipeline names must be unique within an AWS account and region"):
        desk.create(FAILING, token="d" * 32)


def test_given_a_pipeline_when_it_is_updated_then_new_executions_run_the_new_version_and_old_ones_keep_theirs(
    desk: PipelineDesk,
) -> None:
    desk.create(FAILING)
    old = desk.start()
    updated = desk.client.update_pipeline(PipelineName="Training", PipelineDefinition=json.dumps(EMPTY))
    new = desk.start()
    assert updated["PipelineVersionId"] == 2
    assert [desk.finish(execution)["PipelineExecutionStatus"] for execution in (old, new)] == ["Failed", "Succeeded"]
    definitions = [desk.client.describe_pipeline_definition_for_execution(PipelineExecutionArn=arn) for arn in (old, new)]
    assert [json.loads(answer["PipelineDefinition"]) for answer in definitions] == [FAILING, EMPTY]
    versions = desk.client.list_pipeline_versions(PipelineName="Training")["PipelineVersionSummaries"]
    assert [version["PipelineVersionId"] for version in versions] == [2, 1]


def test_given_no_such_pipeline_when_it_is_named_then_resource_not_found_comes_back(desk: PipelineDesk) -> None:
    for call in (desk.client.describe_pipeline, desk.client.list_pipeline_executions, desk.client.delete_pipeline):
        with pytest.raises(desk.client.exceptions.ResourceNotFound):
            call(PipelineName="Nobody")
    with pytest.raises(desk.client.exceptions.ResourceNotFound):
        desk.start("Nobody")


def test_given_pipelines_when_listed_by_prefix_then_those_come_the_newest_first(desk: PipelineDesk) -> None:
    for name in ("train-a", "train-b", "other"):
        desk.create(EMPTY, name)
    listed = desk.client.list_pipelines(PipelineNamePrefix="train")["PipelineSummaries"]
    assert [row["PipelineName"] for row in listed] == ["train-b", "train-a"]


def test_given_a_deleted_pipeline_when_it_is_asked_for_then_it_is_gone(desk: PipelineDesk) -> None:
    desk.create(EMPTY)
    desk.client.delete_pipeline(PipelineName="Training", ClientRequestToken="d" * 32)
    with pytest.raises(desk.client.exceptions.ResourceNotFound):
        desk.client.describe_pipeline(PipelineName="Training")


def test_given_a_token_when_an_execution_is_started_twice_with_it_then_there_is_one(desk: PipelineDesk) -> None:
    desk.create(EMPTY)
    first, second = (desk.start(ClientRequestToken="t" * 32, PipelineExecutionDisplayName="promotion-1") for _ in range(2))
    listed = desk.client.list_pipeline_executions(PipelineName="Training")["PipelineExecutionSummaries"]
    assert first == second
    assert [(row["PipelineExecutionArn"], row["PipelineExecutionDisplayName"]) for row in listed] == [(first, "promotion-1")]


def test_given_parameters_when_an_execution_runs_then_they_count_and_are_listed(desk: PipelineDesk) -> None:
    desk.create(FAILING)
    execution = desk.start(parameters={"Word": "stop"})
    desk.finish(execution)
    assert desk.steps(execution)["Stop"]["FailureReason"] == "stop"
    listed = desk.client.list_pipeline_parameters_for_execution(PipelineExecutionArn=execution)
    assert listed["PipelineParameters"] == [{"Name": "Word", "Value": "stop"}]


def test_given_an_unknown_parameter_when_an_execution_is_started_then_it_is_refused_and_none_is_there(desk: PipelineDesk) -> None:
    desk.create(FAILING)
    with pytest.raises(ClientError, match="Unknown parameter"):
        desk.start(parameters={"Nobody": "1"})
    assert desk.client.list_pipeline_executions(PipelineName="Training")["PipelineExecutionSummaries"] == []


def test_given_executions_when_listed_by_twos_then_every_one_comes_once_the_newest_first(desk: PipelineDesk) -> None:
    desk.create(EMPTY)
    arns = [desk.start() for _ in range(5)]
    pages = desk.client.get_paginator("list_pipeline_executions").paginate(
        PipelineName="Training", PaginationConfig={"PageSize": 2}
    )
    assert [row["PipelineExecutionArn"] for page in pages for row in page["PipelineExecutionSummaries"]] == arns[::-1]


def test_given_an_execution_when_listed_by_time_then_only_the_right_window_shows_it(desk: PipelineDesk) -> None:
    desk.create(EMPTY)
    desk.start()
    hour = timedelta(hours=1)
    now = datetime.now(UTC)

    def count(**window: datetime) -> int:
        return len(desk.client.list_pipeline_executions(PipelineName="Training", **window)["PipelineExecutionSummaries"])

    assert (count(CreatedAfter=now - hour), count(CreatedAfter=now + hour), count(CreatedBefore=now - hour)) == (1, 0, 0)


def test_given_an_execution_when_it_is_updated_then_its_name_and_description_change(desk: PipelineDesk) -> None:
    desk.create(EMPTY)
    execution = desk.start(PipelineExecutionDescription="before")
    desk.client.update_pipeline_execution(PipelineExecutionArn=execution, PipelineExecutionDisplayName="after")
    shown = desk.describe(execution)
    assert (shown["PipelineExecutionDisplayName"], shown["PipelineExecutionDescription"]) == ("after", "before")


def test_given_a_condition_when_it_is_met_then_only_its_branch_runs_and_what_follows_it(desk: PipelineDesk) -> None:
    after = register("after", DependsOn=["Register-yes"])
    never = register("never", DependsOn=["Register-no"])
    execution = desk.run([after, never, check(1, 1, IfSteps=[register("yes")], ElseSteps=[register("no")])])
    assert desk.describe(execution)["PipelineExecutionStatus"] == "Succeeded"
    assert list(desk.steps(execution)) == ["Check", "Register-yes", "Register-after"]


def test_given_a_condition_within_a_branch_when_its_branch_is_not_taken_then_it_does_not_run(desk: PipelineDesk) -> None:
    inner = {**check(1, 1, IfSteps=[register("deep")]), "Name": "Inner"}
    execution = desk.run([check(1, 2, IfSteps=[inner])])
    assert list(desk.steps(execution)) == ["Check"]


def test_given_execution_variables_when_a_step_uses_them_then_they_are_this_executions(desk: PipelineDesk) -> None:
    names = ("PipelineName", "PipelineExecutionId", "PipelineExecutionArn", "PipelineArn")
    message = {"Std:Join": {"On": " ", "Values": [{"Get": f"Execution.{name}"} for name in names]}}
    execution = desk.run([{"Name": "Say", "Type": "Fail", "Arguments": {"ErrorMessage": message}}])
    pipeline, _, identity = execution.partition("/execution/")
    assert desk.steps(execution)["Say"]["FailureReason"] == f"Training {identity} {execution} {pipeline}"


def test_given_a_model_step_when_it_runs_then_a_model_is_there_under_a_name_of_the_execution(desk: PipelineDesk) -> None:
    container = {"Image": "public.example/model:1", "ModelDataUrl": "s3://b/model.tar.gz"}
    arguments = {"PrimaryContainer": container, "ExecutionRoleArn": desk.role}
    say = {"Name": "Say", "Type": "Fail", "Arguments": {"ErrorMessage": {"Get": "Steps.Create.ModelName"}}}
    execution = desk.run([{"Name": "Create", "Type": "Model", "Arguments": arguments}, say])
    name = desk.steps(execution)["Say"]["FailureReason"]
    assert name.startswith(f"pipelines-{execution.rpartition('/')[2]}-Create-")
    assert desk.client.describe_model(ModelName=name)["PrimaryContainer"] == {"Mode": "SingleModel", **container}


def test_given_a_step_that_aws_refuses_when_it_runs_then_the_reason_says_which_call_and_why(desk: PipelineDesk) -> None:
    execution = desk.run([register("G", Arguments={"ModelPackageGroupName": "G", "ModelApprovalStatus": "Perhaps"})])
    reason = desk.steps(execution)["Register-G"]["FailureReason"]
    assert reason.startswith("ClientError: Failed to invoke sagemaker:CreateModelPackage. Error Details: ")
    assert desk.describe(execution)["FailureReason"] == "Step failure: One or multiple steps failed."


@behaviour(
    "In a pipeline's definition (2020-12-01)",
    "steps",
    like="Training, Processing, Transform, Condition, RegisterModel, Model, Fail, Callback, Lambda; branches; "
    "independent steps at the same time; a failed step holds back only what needs it",
    differs="after a Fail step no other begins, and running jobs end by themselves, which is not verified on AWS",
)
def test_given_a_failed_step_when_others_do_not_need_it_then_they_run_on(desk: PipelineDesk) -> None:
    bad = register("bad", Arguments={"ModelPackageGroupName": "bad", "ModelApprovalStatus": "Perhaps"})
    execution = desk.run([bad, register("needs", DependsOn=["Register-bad"]), register("good")])
    states = {name: step["StepStatus"] for name, step in desk.steps(execution).items()}
    assert states == {"Register-bad": "Failed", "Register-good": "Succeeded"}


def test_given_steps_when_listed_without_an_order_then_the_newest_come_first_in_pages(desk: PipelineDesk) -> None:
    execution = desk.run([register("a"), register("b", DependsOn=["Register-a"]), register("c", DependsOn=["Register-b"])])
    pages = desk.client.get_paginator("list_pipeline_execution_steps").paginate(
        PipelineExecutionArn=execution, PaginationConfig={"PageSize": 2}
    )
    listed = [step["StepName"] for page in pages for step in page["PipelineExecutionSteps"]]
    assert listed == ["Register-c", "Register-b", "Register-a"]


def test_given_a_failed_execution_when_it_is_retried_twice_with_one_token_then_it_runs_once_more(desk: PipelineDesk) -> None:
    execution = desk.run([FAIL], [WORD])
    for _ in range(2):
        desk.client.retry_pipeline_execution(PipelineExecutionArn=execution, ClientRequestToken="r" * 32)
        assert desk.finish(execution)["PipelineExecutionStatus"] == "Failed"
    assert desk.steps(execution)["Stop"]["AttemptCount"] == 2


def test_given_a_succeeded_execution_when_it_is_retried_or_stopped_then_it_is_refused(desk: PipelineDesk) -> None:
    execution = desk.run([register("a")])
    request = {"PipelineExecutionArn": execution, "ClientRequestToken": "r" * 32}
    with pytest.raises(ClientError, match="ValidationException"):
        desk.client.retry_pipeline_execution(**request)
    with pytest.raises(ClientError, match="Only pipelines with 'Executing' status can be stopped"):
        desk.client.stop_pipeline_execution(**request)


def test_given_another_accounts_execution_when_it_is_described_then_it_is_not_found(desk: PipelineDesk) -> None:
    execution = desk.run([register("a")])
    stranger = desk.sandbox.client("sagemaker", "999999999999")
    with pytest.raises(stranger.exceptions.ResourceNotFound):
        stranger.describe_pipeline_execution(PipelineExecutionArn=execution)


@pytest.mark.parametrize(
    "more",
    [
        {"SelectiveExecutionConfig": {"SelectedSteps": [{"StepName": "Stop"}]}},
        {"MlflowExperimentName": "mine"},
    ],
    ids=lambda more: next(iter(more)),
)
def test_given_what_the_sandbox_has_not_when_an_execution_is_started_then_it_is_not_implemented(
    desk: PipelineDesk, more: dict[str, Any]
) -> None:
    desk.create({"Version": "2020-12-01", "Steps": [{"Name": "Stop", "Type": "Fail", "Arguments": {"ErrorMessage": "no"}}]})
    with pytest.raises(ClientError, match=f"NotImplemented.*{next(iter(more))}"):
        desk.start(**more)
