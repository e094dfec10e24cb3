"""The model registry: groups, versions, approval and lineage."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError
from slipway_sandbox.testing import SandboxProcess

EXECUTION = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/p/execution/abcdefghijkl"
OUTSIDE = {"Containers": [{"Image": "public.example/model:1", "ModelDataUrl": "s3://b/model.tar.gz"}]}


@pytest.fixture
def sagemaker(sandbox: SandboxProcess, account: str) -> Any:
    """A client with one group, `Screening`."""
    client = sandbox.client("sagemaker", account)
    client.create_model_package_group(ModelPackageGroupName="Screening")
    return client


def register(sagemaker: Any, **more: Any) -> str:
    """Register one version."""
    return sagemaker.create_model_package(ModelPackageGroupName="Screening", **more)["ModelPackageArn"]


def test_given_a_group_when_packages_are_registered_then_versions_count_up_and_wait_for_approval(sagemaker: Any) -> None:
    arns = [register(sagemaker), register(sagemaker)]
    shown = sagemaker.describe_model_package(ModelPackageName=arns[1])
    assert [arn.rpartition(":")[2] for arn in arns] == ["model-package/screening/1", "model-package/screening/2"]
    assert (shown["ModelPackageVersion"], shown["ModelPackageStatus"]) == (2, "Completed")
    assert shown["ModelApprovalStatus"] == "PendingManualApproval"


def test_given_a_client_token_when_it_is_sent_again_then_the_same_package_comes_back(sagemaker: Any) -> None:
    assert register(sagemaker, ClientToken="once") == register(sagemaker, ClientToken="once")


def test_given_a_package_when_it_is_approved_then_all_that_was_not_named_stays(sagemaker: Any) -> None:
    lineage = {"GeneratedBy": EXECUTION}
    arn = register(
        sagemaker,
        InferenceSpecification=OUTSIDE,
        MetadataProperties=lineage,
        CustomerMetadataProperties={"accuracy": "0.9", "old": "1"},
    )
    sagemaker.update_model_package(
        ModelPackageArn=arn,
        ModelApprovalStatus="Approved",
        ApprovalDescription="by ana",
        CustomerMetadataProperties={"auc": "0.99"},
        CustomerMetadataPropertiesToRemove=["old"],
    )
    shown = sagemaker.describe_model_package(ModelPackageName=arn)
    assert (shown["ModelApprovalStatus"], shown["ApprovalDescription"]) == ("Approved", "by ana")
    assert shown["InferenceSpecification"]["Containers"] == OUTSIDE["Containers"]
    assert shown["MetadataProperties"] == lineage
    assert shown["CustomerMetadataProperties"] == {"accuracy": "0.9", "auc": "0.99"}


def test_given_packages_when_listed_by_approval_then_only_those_come(sagemaker: Any) -> None:
    register(sagemaker)
    approved = register(sagemaker, ModelApprovalStatus="Approved")
    listed = sagemaker.list_model_packages(ModelPackageGroupName="Screening", ModelApprovalStatus="Approved")
    assert [row["ModelPackageArn"] for row in listed["ModelPackageSummaryList"]] == [approved]


def test_given_an_approved_package_when_a_model_names_it_then_hosting_takes_it(sagemaker: Any) -> None:
    arn = register(sagemaker, InferenceSpecification=OUTSIDE, ModelApprovalStatus="Approved")
    model = sagemaker.create_model(
        ModelName="m", PrimaryContainer={"ModelPackageName": arn}, ExecutionRoleArn="arn:aws:iam::123456789012:role/sm"
    )
    assert model["ModelArn"].endswith(":model/m")


def test_given_a_group_with_a_package_when_it_is_deleted_then_it_is_refused(sagemaker: Any) -> None:
    register(sagemaker)
    with pytest.raises(ClientError, match="ValidationException"):
        sagemaker.delete_model_package_group(ModelPackageGroupName="Screening")


def test_given_no_such_package_when_it_is_described_then_aws_says_it_does_not_exist(sagemaker: Any) -> None:
    with pytest.raises(ClientError, match="does not exist"):
        sagemaker.describe_model_package(ModelPackageName=register(sagemaker) + "9")


def test_given_an_image_that_is_not_there_when_it_is_registered_then_it_is_refused(sagemaker: Any, account: str) -> None:
    image = f"{account}.dkr.ecr.us-east-1.amazonaws.com/none:1"
    with pytest.raises(ClientError, match="Unable to find image"):
        register(sagemaker, InferenceSpecification={"Containers": [{"Image": image}]})


def test_given_three_packages_when_listed_by_twos_then_the_newest_come_first_and_every_one_comes_once(sagemaker: Any) -> None:
    arns = [register(sagemaker) for _ in range(3)]
    pages = sagemaker.get_paginator("list_model_packages").paginate(
        ModelPackageGroupName="Screening", PaginationConfig={"PageSize": 2}
    )
    assert [row["ModelPackageArn"] for page in pages for row in page["ModelPackageSummaryList"]] == arns[::-1]


def test_given_a_deleted_version_when_the_next_is_registered_then_its_number_is_not_given_again(sagemaker: Any) -> None:
    sagemaker.delete_model_package(ModelPackageName=register(sagemaker))
    assert register(sagemaker).endswith("/2")


def test_given_a_group_policy_when_it_is_put_then_it_is_got_back(sagemaker: Any) -> None:
    sagemaker.put_model_package_group_policy(ModelPackageGroupName="Screening", ResourcePolicy='{"Statement": []}')
    assert sagemaker.get_model_package_group_policy(ModelPackageGroupName="Screening")["ResourcePolicy"] == '{"Statement": []}'
