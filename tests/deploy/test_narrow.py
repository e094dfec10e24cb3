"""What the sample policies keep a role from, tried on the local AWS."""

from __future__ import annotations

import json
from typing import Any

import pytest
from slipway_sandbox.testing import SandboxProcess
from slipway_sandbox.testing.iam import Acting, RoleMaker, allow, refusal_of, trusting

from demo.stack import ML_ACCOUNT
from slipway.aws.clients import APP_TAG
from tests.support.roles import SAMPLES

PACKAGE = {"Containers": [{"Image": "public.example/model:1", "ModelDataUrl": "s3://b/model.tar.gz"}]}
DENIED = ("AccessDenied", "AccessDeniedException")
APP = "https://github.com/your-organization/your-deployment@main@screening"
PROMOTION = "screening-0123456789ab"


def sample(name: str, account: str) -> list[dict[str, Any]]:
    """A sample's statements, for this account."""
    return json.loads((SAMPLES / name).read_text().replace(ML_ACCOUNT, account))["Statement"]


def acting(sandbox: SandboxProcess, account: str, policy: str, *more: Any) -> Acting:
    """A session of a role that has one of the samples, and further statements."""
    return RoleMaker(sandbox, account).make([*sample(policy, account), *more])


@pytest.mark.parametrize(("key", "code"), [("runs/x/evaluation/evaluation.json", ""), ("data/cases.csv", "AccessDenied")])
def test_given_the_worker_when_it_reads_the_bucket_then_it_sees_what_the_pipeline_wrote_and_no_training_data(
    sandbox: SandboxProcess, account: str, key: str, code: str
) -> None:
    bucket = f"screening-{account}"
    owner = sandbox.client("s3", account)
    owner.create_bucket(Bucket=bucket)
    owner.put_object(Bucket=bucket, Key=key, Body=b"{}")
    s3 = acting(sandbox, account, "worker.json").client("s3")

    assert refusal_of(s3.get_object, Bucket=bucket, Key=key)[0] == code
    assert refusal_of(s3.list_objects_v2, Bucket=bucket, Prefix=f"{key.partition('/')[0]}/")[0] == code


@pytest.mark.parametrize(
    ("group", "stream", "code"),
    [
        ("/aws/sagemaker/TrainingJobs", "pipelines-a1-Train-b2/algo-1-3", ""),
        ("/aws/sagemaker/TrainingJobs", "by-hand/algo-1-3", "AccessDeniedException"),
        ("/aws/sagemaker/Endpoints/spam", "all/i-1", "AccessDeniedException"),
        ("/ecs/screening-pipeline", "pipeline/pipeline/a1", ""),
        ("/ecs/screening-pipeline", "other/pipeline/a1", "AccessDeniedException"),
    ],
)
def test_given_the_worker_when_it_reads_a_log_then_it_must_be_of_the_task_or_of_a_pipelines_job(
    sandbox: SandboxProcess, account: str, group: str, stream: str, code: str
) -> None:
    owner = sandbox.client("logs", account)
    owner.create_log_group(logGroupName=group)
    owner.create_log_stream(logGroupName=group, logStreamName=stream)
    logs = acting(sandbox, account, "worker.json").client("logs")

    assert refusal_of(logs.get_log_events, logGroupName=group, logStreamName=stream)[0] == code


def test_given_the_worker_when_it_looks_for_a_jobs_log_then_it_finds_its_streams(sandbox: SandboxProcess, account: str) -> None:
    group = "/aws/sagemaker/ProcessingJobs"
    sandbox.client("logs", account).create_log_group(logGroupName=group)
    logs = acting(sandbox, account, "worker.json").client("logs")

    assert logs.describe_log_streams(logGroupName=group, logStreamNamePrefix="pipelines-a1")["logStreams"] == []


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ({"ModelApprovalStatus": "PendingManualApproval"}, ""),
        ({"ModelApprovalStatus": "Approved"}, "AccessDeniedException"),
        ({}, "AccessDeniedException"),
    ],
)
def test_given_the_pipeline_when_it_registers_a_package_then_only_one_that_waits_for_approval(
    sandbox: SandboxProcess, account: str, status: dict[str, str], code: str
) -> None:
    sandbox.client("sagemaker", account).create_model_package_group(ModelPackageGroupName="screening")
    # A broad policy on the same role does not help.
    sagemaker = acting(sandbox, account, "pipeline.json", allow("sagemaker:*")).client("sagemaker")

    register = sagemaker.create_model_package
    assert refusal_of(register, ModelPackageGroupName="screening", InferenceSpecification=PACKAGE, **status)[0] == code


