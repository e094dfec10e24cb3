from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from slipway_sandbox.testing import SandboxProcess, build_image, layer_of, member, push_image

from activities.packages import FindModelPackage
from activities.pipelines.activities import PipelineActivities
from activities.pipelines.messages import Execution, FindExecution, FollowExecution
from activities.pipelines.steps import step_report
from activities.registry import RegistryActivities
from slipway.api import LedgerState
from slipway.aws.clients import Aws
from slipway.aws.polling import Polling
from slipway.errors import NeedsPersonError, RefusedError
from slipway.progress import PipelineProgress


def condition(holds: bool, then: list[dict[str, Any]], otherwise: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    check = {"Type": "GreaterThanOrEqualTo", "LeftValue": 1 if holds else 0, "RightValue": 1}
    return {
        "Name": "GoodEnough",
        "Type": "Condition",
        "Arguments": {"Conditions": [check], "IfSteps": then, "ElseSteps": otherwise or []},
    }


def fail(message: str) -> dict[str, Any]:
    return {"Name": "TooLow", "Type": "Fail", "Arguments": {"ErrorMessage": message}}


def register(image: str) -> dict[str, Any]:
    container = {"Image": image, "ModelDataUrl": "s3://x/model.tar.gz"}
    return {
        "Name": "Register",
        "Type": "RegisterModel",
        "Arguments": {
            "ModelPackageGroupName": "screening",
            "InferenceSpecification": {
                "Containers": [container],
                "SupportedContentTypes": ["text/csv"],
                "SupportedResponseMIMETypes": ["text/csv"],
            },
            "ModelApprovalStatus": "PendingManualApproval",
        },
    }


@pytest.fixture
def model_image(sandbox: SandboxProcess, account: str) -> str:
    """An image in the account's registry; nobody runs it here."""
    return push_image(sandbox, account, "model", "v1", build_image([layer_of(member("serve", b""))]))


class Trainer:
    """The pipeline of an account."""

    def __init__(self, sandbox: SandboxProcess, account: str) -> None:
        self.sandbox, self.account = sandbox, account
        self.sagemaker = sandbox.client("sagemaker", account)
        self.sagemaker.create_model_package_group(ModelPackageGroupName="screening")

    def pipeline(self, *steps: dict[str, Any]) -> None:
        definition = json.dumps({"Version": "2020-12-01", "Metadata": {}, "Parameters": [], "Steps": list(steps)})
        role = f"arn:aws:iam::{self.account}:role/pipeline"
        self.sagemaker.create_pipeline(PipelineName="training", PipelineDefinition=definition, RoleArn=role)

    def start(self, name: str) -> Execution:
        started = self.sagemaker.start_pipeline_execution(PipelineName="training", PipelineExecutionDisplayName=name)
        return Execution(arn=started["PipelineExecutionArn"], region="us-east-1", display_name=name)

    def calls(self, operation: str) -> int:
        return len(self.sandbox.calls("sagemaker", operation, self.account))


@pytest.fixture
def trainer(sandbox: SandboxProcess, account: str) -> Trainer:
    return Trainer(sandbox, account)


@pytest.fixture
def pipelines(aws: Aws) -> PipelineActivities:
    return PipelineActivities(aws, Polling(0.05))


@pytest.fixture
def registry(aws: Aws) -> RegistryActivities:
    return RegistryActivities(aws)


def find(promotion_id: str) -> FindExecution:
    return FindExecution(pipeline="training", promotion_id=promotion_id, region="us-east-1", started_after=datetime.now(UTC))


def follow(execution: Execution, timeout: timedelta = timedelta(minutes=5)) -> FollowExecution:
    return FollowExecution(execution=execution, timeout=timeout)


async def test_given_many_executions_when_one_is_looked_for_then_its_name_counts_and_not_its_age(
    trainer: Trainer, pipelines: PipelineActivities, run: Any
) -> None:
    trainer.pipeline(condition(True, []))
    ours = trainer.start("screening-1")
    trainer.start("screening-10")
    assert (await run(pipelines.find_execution, find("screening-1"))).arn == ours.arn


async def test_given_no_such_execution_when_the_time_is_over_then_the_others_names_are_told(
    trainer: Trainer, pipelines: PipelineActivities, run: Any
) -> None:
    trainer.pipeline(condition(True, []))
    trainer.start("somebody-else")
    with pytest.raises(NeedsPersonError, match="somebody-else") as caught:
        await run(pipelines.find_execution, find("screening-1").model_copy(update={"within": timedelta(0)}))
    assert "SLIPWAY_PROMOTION_ID" in caught.value.report.remedy


async def test_given_an_execution_when_it_succeeds_then_its_steps_are_told_and_were_seen_on_the_way(
    trainer: Trainer, pipelines: PipelineActivities, run: Any
) -> None:
    trainer.pipeline(condition(True, []))
    verdict = await run(pipelines.follow_execution, follow(trainer.start("screening-1")))
    assert [(step.name, step.kind, step.status, step.outcome) for step in verdict.steps] == [
        ("GoodEnough", "Condition", "Succeeded", "True")
    ]
    assert isinstance(run.heartbeats[-1], PipelineProgress)
    assert run.heartbeats[-1].status == "Succeeded"


def test_given_a_step_that_sagemaker_took_from_its_cache_when_it_is_reported_then_the_report_says_of_which_execution() -> None:
    former = "arn:aws:sagemaker:us-east-1:1:pipeline/screening/execution/former"
    step = {"StepName": "Evaluate", "StepStatus": "Succeeded", "CacheHitResult": {"SourcePipelineExecutionArn": former}}

    assert step_report(step).cached_from == former


async def test_given_an_execution_when_a_step_fails_then_step_and_reason_are_told(
    trainer: Trainer, pipelines: PipelineActivities, run: Any
) -> None:
    trainer.pipeline(condition(False, [], [fail("accuracy 0.5 is below 0.9")]))
    with pytest.raises(NeedsPersonError) as caught:
        await run(pipelines.follow_execution, follow(trainer.start("screening-1")))
    assert "TooLow" in caught.value.report.answered
    assert "accuracy 0.5 is below 0.9" in caught.value.report.answered


async def test_given_a_failed_execution_when_it_is_retried_and_the_answer_is_lost_then_it_goes_on_once(
    trainer: Trainer, pipelines: PipelineActivities, run: Any, account: str
) -> None:
    trainer.pipeline(fail("no"))
    execution = trainer.start("screening-1")
    with pytest.raises(NeedsPersonError):
        await run(pipelines.follow_execution, follow(execution))
    trainer.sandbox.plant_fault("sagemaker", "RetryPipelineExecution", "lost-answer", account=account)
    assert (await run(pipelines.retry_execution, execution)).arn == execution.arn
    calls = trainer.sandbox.calls("sagemaker", "RetryPipelineExecution", account)
    assert len({call["request"]["ClientRequestToken"] for call in calls}) == 1


async def test_given_an_execution_at_its_end_when_it_is_stopped_then_there_is_nothing_to_undo(
    trainer: Trainer, pipelines: PipelineActivities, run: Any
) -> None:
    trainer.pipeline(condition(True, []))
    execution = trainer.start("screening-1")
    await run(pipelines.follow_execution, follow(execution))
    assert (await run(pipelines.stop_execution, execution)).state is LedgerState.kept
    assert trainer.calls("StopPipelineExecution") == 0


async def test_given_an_execution_that_registered_when_its_package_is_looked_for_then_it_is_found_by_lineage(
    trainer: Trainer, pipelines: PipelineActivities, registry: RegistryActivities, run: Any, model_image: str
) -> None:
    trainer.pipeline(condition(True, [register(model_image)]))
    ours = trainer.start("screening-1")
    await run(pipelines.follow_execution, follow(ours))
    newer = trainer.start("screening-2")
    await run(pipelines.follow_execution, follow(newer))
    package = await run(registry.find_model_package, FindModelPackage(execution=ours, group="screening"))
    assert package.version == 1
    described = trainer.sagemaker.describe_model_package(ModelPackageName=package.arn)
    assert described["MetadataProperties"]["GeneratedBy"] == ours.arn


async def test_given_an_execution_that_registered_nothing_when_its_package_is_looked_for_then_the_condition_is_told(
    trainer: Trainer, pipelines: PipelineActivities, registry: RegistryActivities, run: Any, model_image: str
) -> None:
    trainer.pipeline(condition(False, [register(model_image)]))
    execution = trainer.start("screening-1")
    await run(pipelines.follow_execution, follow(execution))
    with pytest.raises(RefusedError, match="GoodEnough was False"):
        await run(registry.find_model_package, FindModelPackage(execution=execution, group="screening"))
