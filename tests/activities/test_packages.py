"""Which package an execution made, and one that Slipway makes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from slipway_sandbox.testing import SandboxProcess, build_image, layer_of, member, push_image, shell_layer, wait_until

from activities.packages import BY_ARTIFACT, BY_LINEAGE, BY_OPERATOR, BY_STEP, FindModelPackage, is_in_group
from activities.pipelines.messages import Execution
from activities.pipelines.steps import steps_named
from activities.registry import CreateModelPackage, RegistryActivities, job_of
from slipway.api import StepReport
from slipway.app.spec import Container, Report
from slipway.aws.clients import Aws
from slipway.errors import NeedsPersonError, RefusedError, TransientError

TRAIN = b"#!/bin/sh\necho trained > /opt/ml/model/model.txt\n"


class Shop:
    """A pipeline with a training step, in whose account scripts register models as they like."""

    def __init__(self, sandbox: SandboxProcess, account: str) -> None:
        self.sandbox, self.account = sandbox, account
        self.sagemaker = sandbox.client("sagemaker", account)
        self.bucket = f"shop-{account}"
        sandbox.client("s3", account).create_bucket(Bucket=self.bucket)
        train = build_image([shell_layer(), layer_of(member("usr/local/bin/train", TRAIN))])
        self.image = push_image(sandbox, account, "model", "v1", train)
        self.sagemaker.create_model_package_group(ModelPackageGroupName="screening")

    def training(self) -> dict[str, Any]:
        return {
            "Name": "Train",
            "Type": "Training",
            "Arguments": {
                "AlgorithmSpecification": {"TrainingImage": self.image, "TrainingInputMode": "File"},
                "OutputDataConfig": {"S3OutputPath": f"s3://{self.bucket}/models"},
                "ResourceConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 10},
                "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
                "RoleArn": f"arn:aws:iam::{self.account}:role/pipeline",
            },
        }

    def registering(self, name: str) -> dict[str, Any]:
        return {
            "Name": name,
            "Type": "RegisterModel",
            "Arguments": {"ModelPackageGroupName": "screening", **self.contract("s3://x/model.tar.gz")},
        }

    def contract(self, model: str) -> dict[str, Any]:
        specification = {
            "Containers": [{"Image": self.image, "ModelDataUrl": model}],
            "SupportedContentTypes": ["text/csv"],
            "SupportedResponseMIMETypes": ["text/csv"],
        }
        return {"InferenceSpecification": specification, "ModelApprovalStatus": "PendingManualApproval"}

    def run(self, *steps: dict[str, Any]) -> Execution:
        """An execution that has ended well."""
        definition = json.dumps({"Version": "2020-12-01", "Metadata": {}, "Parameters": [], "Steps": list(steps)})
        role = f"arn:aws:iam::{self.account}:role/pipeline"
        self.sagemaker.create_pipeline(PipelineName="training", PipelineDefinition=definition, RoleArn=role)
        arn = self.sagemaker.start_pipeline_execution(PipelineName="training")["PipelineExecutionArn"]
        wait_until(lambda: self.status(arn) != "Executing", "the execution's end")
        assert self.status(arn) == "Succeeded"
        return Execution(arn=arn, region="us-east-1", display_name="screening-1")

    def status(self, execution: str) -> str:
        return self.sagemaker.describe_pipeline_execution(PipelineExecutionArn=execution)["PipelineExecutionStatus"]

    def model(self, execution: Execution) -> str:
        """Where its training step put the model."""
        steps = self.sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=execution.arn)["PipelineExecutionSteps"]
        job = next(step for step in steps if step["StepName"] == "Train")["Metadata"]["TrainingJob"]["Arn"].rpartition("/")[2]
        return self.sagemaker.describe_training_job(TrainingJobName=job)["ModelArtifacts"]["S3ModelArtifacts"]

    def script_registers(self, model: str, generated_by: str = "", execution: Execution | None = None) -> str:
        """A package as a script makes it; with an execution while that still goes on."""
        metadata = {"MetadataProperties": {"GeneratedBy": generated_by}} if generated_by else {}
        made = self.sagemaker.create_model_package(ModelPackageGroupName="screening", **self.contract(model), **metadata)
        if execution:
            # The execution's last change is its end, as far as anybody sees.
            self.sagemaker.update_pipeline_execution(PipelineExecutionArn=execution.arn, PipelineExecutionDescription="changed")
        return made["ModelPackageArn"]

    def packages(self) -> int:
        return len(self.sagemaker.list_model_packages(ModelPackageGroupName="screening")["ModelPackageSummaryList"])


@pytest.fixture
def shop(sandbox: SandboxProcess, account: str) -> Shop:
    return Shop(sandbox, account)


@pytest.fixture
def registry(aws: Aws) -> RegistryActivities:
    return RegistryActivities(aws)


def find(execution: Execution, **more: Any) -> FindModelPackage:
    return FindModelPackage(execution=execution, group="screening", promotion_id="screening-1", **more)


async def test_given_two_steps_that_register_into_the_group_when_the_package_is_looked_for_then_both_are_named(
    shop: Shop, registry: RegistryActivities, run: Any
) -> None:
    execution = shop.run(shop.registering("Blue"), shop.registering("Green"))
    with pytest.raises(NeedsPersonError, match="the execution made 2 packages") as caught:
        await run(registry.find_model_package, find(execution))
    for version in (1, 2):
        assert f"model-package/screening/{version}" in caught.value.report.answered
    assert "slipway retry screening-1 --package" in caught.value.report.remedy
    assert "spec.model.step" in caught.value.report.remedy


@pytest.mark.parametrize("name", ["Green", "Green-RegisterModel"])
async def test_given_two_steps_that_register_when_the_spec_names_one_then_its_package_is_found(
    shop: Shop, registry: RegistryActivities, run: Any, name: str
) -> None:
    execution = shop.run(shop.registering("Blue"), shop.registering(name))
    found = await run(registry.find_model_package, find(execution, step="Green"))
    described = shop.sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=execution.arn)["PipelineExecutionSteps"]
    green = next(step for step in described if step["StepName"] == name)
    assert (found.arn, found.witness) == (green["Metadata"]["RegisterModel"]["Arn"], BY_STEP)


async def test_given_a_step_that_the_pipeline_has_not_when_the_spec_names_it_then_its_steps_are_told(
    shop: Shop, registry: RegistryActivities, run: Any
) -> None:
    execution = shop.run(shop.registering("Blue"))
    with pytest.raises(NeedsPersonError, match=r"no step Green; its steps: Blue \(RegisterModel\)"):
        await run(registry.find_model_package, find(execution, step="Green"))


async def test_given_two_packages_of_the_execution_when_an_operator_names_one_then_it_is_taken(
    shop: Shop, registry: RegistryActivities, run: Any
) -> None:
    execution = shop.run(shop.registering("Blue"), shop.registering("Green"))
    named = f"arn:aws:sagemaker:us-east-1:{shop.account}:model-package/screening/2"
    found = await run(registry.find_model_package, find(execution, named=named))
    assert (found.arn, found.version, found.witness) == (named, 2, BY_OPERATOR)


async def test_given_a_package_of_before_the_execution_when_an_operator_names_it_then_it_is_not_taken(
    shop: Shop, registry: RegistryActivities, run: Any
) -> None:
    old = shop.script_registers("s3://x/model.tar.gz")
    execution = shop.run(shop.training())
    with pytest.raises(NeedsPersonError, match="made before the execution began"):
        await run(registry.find_model_package, find(execution, named=old))


async def test_given_the_package_of_another_execution_when_an_operator_names_it_then_it_is_not_taken(
    shop: Shop, registry: RegistryActivities, run: Any
) -> None:
    execution = shop.run(shop.training())
    other = shop.script_registers("s3://x/model.tar.gz", f"{execution.arn}x")
    with pytest.raises(NeedsPersonError, match="was generated by"):
        await run(registry.find_model_package, find(execution, named=other))


async def test_given_a_script_that_says_its_execution_and_a_hundred_newer_packages_when_it_is_looked_for_then_it_is_found(
    shop: Shop, registry: RegistryActivities, run: Any
) -> None:
    execution = shop.run(shop.training())
    ours = shop.script_registers("s3://x/model.tar.gz", execution.arn)
    for _ in range(101):
        shop.script_registers("s3://x/model.tar.gz", f"{execution.arn}x")
    found = await run(registry.find_model_package, find(execution))
    assert (found.arn, found.witness) == (ours, BY_LINEAGE)


async def test_given_a_script_that_says_nothing_when_its_model_is_the_executions_then_the_package_is_found(
    shop: Shop, registry: RegistryActivities, run: Any
) -> None:
    execution = shop.run(shop.training())
    shop.script_registers("s3://x/somebody-elses.tar.gz", execution=execution)
    ours = shop.script_registers(shop.model(execution), execution=execution)
    found = await run(registry.find_model_package, find(execution))
    assert (found.arn, found.witness) == (ours, BY_ARTIFACT)


async def test_given_packages_whose_origin_nothing_proves_when_one_is_looked_for_then_a_person_is_asked_and_nothing_ends(
    shop: Shop, registry: RegistryActivities, run: Any
) -> None:
    execution = shop.run(shop.training())
    strange = shop.script_registers("s3://x/copied.tar.gz", execution=execution)
    with pytest.raises(NeedsPersonError, match=strange) as caught:
        await run(registry.find_model_package, find(execution))
    assert "GeneratedBy" in caught.value.report.remedy


async def test_given_packages_of_other_executions_alone_when_one_is_looked_for_then_there_is_none(
    shop: Shop, registry: RegistryActivities, run: Any
) -> None:
    execution = shop.run(shop.training())
    shop.script_registers("s3://x/model.tar.gz", f"{execution.arn}x", execution=execution)
    with pytest.raises(RefusedError, match="registered no package in this group") as caught:
        await run(registry.find_model_package, find(execution))
    assert "spec.model.fromStep" in caught.value.report.remedy


@pytest.mark.parametrize(
    ("group", "is_there"),
    [
        ("screening", True),
        ("arn:aws:sagemaker:us-east-1:333333333333:model-package-group/screening", True),
        ("arn:aws:sagemaker:us-east-1:444444444444:model-package-group/screening", False),
        ("spam", False),
    ],
)
def test_given_a_group_by_name_or_arn_then_a_package_of_a_group_of_the_same_name_elsewhere_is_not_in_it(
    group: str, is_there: bool
) -> None:
    arn = "arn:aws:sagemaker:us-east-1:333333333333:model-package/screening/7"
    package: Any = {"ModelPackageArn": arn, "ModelPackageGroupName": "screening"}
    assert is_in_group(package, group) is is_there


# --- Made by Slipway ---


def create(shop: Shop, execution: Execution, **changes: Any) -> CreateModelPackage:
    container = Container(
        image=shop.image, content_types=("text/csv",), response_types=("application/json",), environment={"WORKERS": "2"}
    )
    asked = CreateModelPackage(
        execution=execution, group="screening", step="Train", container=container, instance_types=("ml.m5.large",)
    )
    return asked.model_copy(update=changes)


async def test_given_a_training_step_when_a_package_is_made_of_it_twice_then_there_is_one_that_names_the_execution(
    shop: Shop, registry: RegistryActivities, run: Any
) -> None:
    execution = shop.run(shop.training())
    first = await run(registry.create_model_package, create(shop, execution))
    again = await run.again(registry.create_model_package, create(shop, execution))
    assert (first.arn, shop.packages()) == (again.arn, 1)
    assert len(shop.sandbox.calls("sagemaker", "CreateModelPackage", shop.account)) == 1
    described = shop.sagemaker.describe_model_package(ModelPackageName=first.arn)
    [container] = described["InferenceSpecification"]["Containers"]
    assert described["MetadataProperties"]["GeneratedBy"] == execution.arn
    assert described["ModelApprovalStatus"] == "PendingManualApproval"
    assert (container["ModelDataUrl"], container["Environment"]) == (shop.model(execution), {"WORKERS": "2"})


async def test_given_a_package_whose_answer_is_lost_when_it_is_made_again_then_there_is_one(
    shop: Shop, registry: RegistryActivities, run: Any, account: str
) -> None:
    execution = shop.run(shop.training())
    shop.sandbox.plant_fault("sagemaker", "CreateModelPackage", "lost-answer", account=account, count=3)
    with pytest.raises(TransientError):
        await run(registry.create_model_package, create(shop, execution))
    await run.again(registry.create_model_package, create(shop, execution))
    assert shop.packages() == 1


async def test_given_a_step_that_did_not_train_when_a_package_is_to_be_made_then_the_steps_are_told(
    shop: Shop, registry: RegistryActivities, run: Any
) -> None:
    execution = shop.run(shop.training())
    with pytest.raises(NeedsPersonError, match=r"no training step Evaluate; its steps: Train \(Training\)"):
        await run(registry.create_model_package, create(shop, execution, step="Evaluate"))
    assert shop.packages() == 0


async def test_given_a_report_of_a_step_that_is_not_there_when_a_package_is_to_be_made_then_nothing_is_made(
    shop: Shop, registry: RegistryActivities, run: Any
) -> None:
    execution = shop.run(shop.training())
    report = Report(step="Evaluate", output="evaluation", file="evaluation.json")
    with pytest.raises(NeedsPersonError, match="no processing step Evaluate"):
        await run(registry.create_model_package, create(shop, execution, report=report))
    assert shop.packages() == 0


def reported(name: str, display_name: str = "", kind: str = "Training") -> StepReport:
    return StepReport(name=name, display_name=display_name, kind=kind, status="Succeeded")


UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"


@pytest.mark.parametrize(
    ("wanted", "meant"),
    [
        ("Train", "Train"),
        ("fit", f"fit-{UUID}"),
        ("the tide tables", f"fit-{UUID}"),
        ("Register", "Register-RegisterModel"),
        ("a_function_of_a_long_name_indeed", f"a_function_of_a_long_name_-{UUID}"),
        ("Tra", None),
        ("fit-0f8fad5b", None),
    ],
)
def test_given_a_name_of_the_spec_when_a_step_is_looked_for_then_it_may_be_shown_so_or_be_a_function(
    wanted: str, meant: str | None
) -> None:
    steps = (
        reported("Train"),
        reported(f"fit-{UUID}", "the tide tables"),
        reported(f"a_function_of_a_long_name_-{UUID}", "acme.steps.a_function_of_a_long_name_indeed"),
        reported("Register-RegisterModel", kind="RegisterModel"),
    )
    named = [step.name for step in steps_named(steps, wanted)]
    assert named == ([meant] if meant else [])


def test_given_a_function_that_runs_twice_when_a_package_is_to_be_made_then_a_person_is_asked() -> None:
    steps = [reported(f"fit-{UUID}").model_copy(update={"arn": f"arn:aws:sagemaker:::training-job/{n}"}) for n in (1, 2)]
    with pytest.raises(NeedsPersonError, match=r"2 training steps fit"):
        job_of("making a package", steps, "fit", "Training")
