"""Executions whose jobs are real containers."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from botocore.exceptions import ClientError
from slipway_sandbox.testing import wait_until

from sandbox.testkit.contract import behaviour
from sandbox.testkit.pipelines import PipelineDesk, reasons


@behaviour(
    "In a pipeline's definition (2020-12-01)",
    "RegisterModel",
    like="MetadataProperties.GeneratedBy is the execution's ARN; a missing group is made",
)
def test_given_a_good_model_when_the_pipeline_runs_then_it_is_trained_evaluated_and_registered_with_its_lineage(
    desk: PipelineDesk, stored: dict[str, Any], job_parameters: dict[str, str]
) -> None:
    desk.create(stored)
    execution = desk.start(parameters=job_parameters)
    assert desk.finish(execution)["PipelineExecutionStatus"] == "Succeeded", reasons(desk, execution)
    steps = desk.steps(execution)
    assert list(steps) == ["Train_model", "Evaluate", "CheckAccuracy", "Register"]
    assert steps["CheckAccuracy"]["Metadata"] == {"Condition": {"Outcome": "True"}}
    package = desk.client.describe_model_package(ModelPackageName=steps["Register"]["Metadata"]["RegisterModel"]["Arn"])
    assert package["MetadataProperties"] == {"GeneratedBy": execution}
    assert package["CustomerMetadataProperties"] == {"accuracy": "0.9"}
    assert package["ModelMetrics"]["ModelQuality"]["Statistics"]["S3Uri"].endswith("/evaluation/evaluation.json")
    assert package["InferenceSpecification"]["Containers"][0]["ModelDataUrl"].endswith("/output/model.tar.gz")


@behaviour(
    "In a pipeline's definition (2020-12-01)",
    "jobs",
    like="real ones by the jobs' own API, named `pipelines-<execution>-<step>-<random>`; a name in the "
    "definition is taken as the prefix",
)
def test_given_a_job_step_when_it_runs_then_its_job_is_named_as_sagemaker_does(
    desk: PipelineDesk, stored: dict[str, Any], job_parameters: dict[str, str]
) -> None:
    desk.create({**stored, "Steps": stored["Steps"][:1]})
    execution = desk.start(parameters=job_parameters)
    desk.finish(execution)
    job = desk.steps(execution)["Train_model"]["Metadata"]["TrainingJob"]["Arn"].rpartition("/")[2]
    assert job.startswith(f"pipelines-{execution.rpartition('/')[2]}-Train-model-")


def test_given_a_poor_model_when_the_pipeline_runs_then_it_fails_with_the_message_and_registers_nothing(
    desk: PipelineDesk, stored: dict[str, Any], job_parameters: dict[str, str]
) -> None:
    desk.create(stored)
    execution = desk.start(parameters={**job_parameters, "Accuracy": "0.5"})
    ended = desk.finish(execution)
    steps = desk.steps(execution)
    assert (ended["PipelineExecutionStatus"], ended["FailureReason"]) == (
        "Failed",
        "Step failure: One or multiple steps failed.",
    )
    assert steps["CheckAccuracy"]["Metadata"]["Condition"]["Outcome"] == "False"
    assert steps["TooLow"]["FailureReason"] == steps["TooLow"]["Metadata"]["Fail"]["ErrorMessage"] == "below 0.75"
    assert "Register" not in steps


def test_given_a_failed_job_when_its_cause_is_fixed_and_it_is_retried_then_only_the_rest_runs_again(
    desk: PipelineDesk, stored: dict[str, Any], job_parameters: dict[str, str]
) -> None:
    bucket = job_parameters["OutputUri"].split("/")[2]
    arguments = copy.deepcopy(stored["Steps"][1]["Arguments"])
    read: dict[str, Any] = {"Name": "Read", "Type": "Processing", "Arguments": arguments}
    read["Arguments"]["ProcessingInputs"][0]["S3Input"]["S3Uri"] = f"s3://{bucket}/wanted/model.tar.gz"
    read["DependsOn"] = ["Train_model"]
    desk.create({**stored, "Steps": [stored["Steps"][0], read]})
    execution = desk.start(parameters=job_parameters)
    assert desk.finish(execution)["PipelineExecutionStatus"] == "Failed"
    before = desk.steps(execution)
    assert before["Read"]["FailureReason"]
    desk.sandbox.client("s3", desk.account).put_object(Bucket=bucket, Key="wanted/model.tar.gz", Body=b"x")
    request = {"PipelineExecutionArn": execution, "ClientRequestToken": "r" * 32}
    assert desk.client.retry_pipeline_execution(**request)["PipelineExecutionArn"] == execution
    assert desk.finish(execution)["PipelineExecutionStatus"] == "Succeeded"
    after = desk.steps(execution)
    assert after["Train_model"] == before["Train_model"]
    assert after["Read"]["AttemptCount"] == 2


def test_given_a_running_job_when_the_execution_is_stopped_then_the_job_is_stopped_and_nothing_follows(
    desk: PipelineDesk, stored: dict[str, Any], job_parameters: dict[str, str]
) -> None:
    desk.create(stored)
    execution = desk.start(parameters={**job_parameters, "Pause": "60"})
    wait_until(lambda: bool(desk.steps(execution)["Train_model"]["Metadata"]), "the training job to begin")
    with pytest.raises(ClientError, match="ConflictException"):
        desk.client.retry_pipeline_execution(PipelineExecutionArn=execution, ClientRequestToken="r" * 32)
    desk.client.stop_pipeline_execution(PipelineExecutionArn=execution, ClientRequestToken="p" * 32)
    assert desk.finish(execution)["PipelineExecutionStatus"] == "Stopped"
    steps = desk.steps(execution)
    job = steps["Train_model"]["Metadata"]["TrainingJob"]["Arn"].rpartition("/")[2]
    assert (list(steps), steps["Train_model"]["StepStatus"]) == (["Train_model"], "Stopped")
    assert desk.client.describe_training_job(TrainingJobName=job)["TrainingJobStatus"] == "Stopped"


def test_given_a_running_job_when_the_account_is_reset_then_the_execution_is_gone(
    desk: PipelineDesk, stored: dict[str, Any], job_parameters: dict[str, str]
) -> None:
    desk.create(stored)
    execution = desk.start(parameters={**job_parameters, "Pause": "60"})
    wait_until(lambda: bool(desk.steps(execution)["Train_model"]["Metadata"]), "the training job to begin")
    desk.sandbox.reset(desk.account)
    with pytest.raises(desk.client.exceptions.ResourceNotFound):
        desk.describe(execution)
    assert desk.client.list_training_jobs(StatusEquals="InProgress")["TrainingJobSummaries"] == []


def test_given_no_capacity_for_the_first_job_when_a_policy_retries_that_then_another_job_does_the_step(
    desk: PipelineDesk, stored: dict[str, Any], job_parameters: dict[str, str]
) -> None:
    train = {**stored["Steps"][0], "RetryPolicies": [{"ExceptionType": ["SageMaker.CAPACITY_ERROR"], "MaxAttempts": 1}]}
    desk.create({**stored, "Steps": [train]})
    desk.sandbox.control("POST", "sagemaker/job-capacity", {"account": desk.account})
    execution = desk.start(parameters=job_parameters)
    assert desk.finish(execution)["PipelineExecutionStatus"] == "Succeeded", reasons(desk, execution)
    assert desk.steps(execution)["Train_model"]["AttemptCount"] == 2
    failed = desk.client.list_training_jobs(StatusEquals="Failed")["TrainingJobSummaries"]
    assert len(failed) == 1


def test_given_no_capacity_when_there_is_no_policy_then_the_step_fails_with_the_jobs_reason(
    desk: PipelineDesk, stored: dict[str, Any], job_parameters: dict[str, str]
) -> None:
    desk.create({**stored, "Steps": stored["Steps"][:1]})
    desk.sandbox.control("POST", "sagemaker/job-capacity", {"account": desk.account})
    execution = desk.start(parameters=job_parameters)
    assert desk.finish(execution)["PipelineExecutionStatus"] == "Failed"
    assert reasons(desk, execution)["Train_model"].startswith("CapacityError: ")