def test_given_the_pipeline_when_it_approves_its_own_package_then_it_is_denied(sandbox: SandboxProcess, account: str) -> None:
    owner = sandbox.client("sagemaker", account)
    owner.create_model_package_group(ModelPackageGroupName="screening")
    made = owner.create_model_package(ModelPackageGroupName="screening", InferenceSpecification=PACKAGE)["ModelPackageArn"]
    sagemaker = acting(sandbox, account, "pipeline.json", allow("sagemaker:*")).client("sagemaker")

    code, message = refusal_of(sagemaker.update_model_package, ModelPackageArn=made, ModelApprovalStatus="Approved")

    assert code == "AccessDeniedException"
    assert message.endswith("with an explicit deny in an identity-based policy")


@pytest.mark.parametrize(("role", "code"), [("screening-task", ""), ("admin", "AccessDeniedException")])
def test_given_the_worker_when_it_hands_a_task_a_role_then_it_must_be_the_apps(
    sandbox: SandboxProcess, account: str, role: str, code: str
) -> None:
    ecs = acting(sandbox, account, "worker.json").client("ecs")
    containers = [{"name": "pipeline", "image": "alpine", "memory": 128}]
    arn = f"arn:aws:iam::{account}:role/{role}"

    register = ecs.register_task_definition
    assert refusal_of(register, family="screening-pipeline", containerDefinitions=containers, taskRoleArn=arn)[0] == code


@pytest.mark.parametrize(
    ("session", "allowed"),
    [
        ({"RoleSessionName": PROMOTION, "SourceIdentity": PROMOTION, "Tags": [{"Key": APP_TAG, "Value": APP}]}, True),
        ({"RoleSessionName": PROMOTION, "SourceIdentity": PROMOTION, "Tags": [{"Key": APP_TAG, "Value": f"{APP}-2"}]}, False),
        ({"RoleSessionName": "spam-1", "SourceIdentity": PROMOTION, "Tags": [{"Key": APP_TAG, "Value": APP}]}, False),
        ({"RoleSessionName": PROMOTION, "SourceIdentity": "spam-1", "Tags": [{"Key": APP_TAG, "Value": APP}]}, False),
        ({"RoleSessionName": PROMOTION}, False),
    ],
    ids=["its own", "another app", "another name", "another identity", "a bare session"],
)
def test_given_a_target_when_its_role_is_assumed_then_only_for_its_app_and_in_the_name_of_a_promotion(
    sandbox: SandboxProcess, account: str, session: dict[str, Any], allowed: bool
) -> None:
    iam = sandbox.client("iam", account)
    assume = allow(["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"])
    iam.create_role(RoleName="slipway-worker", AssumeRolePolicyDocument=trusting(account))
    iam.put_role_policy(
        RoleName="slipway-worker", PolicyName="p", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [assume]})
    )
    target = RoleMaker(sandbox, account).create(trust=(SAMPLES / "rollout-trust.json").read_text().replace(ML_ACCOUNT, account))
    worker = RoleMaker(sandbox, account).assume(f"arn:aws:iam::{account}:role/slipway-worker")

    code, _ = refusal_of(worker.client("sts").assume_role, RoleArn=target, **session)

    assert (code in DENIED) is not allowed
    assert code in ("", *DENIED)


@pytest.mark.parametrize(
    ("tags", "code"), [([{"Key": "slipway-promotion", "Value": PROMOTION}], ""), ([], "AccessDeniedException")]
)
def test_given_the_targets_role_when_it_removes_a_config_or_a_model_then_a_promotion_must_have_made_it(
    sandbox: SandboxProcess, account: str, tags: list[dict[str, str]], code: str
) -> None:
    owner = sandbox.client("sagemaker", account)
    container, role = PACKAGE["Containers"][0], f"arn:aws:iam::{account}:role/screening-endpoint"
    owner.create_model(ModelName="screening-v1", PrimaryContainer=container, ExecutionRoleArn=role, Tags=tags)
    variant = {"VariantName": "v", "ModelName": "screening-v1", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    owner.create_endpoint_config(EndpointConfigName="screening-v1", ProductionVariants=[variant], Tags=tags)
    sagemaker = acting(sandbox, account, "rollout.json").client("sagemaker")

    assert refusal_of(sagemaker.delete_endpoint_config, EndpointConfigName="screening-v1")[0] == code
    assert refusal_of(sagemaker.delete_model, ModelName="screening-v1")[0] == code
