"""Which roles AWS's services may assume, and what an account is like in which roles are bound as strictly as on AWS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from slipway_sandbox.testing import SandboxProcess, fresh_account
from slipway_sandbox.testing.iam import RoleMaker, allow, refusal_of, trusting

from sandbox.testkit.contract import behaviour

IMAGE = "111111111111.dkr.ecr.us-east-1.amazonaws.com/model:1"
PLACE = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://bucket/in/"}}
INSTANCES = {"InstanceType": "ml.m5.large", "InstanceCount": 1}
PIPELINE = '{"Version": "2020-12-01", "Steps": [{"Name": "Say", "Type": "Fail", "Arguments": {"ErrorMessage": "no"}}]}'
NO_ONE = trusting(service="ec2.amazonaws.com")


def creations(role: str) -> dict[str, dict[str, Any]]:
    """Requests that hand SageMaker a role, by the client's method."""
    return {
        "create_model": {"ModelName": "m", "PrimaryContainer": {"Image": IMAGE}, "ExecutionRoleArn": role},
        "create_pipeline": {
            "PipelineName": "p",
            "PipelineDefinition": PIPELINE,
            "RoleArn": role,
            "ClientRequestToken": "t" * 32,
        },
        "create_training_job": {
            "TrainingJobName": "t",
            "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
            "RoleArn": role,
            "OutputDataConfig": {"S3OutputPath": "s3://bucket/out"},
            "ResourceConfig": {**INSTANCES, "VolumeSizeInGB": 1},
            "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        },
        "create_processing_job": {
            "ProcessingJobName": "p",
            "AppSpecification": {"ImageUri": IMAGE},
            "RoleArn": role,
            "ProcessingResources": {"ClusterConfig": {**INSTANCES, "VolumeSizeInGB": 1}},
        },
    }


def sagemakers_refusal(role: str) -> tuple[str, str]:
    """What SageMaker says to a role that it cannot assume."""
    ensure = "Please ensure that the role exists and allows principal 'sagemaker.amazonaws.com' to assume the role."
    return "ValidationException", f"Could not assume role {role}. {ensure}"


@behaviour(
    "Permissions",
    "roles of services",
    like="CreateModel, CreatePipeline and jobs refuse a role that does not trust SageMaker, RunTask one that does not trust "
    "ECS's tasks; conditions on `aws:SourceAccount` and `aws:SourceArn` count",
    differs="`aws:SourceArn` names the account's region and no resource; wording for CreateModel and CreatePipeline is not "
    "verified on AWS",
)
@pytest.mark.parametrize("method", list(creations("")))
def test_given_a_role_that_does_not_trust_sagemaker_when_it_is_handed_over_then_it_is_refused(
    sandbox: SandboxProcess, account: str, role: RoleMaker, method: str
) -> None:
    arn = role.create(trust=NO_ONE)

    assert refusal_of(getattr(sandbox.client("sagemaker", account), method), **creations(arn)[method]) == sagemakers_refusal(arn)


def test_given_a_model_whose_role_trusts_sagemaker_no_more_when_a_transform_job_needs_it_then_it_is_refused(
    sandbox: SandboxProcess, account: str, role: RoleMaker
) -> None:
    arn, sagemaker = role.create(trust=trusting(service="sagemaker.amazonaws.com")), sandbox.client("sagemaker", account)
    sagemaker.create_model(**creations(arn)["create_model"])
    sandbox.client("iam", account).update_assume_role_policy(RoleName=arn.rpartition("/")[2], PolicyDocument=NO_ONE)

    refused = refusal_of(
        sagemaker.create_transform_job,
        TransformJobName="t",
        ModelName="m",
        TransformInput={"DataSource": PLACE},
        TransformOutput={"S3OutputPath": "s3://bucket/out"},
        TransformResources=INSTANCES,
    )

    assert refused == sagemakers_refusal(arn)


@pytest.mark.parametrize("ours", [True, False])
def test_given_a_trust_policy_that_names_the_source_account_when_that_is_another_then_the_role_is_refused(
    sandbox: SandboxProcess, account: str, role: RoleMaker, ours: bool
) -> None:
    source = {"StringEquals": {"aws:SourceAccount": account if ours else fresh_account()}}
    arn = role.create(trust=trusting(service="sagemaker.amazonaws.com", **source))

    refused = refusal_of(sandbox.client("sagemaker", account).create_model, **creations(arn)["create_model"])

    assert refused == (("", "") if ours else sagemakers_refusal(arn))


def run_task(sandbox: SandboxProcess, account: str, role: str) -> tuple[str, str]:
    """What RunTask says to a task role."""
    ecs = sandbox.client("ecs", account)
    ecs.create_cluster(clusterName="ml")
    ecs.register_task_definition(
        family="job",
        requiresCompatibilities=["FARGATE"],
        networkMode="awsvpc",
        cpu="256",
        memory="512",
        taskRoleArn=role,
        containerDefinitions=[{"name": "main", "image": "nothing"}],
    )
    network = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}
    return refusal_of(ecs.run_task, cluster="ml", taskDefinition="job", launchType="FARGATE", networkConfiguration=network)


