"""Code that others wrote to wait on AWS's resources waits here just so: boto3's waiters, and the SageMaker SDK's resources."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import WaiterError
from slipway_sandbox.testing import SandboxProcess, push_image, python_image

PROGRAMS = Path(__file__).parents[2] / "examples"
SOON = {"Delay": 1, "MaxAttempts": 90}
WHOLE_MINUTE = 60 * 4


@pytest.fixture
def image(sandbox: SandboxProcess, account: str) -> str:
    """An image that trains and serves, pushed to the account's registry."""
    programs = {name: (PROGRAMS / f"{name}.py").read_text() for name in ("train", "serve")}
    return push_image(sandbox, account, "model", "v1", python_image(programs))


@pytest.fixture
def bucket(sandbox: SandboxProcess, account: str) -> str:
    """A bucket."""
    sandbox.client("s3", account).create_bucket(Bucket=f"waiters-{account}")
    return f"waiters-{account}"


def train(sandbox: SandboxProcess, account: str, image: str, bucket: str, factor: str = "2") -> Any:
    """Start a training job named `job`; returns the client."""
    sagemaker = sandbox.client("sagemaker", account)
    sagemaker.create_training_job(
        TrainingJobName="job",
        RoleArn=f"arn:aws:iam::{account}:role/job",
        AlgorithmSpecification={"TrainingImage": image, "TrainingInputMode": "File"},
        HyperParameters={"factor": factor},
        OutputDataConfig={"S3OutputPath": f"s3://{bucket}/models"},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10},
        StoppingCondition={"MaxRuntimeInSeconds": 3600},
    )
    return sagemaker


@pytest.mark.timeout(WHOLE_MINUTE)
def test_given_a_training_job_when_boto3_waits_then_it_sees_its_end(
    sandbox: SandboxProcess, account: str, image: str, bucket: str
) -> None:
    sagemaker = train(sandbox, account, image, bucket)
    sagemaker.get_waiter("training_job_completed_or_stopped").wait(TrainingJobName="job", WaiterConfig=SOON)
    assert sagemaker.describe_training_job(TrainingJobName="job")["TrainingJobStatus"] == "Completed"


@pytest.mark.timeout(WHOLE_MINUTE)
def test_given_a_training_job_that_fails_when_boto3_waits_then_the_waiter_says_so(
    sandbox: SandboxProcess, account: str, image: str, bucket: str
) -> None:
    sagemaker = train(sandbox, account, image, bucket, factor="no number")
    with pytest.raises(WaiterError, match="terminal failure state"):
        sagemaker.get_waiter("training_job_completed_or_stopped").wait(TrainingJobName="job", WaiterConfig=SOON)


@pytest.mark.timeout(WHOLE_MINUTE)
def test_given_an_endpoint_when_boto3_waits_then_it_sees_it_in_service_and_gone(
    sandbox: SandboxProcess, account: str, image: str, bucket: str
) -> None:
    sagemaker = train(sandbox, account, image, bucket)
    sagemaker.get_waiter("training_job_completed_or_stopped").wait(TrainingJobName="job", WaiterConfig=SOON)
    artifact = sagemaker.describe_training_job(TrainingJobName="job")["ModelArtifacts"]["S3ModelArtifacts"]
    role = f"arn:aws:iam::{account}:role/serving"
    sagemaker.create_model(ModelName="m", PrimaryContainer={"Image": image, "ModelDataUrl": artifact}, ExecutionRoleArn=role)
    variant = {"VariantName": "main", "ModelName": "m", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    sagemaker.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName="e", EndpointConfigName="c")
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName="e", WaiterConfig=SOON)
    sagemaker.delete_endpoint(EndpointName="e")
    sagemaker.get_waiter("endpoint_deleted").wait(EndpointName="e", WaiterConfig=SOON)


def test_given_a_scan_when_boto3_waits_then_it_sees_it_complete(sandbox: SandboxProcess, account: str, image: str) -> None:
    ecr, wanted = sandbox.client("ecr", account), {"repositoryName": "model", "imageId": {"imageTag": "v1"}}
    ecr.start_image_scan(**wanted)
    ecr.get_waiter("image_scan_complete").wait(**wanted, WaiterConfig=SOON)
    assert ecr.describe_image_scan_findings(**wanted)["imageScanStatus"]["status"] == "COMPLETE"


@pytest.mark.timeout(WHOLE_MINUTE)
def test_given_a_task_when_boto3_waits_then_it_sees_it_stop(sandbox: SandboxProcess, account: str, image: str) -> None:
    ecs = sandbox.client("ecs", account)
    ecs.create_cluster(clusterName="c")
    definition = ecs.register_task_definition(
        family="f",
        cpu="256",
        memory="512",
        networkMode="awsvpc",
        requiresCompatibilities=["FARGATE"],
        executionRoleArn=f"arn:aws:iam::{account}:role/execution",
        containerDefinitions=[{"name": "c", "image": image, "essential": True, "entryPoint": ["serve"]}],
    )["taskDefinition"]["taskDefinitionArn"]
    network = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}
    task = ecs.run_task(cluster="c", taskDefinition=definition, launchType="FARGATE", networkConfiguration=network)["tasks"][0]
    ecs.get_waiter("tasks_stopped").wait(cluster="c", tasks=[task["taskArn"]], WaiterConfig=SOON)
    assert ecs.describe_tasks(cluster="c", tasks=[task["taskArn"]])["tasks"][0]["lastStatus"] == "STOPPED"


@pytest.mark.skipif(importlib.util.find_spec("sagemaker") is None, reason="the SageMaker SDK is not installed")
@pytest.mark.timeout(WHOLE_MINUTE)
def test_given_the_sagemaker_sdk_when_its_resources_wait_then_each_sees_its_end(
    sandbox: SandboxProcess, account: str, image: str, bucket: str, tmp_path: Path
) -> None:
    script = Path(__file__).with_name("sdk_waits.py")
    done = subprocess.run(
        [sys.executable, str(script), image, bucket, str(tmp_path / "result")],
        env=sandbox.process_environment(account),
        capture_output=True,
        text=True,
        check=False,
        timeout=WHOLE_MINUTE,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    result = json.loads((tmp_path / "result").read_text())
    gone = result.pop("endpoint")
    assert gone.startswith("Could not find endpoint")
    assert result == {"job": "Completed", "answer": "21", "execution": "Failed"}
