"""A test of somebody's own pipeline, and of their own code that rolls its models out. Nothing in it is simulated but AWS."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from slipway_sandbox.testing import SandboxProcess, push_image, python_image, wait_until

HERE = Path(__file__).parent
PIPELINE = (HERE / "pipeline.json").read_text()
ROLE = "arn:aws:iam::123456789012:role/my-model"
PROGRAMS = {name: (HERE / f"{name}.py").read_text() for name in ("train", "serve")}


def roll_out(sagemaker: Any, package: str) -> None:
    """What is under test: serve a model package on the endpoint, which is made where it is missing."""
    name = f"my-model-{package.rpartition('/')[2]}"
    variant = {"VariantName": "main", "ModelName": name, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    sagemaker.update_model_package(ModelPackageArn=package, ModelApprovalStatus="Approved")
    sagemaker.create_model(ModelName=name, PrimaryContainer={"ModelPackageName": package}, ExecutionRoleArn=ROLE)
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    there = sagemaker.list_endpoints(NameContains="my-model")["Endpoints"]
    put = sagemaker.update_endpoint if there else sagemaker.create_endpoint
    put(EndpointName="my-model", EndpointConfigName=name)
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName="my-model", WaiterConfig={"Delay": 1})


def train(sagemaker: Any, **parameters: str) -> str:
    """Run the pipeline to its end; returns the model package that it registered."""
    given = [{"Name": name, "Value": value} for name, value in parameters.items()]
    run = sagemaker.start_pipeline_execution(PipelineName="my-model", PipelineParameters=given)["PipelineExecutionArn"]

    def has_succeeded() -> bool:
        return sagemaker.describe_pipeline_execution(PipelineExecutionArn=run)["PipelineExecutionStatus"] == "Succeeded"

    wait_until(has_succeeded, "the pipeline")
    return sagemaker.list_model_packages(ModelPackageGroupName="my-model")["ModelPackageSummaryList"][0]["ModelPackageArn"]


def test_given_a_new_model_when_it_is_rolled_out_then_it_answers(sandbox: SandboxProcess, sandbox_account: str) -> None:
    image = push_image(sandbox, sandbox_account, "my-model", "v1", python_image(PROGRAMS))
    sagemaker = sandbox.client("sagemaker", sandbox_account)
    sandbox.client("s3", sandbox_account).create_bucket(Bucket=f"my-{sandbox_account}")
    sagemaker.create_pipeline(PipelineName="my-model", PipelineDefinition=PIPELINE, RoleArn=ROLE)
    for factor in ("1", "2"):  # the second one updates the endpoint
        package = train(sagemaker, Image=image, Bucket=f"my-{sandbox_account}", Factor=factor)
        roll_out(sagemaker, package)
    runtime = sandbox.client("sagemaker-runtime", sandbox_account)
    assert runtime.invoke_endpoint(EndpointName="my-model", Body=b"21")["Body"].read() == b"42"
