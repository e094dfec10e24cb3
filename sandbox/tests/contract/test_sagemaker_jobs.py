"""SageMaker's training, processing and transform jobs, call by call."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.testkit.contract import Aws, contract
from sandbox.testkit.jobs import ROLE, JobDesk, s3_input, s3_outputs

LOOPS = "trap 'exit 0' TERM; while true; do sleep 0.05; done"
REFUSED = ("ValidationException", "ResourceInUse", "ResourceNotFound", "ResourceLimitExceeded")
"""How a job is not created."""
NOWHERE = {"ExperimentName": "nobody"}


@pytest.fixture
def desk(aws: Aws) -> JobDesk:
    """A bucket, and a sample image to push; on AWS itself nothing can be pushed from here."""
    if aws.sandbox is None:
        pytest.skip("needs a sample image in the account's registry")
    desk = JobDesk(aws.sandbox, aws.account)
    desk.sagemaker = aws.client("sagemaker")
    return desk


def use_up(desk: JobDesk, kind: str) -> None:
    """Leave no instance for another job."""
    desk.turn("quota", name=f"ml.m5.large for {kind} usage", limit=1)


@contract("sagemaker", "CreateTrainingJob", errors=REFUSED)
@contract("sagemaker", "DescribeTrainingJob", errors=("ValidationException",))
@contract("sagemaker", "ListTrainingJobs", errors=("ValidationException",))
def test_training_jobs(aws: Aws, desk: JobDesk) -> None:
    sagemaker, name, image = desk.sagemaker, aws.name("training"), desk.image(LOOPS)
    desk.train(image, name, Tags=[{"Key": "made-by", "Value": "contract"}])
    shown = sagemaker.describe_training_job(TrainingJobName=name)
    assert shown["TrainingJobArn"] == f"arn:aws:sagemaker:{aws.region}:{aws.account}:training-job/{name}"
    assert (shown["TrainingJobStatus"], shown["EnableNetworkIsolation"], shown["RoleArn"]) == ("InProgress", False, ROLE)
    (row,) = sagemaker.list_training_jobs(NameContains=name, SortBy="CreationTime")["TrainingJobSummaries"]
    assert (row["TrainingJobName"], row["TrainingJobStatus"]) == (name, "InProgress")
    with aws.refused("ResourceInUse", match="a training job with this name already exists"):
        desk.train(image, name)
    with aws.refused("ResourceNotFound", match="nobody"):
        desk.train(image, aws.name("other"), ExperimentConfig=NOWHERE)
    with aws.refused("ValidationException", match="'trainingJobName' failed to satisfy constraint"):
        desk.train(image, "no_underscores")
    with aws.refused("ValidationException", match="Requested resource not found"):
        sagemaker.describe_training_job(TrainingJobName=aws.name("nobody"))
    with aws.refused("ValidationException", match="statusEquals"):
        sagemaker.list_training_jobs(StatusEquals="Done")
    use_up(desk, "training job")
    with aws.refused(
        "ResourceLimitExceeded", match="The account-level service limit 'ml.m5.large for training job usage' is 1 Inst"
    ):
        desk.train(image, aws.name("other"))


@contract("sagemaker", "UpdateTrainingJob", errors=("ResourceNotFound", "ResourceLimitExceeded", "ValidationException"))
@contract("sagemaker", "StopTrainingJob", errors=("ValidationException",))
@contract("sagemaker", "DeleteTrainingJob", errors=("ResourceInUse", "ResourceNotFound"))
def test_the_end_of_training_jobs(aws: Aws, desk: JobDesk) -> None:
    sagemaker, name = desk.sagemaker, aws.name("training")
    desk.train(desk.image(LOOPS), name)
    sagemaker.update_training_job(TrainingJobName=name, ResourceConfig={"KeepAlivePeriodInSeconds": 60})
    shown = sagemaker.describe_training_job(TrainingJobName=name)
    assert (shown["ResourceConfig"]["KeepAlivePeriodInSeconds"], shown["ResourceConfig"]["InstanceCount"]) == (60, 1)
    desk.turn("quota", name="ml.m5.large for training warm pool usage", limit=0)
    with aws.refused("ResourceLimitExceeded", match="'ml.m5.large for training warm pool usage' is 0 Instances"):
        sagemaker.update_training_job(TrainingJobName=name, ResourceConfig={"KeepAlivePeriodInSeconds": 90})
    with aws.refused("ResourceNotFound"):
        sagemaker.update_training_job(TrainingJobName=aws.name("nobody"), ProfilerConfig={"DisableProfiler": True})
    with aws.refused("ResourceInUse"):
        sagemaker.delete_training_job(TrainingJobName=name)
    sagemaker.stop_training_job(TrainingJobName=name)
    assert desk.trained(name)["TrainingJobStatus"] == "Stopped"
    with aws.refused("ValidationException", match="The request was rejected because the training job is in status Stopped"):
        sagemaker.stop_training_job(TrainingJobName=name)
    with aws.refused("ValidationException", match="in status Stopped"):
        sagemaker.update_training_job(TrainingJobName=name, ProfilerConfig={"DisableProfiler": True})
    sagemaker.delete_training_job(TrainingJobName=name)
    with aws.refused("ResourceNotFound"):
        sagemaker.delete_training_job(TrainingJobName=name)


@contract("sagemaker", "CreateProcessingJob", errors=REFUSED)
@contract("sagemaker", "DescribeProcessingJob", errors=("ValidationException",))
@contract("sagemaker", "ListProcessingJobs", errors=("ValidationException",))
@contract("sagemaker", "StopProcessingJob", errors=("ValidationException",))
@contract("sagemaker", "DeleteProcessingJob", errors=("ResourceInUse", "ResourceNotFound"))
def test_processing_jobs(aws: Aws, desk: JobDesk) -> None:
    sagemaker, name, image = desk.sagemaker, aws.name("processing"), desk.image(LOOPS)
    source, targets = s3_input("data", desk.put("data/a")), s3_outputs("result", desk.uri("out"))
    desk.process(image, name, ProcessingInputs=[source], ProcessingOutputConfig=targets)
    shown = sagemaker.describe_processing_job(ProcessingJobName=name)
    assert shown["ProcessingJobArn"] == f"arn:aws:sagemaker:{aws.region}:{aws.account}:processing-job/{name}"
    assert (shown["ProcessingJobStatus"], shown["StoppingCondition"]) == ("InProgress", {"MaxRuntimeInSeconds": 86400})
    (row,) = sagemaker.list_processing_jobs(NameContains=name, StatusEquals="InProgress")["ProcessingJobSummaries"]
    assert row["ProcessingJobName"] == name
    with aws.refused("ResourceInUse", match="Job name must be unique within an AWS account and region"):
        desk.process(image, name)
    with aws.refused("ResourceNotFound", match="nobody"):
        desk.process(image, aws.name("other"), ExperimentConfig=NOWHERE)
    with aws.refused("ValidationException", match="must each be unique"):
        desk.process(image, aws.name("other"), ProcessingInputs=[source, source])
    with aws.refused("ValidationException", match="Could not find requested job with name: nobody"):
        sagemaker.describe_processing_job(ProcessingJobName="nobody")
    with aws.refused("ValidationException", match="nextToken|NextToken"):
        sagemaker.list_processing_jobs(NextToken="none that was handed out")
    use_up(desk, "processing job")
    with aws.refused("ResourceLimitExceeded", match="'ml.m5.large for processing job usage' is 1 Instances"):
        desk.process(image, aws.name("other"))
    with aws.refused("ResourceInUse"):
        sagemaker.delete_processing_job(ProcessingJobName=name)
    sagemaker.stop_processing_job(ProcessingJobName=name)
    assert desk.processed(name)["ProcessingJobStatus"] == "Stopped"
    with aws.refused("ValidationException", match="in status Stopped"):
        sagemaker.stop_processing_job(ProcessingJobName=name)
    sagemaker.delete_processing_job(ProcessingJobName=name)
    with aws.refused("ResourceNotFound"):
        sagemaker.delete_processing_job(ProcessingJobName=name)


@contract("sagemaker", "CreateTransformJob", errors=REFUSED)
@contract("sagemaker", "DescribeTransformJob", errors=("ValidationException",))
@contract("sagemaker", "ListTransformJobs", errors=("ValidationException",))
@contract("sagemaker", "StopTransformJob", errors=("ValidationException",))
def test_transform_jobs(aws: Aws, desk: JobDesk) -> None:
    sagemaker, name = desk.sagemaker, aws.name("transform")
    desk.model(desk.serving_image())
    desk.put("in/a.csv", "hang")
    desk.transform(name, BatchStrategy="SingleRecord")
    shown: dict[str, Any] = sagemaker.describe_transform_job(TransformJobName=name)
    assert shown["TransformJobArn"] == f"arn:aws:sagemaker:{aws.region}:{aws.account}:transform-job/{name}"
    assert (shown["TransformJobStatus"], shown["ModelName"], shown["BatchStrategy"]) == ("InProgress", "model", "SingleRecord")
    assert shown["TransformInput"]["CompressionType"] == "None"
    (row,) = sagemaker.list_transform_jobs(NameContains=name, SortBy="Status")["TransformJobSummaries"]
    assert row["TransformJobName"] == name
    with aws.refused("ResourceInUse", match="Job name must be unique within an AWS account and region"):
        desk.transform(name)
    with aws.refused("ResourceNotFound", match="nobody"):
        desk.transform(aws.name("other"), ExperimentConfig=NOWHERE)
    with aws.refused("ValidationException", match="Could not find model"):
        desk.transform(aws.name("other"), model="nobody")
    with aws.refused("ValidationException", match="Could not find requested job with name: nobody"):
        sagemaker.describe_transform_job(TransformJobName="nobody")
    with aws.refused("ValidationException", match="maxResults"):
        sagemaker.list_transform_jobs(MaxResults=101)
    use_up(desk, "transform job")
    with aws.refused("ResourceLimitExceeded", match="'ml.m5.large for transform job usage' is 1 Instances"):
        desk.transform(aws.name("other"))
    sagemaker.stop_transform_job(TransformJobName=name)
    assert desk.transformed(name)["TransformJobStatus"] == "Stopped"
    with aws.refused("ValidationException", match="in status Stopped"):
        sagemaker.stop_transform_job(TransformJobName=name)
