"""SageMaker's model registry and tags, call by call."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from slipway_sandbox.testing import wait_until

from sandbox.testkit.contract import Aws, contract


@pytest.fixture
def group(aws: Aws) -> Iterator[str]:
    """The name of a model package group that is there, and empty at the end."""
    sagemaker, name = aws.client("sagemaker"), aws.name("Group")
    sagemaker.create_model_package_group(ModelPackageGroupName=name)
    yield name
    for row in sagemaker.list_model_packages(ModelPackageGroupName=name)["ModelPackageSummaryList"]:
        sagemaker.delete_model_package(ModelPackageName=row["ModelPackageArn"])
    sagemaker.delete_model_package_group(ModelPackageGroupName=name)


def specification() -> dict[str, object]:
    """What a package is deployed with; its image is outside of ECR."""
    container = {"Image": "public.ecr.aws/docker/library/busybox:1", "ModelDataUrl": "s3://nobody/model.tar.gz"}
    types = {"SupportedContentTypes": ["text/csv"], "SupportedResponseMIMETypes": ["text/csv"]}
    return {"Containers": [container], **types}


@contract("sagemaker", "CreateModelPackageGroup", errors=("ValidationException",))
@contract("sagemaker", "DescribeModelPackageGroup", errors=("ValidationException", "AccessDeniedException"))
@contract("sagemaker", "ListModelPackageGroups", errors=("ValidationException",))
@contract("sagemaker", "DeleteModelPackageGroup", errors=("ConflictException", "ValidationException"))
def test_model_package_groups(aws: Aws) -> None:
    sagemaker, name = aws.client("sagemaker"), aws.name("Group")
    arn = sagemaker.create_model_package_group(ModelPackageGroupName=name, ModelPackageGroupDescription="d")[
        "ModelPackageGroupArn"
    ]
    assert arn == f"arn:aws:sagemaker:{aws.region}:{aws.account}:model-package-group/{name.lower()}"
    shown = sagemaker.describe_model_package_group(ModelPackageGroupName=arn)
    assert (shown["ModelPackageGroupName"], shown["ModelPackageGroupStatus"]) == (name, "Completed")
    (row,) = sagemaker.list_model_package_groups(NameContains=name)["ModelPackageGroupSummaryList"]
    assert (row["ModelPackageGroupArn"], row["ModelPackageGroupDescription"]) == (arn, "d")
    with aws.refused("ValidationException", match=f"Model Package Group already exists: {arn}"):
        sagemaker.create_model_package_group(ModelPackageGroupName=name)
    with aws.refused("ValidationException", match="sortBy"):
        sagemaker.list_model_package_groups(SortBy="Size")
    package = sagemaker.create_model_package(ModelPackageGroupName=name)["ModelPackageArn"]
    with aws.refused("ConflictException"):
        sagemaker.delete_model_package_group(ModelPackageGroupName=name)
    sagemaker.delete_model_package(ModelPackageName=package)
    sagemaker.delete_model_package_group(ModelPackageGroupName=name)
    with aws.refused("ValidationException", match=f"ModelPackageGroup {arn} does not exist"):
        sagemaker.describe_model_package_group(ModelPackageGroupName=name)
    with aws.refused("ValidationException", match="does not exist"):
        sagemaker.delete_model_package_group(ModelPackageGroupName=name)
    if aws.sandbox is not None:
        owner = aws.sandbox.client("sagemaker", "123456789012")
        other = owner.create_model_package_group(ModelPackageGroupName=name)["ModelPackageGroupArn"]
        with aws.refused("AccessDeniedException", match="sagemaker:DescribeModelPackageGroup"):
            sagemaker.describe_model_package_group(ModelPackageGroupName=other)
        owner.delete_model_package_group(ModelPackageGroupName=name)
    else:
        pytest.skip("another account's group is there in the sandbox alone")


@contract("sagemaker", "PutModelPackageGroupPolicy", errors=("ValidationException",))
@contract("sagemaker", "GetModelPackageGroupPolicy", errors=("ValidationException",))
@contract("sagemaker", "DeleteModelPackageGroupPolicy", errors=("ValidationException",))
def test_policies_of_model_package_groups(aws: Aws, group: str) -> None:
    sagemaker, nobody = aws.client("sagemaker"), aws.name("nobody")
    statement = {
        "Sid": "Own",
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{aws.account}:root"},
        "Action": ["sagemaker:DescribeModelPackage"],
        "Resource": f"arn:aws:sagemaker:{aws.region}:{aws.account}:model-package/{group.lower()}/*",
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    arn = sagemaker.put_model_package_group_policy(ModelPackageGroupName=group, ResourcePolicy=policy)["ModelPackageGroupArn"]
    assert arn.endswith(f"/{group.lower()}")
    got = sagemaker.get_model_package_group_policy(ModelPackageGroupName=group)["ResourcePolicy"]
    assert json.loads(got) == json.loads(policy)
    sagemaker.delete_model_package_group_policy(ModelPackageGroupName=group)
    with aws.refused("ValidationException", match=f"Cannot find resource policy for: {arn}"):
        sagemaker.get_model_package_group_policy(ModelPackageGroupName=group)
    with aws.refused("ValidationException", match="Cannot find resource policy for"):
        sagemaker.delete_model_package_group_policy(ModelPackageGroupName=group)
    with aws.refused("ValidationException", match="Cannot find Model Package Group"):
        sagemaker.put_model_package_group_policy(ModelPackageGroupName=nobody, ResourcePolicy=policy)


@contract("sagemaker", "CreateModelPackage", errors=("ValidationException",))
@contract("sagemaker", "DescribeModelPackage", errors=("ValidationException",))
@contract("sagemaker", "ListModelPackages", errors=("ValidationException",))
@contract("sagemaker", "DeleteModelPackage", errors=("ValidationException",))
def test_model_packages(aws: Aws, group: str) -> None:
    sagemaker = aws.client("sagemaker")
    arn = sagemaker.create_model_package(ModelPackageGroupName=group, InferenceSpecification=specification())["ModelPackageArn"]
    assert arn == f"arn:aws:sagemaker:{aws.region}:{aws.account}:model-package/{group.lower()}/1"
    shown = sagemaker.describe_model_package(ModelPackageName=arn)
    assert (shown["ModelPackageGroupName"], shown["ModelPackageVersion"]) == (group, 1)
    assert (shown["ModelApprovalStatus"], shown["CertifyForMarketplace"]) == ("PendingManualApproval", False)
    listed = sagemaker.list_model_packages(ModelPackageGroupName=group, ModelApprovalStatus="PendingManualApproval")
    assert [row["ModelPackageArn"] for row in listed["ModelPackageSummaryList"]] == [arn]
    with aws.refused("ValidationException", match="Both ModelPackageName and ModelPackageGroupName are provided in the input"):
        sagemaker.create_model_package(ModelPackageGroupName=group, ModelPackageName=aws.name("both"))
    with aws.refused("ValidationException", match="does not exist"):
        sagemaker.create_model_package(ModelPackageGroupName=aws.name("nobody"))
    with aws.refused("ValidationException", match="Tags are not supported in Model Package versions"):
        sagemaker.create_model_package(ModelPackageGroupName=group, Tags=[{"Key": "a", "Value": "b"}])
    with aws.refused("ValidationException", match="modelApprovalStatus"):
        sagemaker.list_model_packages(ModelApprovalStatus="Maybe")
    sagemaker.delete_model_package(ModelPackageName=arn)
    with aws.refused("ValidationException", match=f"ModelPackage {arn} does not exist"):
        sagemaker.describe_model_package(ModelPackageName=arn)
    with aws.refused("ValidationException", match="does not exist"):
        sagemaker.delete_model_package(ModelPackageName=arn)


@contract("sagemaker", "UpdateModelPackage", errors=("ValidationException",))
@contract("sagemaker", "BatchDescribeModelPackage", errors=("ValidationException",))
def test_update_model_packages(aws: Aws, group: str) -> None:
    sagemaker = aws.client("sagemaker")
    arn = sagemaker.create_model_package(ModelPackageGroupName=group, InferenceSpecification=specification())["ModelPackageArn"]
    changes = {"ModelApprovalStatus": "Approved", "ApprovalDescription": "by ana", "CustomerMetadataProperties": {"a": "1"}}
    assert sagemaker.update_model_package(ModelPackageArn=arn, **changes)["ModelPackageArn"] == arn
    found = sagemaker.batch_describe_model_package(ModelPackageArnList=[arn, f"{arn}9"])
    assert found["ModelPackageSummaries"][arn]["ModelApprovalStatus"] == "Approved"
    assert f"{arn}9" in found["BatchDescribeModelPackageErrorMap"]
    with aws.refused("ValidationException", match="does not exist"):
        sagemaker.update_model_package(ModelPackageArn=f"{arn}9", ModelApprovalStatus="Approved")
    with aws.refused("ValidationException", match="modelPackageArnList"):
        sagemaker.batch_describe_model_package(ModelPackageArnList=["no ARN"] * 101)


@contract("sagemaker", "CreateModelPackageGroup", errors=("ResourceLimitExceeded",))
@contract("sagemaker", "CreateModelPackage", errors=("ConflictException", "ResourceLimitExceeded", "AccessDeniedException"))
@contract("sagemaker", "DescribeModelPackage", errors=("AccessDeniedException",))
@contract("sagemaker", "UpdateModelPackage", errors=("ConflictException", "AccessDeniedException"))
@contract("sagemaker", "DeleteModelPackage", errors=("ConflictException", "AccessDeniedException"))
def test_what_the_registry_refuses_by_its_state(aws: Aws, group: str) -> None:
    if aws.sandbox is None:
        pytest.skip("quotas, slow packages and other accounts are there in the sandbox alone")
    sagemaker, name = aws.client("sagemaker"), aws.name("alone")
    sagemaker.create_model_package(ModelPackageName=name, InferenceSpecification=specification())
    with aws.refused("ConflictException", match="already exists"):
        sagemaker.create_model_package(ModelPackageName=name, InferenceSpecification=specification())
    aws.sandbox.control("POST", "sagemaker/model-package-outcome", {"account": aws.account, "seconds": 36000})
    slow = sagemaker.create_model_package(ModelPackageGroupName=group)["ModelPackageArn"]
    assert sagemaker.describe_model_package(ModelPackageName=slow)["ModelPackageStatus"] in ("Pending", "InProgress")
    with aws.refused("ConflictException"):
        sagemaker.update_model_package(ModelPackageArn=slow, ModelApprovalStatus="Approved")
    with aws.refused("ConflictException"):
        sagemaker.delete_model_package(ModelPackageName=slow)
    with (
        aws.quota("sagemaker", "Number of model packages", 1),
        aws.refused("ResourceLimitExceeded", match="'Number of model packages' is 1"),
    ):
        sagemaker.create_model_package(ModelPackageGroupName=group)
    with (
        aws.quota("sagemaker", "Number of model package groups", 1),
        aws.refused("ResourceLimitExceeded", match="'Number of model package groups' is 1"),
    ):
        sagemaker.create_model_package_group(ModelPackageGroupName=aws.name("Group"))
    owner = aws.sandbox.client("sagemaker", "123456789012")
    other = owner.create_model_package_group(ModelPackageGroupName=aws.name("Other"))["ModelPackageGroupArn"]
    package = owner.create_model_package(ModelPackageGroupName=other)["ModelPackageArn"]
    with aws.refused("AccessDeniedException"):
        sagemaker.create_model_package(ModelPackageGroupName=other)
    with aws.refused("AccessDeniedException"):
        sagemaker.describe_model_package(ModelPackageName=package)
    with aws.refused("AccessDeniedException"):
        sagemaker.update_model_package(ModelPackageArn=package, ModelApprovalStatus="Approved")
    with aws.refused("AccessDeniedException"):
        sagemaker.delete_model_package(ModelPackageName=package)
    sagemaker.delete_model_package(ModelPackageName=name)
    aws.sandbox.advance(40_000)
    wait_until(
        lambda: sagemaker.describe_model_package(ModelPackageName=slow)["ModelPackageStatus"] == "Completed",
        "the package to be validated",
    )
    sagemaker.update_model_package(ModelPackageArn=slow, ModelApprovalStatus="Approved")
    spare = sagemaker.create_model_package_group(ModelPackageGroupName=aws.name("Spare"))["ModelPackageGroupArn"]
    sagemaker.delete_model_package_group(ModelPackageGroupName=spare)


@contract("sagemaker", "AddTags", errors=("ValidationException",))
@contract("sagemaker", "ListTags", errors=("ValidationException",))
@contract("sagemaker", "DeleteTags", errors=("ValidationException",))
def test_tags(aws: Aws, group: str) -> None:
    sagemaker = aws.client("sagemaker")
    arn = sagemaker.describe_model_package_group(ModelPackageGroupName=group)["ModelPackageGroupArn"]
    assert sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "a", "Value": "1"}])["Tags"] == [{"Key": "a", "Value": "1"}]
    sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "a", "Value": "2"}, {"Key": "b", "Value": "3"}])
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "a", "Value": "2"}, {"Key": "b", "Value": "3"}]
    sagemaker.delete_tags(ResourceArn=arn, TagKeys=["a", "never there"])
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "b", "Value": "3"}]
    with aws.refused("ValidationException"):
        sagemaker.add_tags(ResourceArn=f"{arn}-nobody", Tags=[{"Key": "a", "Value": "1"}])
    with aws.refused("ValidationException"):
        sagemaker.list_tags(ResourceArn=f"{arn}-nobody")
    with aws.refused("ValidationException"):
        sagemaker.delete_tags(ResourceArn=f"{arn}-nobody", TagKeys=["a"])
    version = sagemaker.create_model_package(ModelPackageGroupName=group)["ModelPackageArn"]
    with aws.refused("ValidationException", match="Please add them to the Model Package Group"):
        sagemaker.add_tags(ResourceArn=version, Tags=[{"Key": "a", "Value": "1"}])