def test_given_a_task_role_that_trusts_another_service_when_its_task_is_run_then_it_is_refused(
    sandbox: SandboxProcess, account: str, role: RoleMaker
) -> None:
    arn = role.create(trust=trusting(service="sagemaker.amazonaws.com"))

    code, message = run_task(sandbox, account, arn)

    assert code == "ClientException"
    assert message.startswith(f"ECS was unable to assume the role '{arn}' that was provided for this task.")


@pytest.fixture
def strict(sandbox: SandboxProcess, account: str) -> str:
    """An account in which roles are bound as on AWS."""
    sandbox.control("POST", "iam/strict", {"account": account})
    return account


@pytest.mark.parametrize("method", list(creations("")))
def test_given_a_strict_account_when_sagemaker_is_handed_a_role_that_iam_does_not_know_then_it_is_refused(
    sandbox: SandboxProcess, strict: str, method: str
) -> None:
    arn = f"arn:aws:iam::{strict}:role/nobody"

    assert refusal_of(getattr(sandbox.client("sagemaker", strict), method), **creations(arn)[method]) == sagemakers_refusal(arn)


def test_given_a_strict_account_when_a_task_has_a_role_that_iam_does_not_know_then_it_is_refused(
    sandbox: SandboxProcess, strict: str
) -> None:
    assert run_task(sandbox, strict, f"arn:aws:iam::{strict}:role/nobody")[0] == "ClientException"


def test_given_a_strict_account_when_a_role_that_iam_does_not_know_is_assumed_then_it_is_refused(
    sandbox: SandboxProcess, strict: str
) -> None:
    arn = f"arn:aws:iam::{strict}:role/nobody"

    refused = refusal_of(sandbox.client("sts", strict).assume_role, RoleArn=arn, RoleSessionName="test")

    assert refused == (
        "AccessDenied",
        f"User: arn:aws:iam::{strict}:root is not authorized to perform: sts:AssumeRole on resource: {arn}",
    )


@behaviour(
    "Permissions",
    "strict accounts (`POST /_sandbox/iam/strict`)",
    like="a role or user without a policy may do nothing, and a role that IAM does not know cannot be assumed, by anybody or "
    "any service",
)
def test_given_a_strict_account_when_a_role_without_a_policy_calls_then_it_may_nothing(
    sandbox: SandboxProcess, strict: str, role: RoleMaker
) -> None:
    acting = role.make([])

    code, message = refusal_of(acting.client("ecr").describe_repositories)

    assert code == "AccessDeniedException"
    assert message.endswith("because no identity-based policy allows the ecr:DescribeRepositories action")
    assert refusal_of(role.make([allow("ecr:*")]).client("ecr").describe_repositories) == ("", "")


@pytest.mark.parametrize("undo", ["dial", "reset"])
def test_given_a_strict_account_when_it_is_made_lenient_again_then_roles_may_anything(
    sandbox: SandboxProcess, strict: str, role: RoleMaker, undo: str
) -> None:
    undoing: dict[str, Callable[[], Any]] = {
        "dial": lambda: sandbox.control("POST", "iam/strict", {"account": strict, "strict": False}),
        "reset": lambda: sandbox.reset(strict),
    }
    undoing[undo]()

    assert refusal_of(role.make([]).client("ecr").describe_repositories) == ("", "")


def test_given_no_account_when_strictness_is_asked_for_then_it_is_refused(sandbox: SandboxProcess) -> None:
    with pytest.raises(httpx.HTTPStatusError):
        sandbox.control("POST", "iam/strict", {"account": "everybody"})
