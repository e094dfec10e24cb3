"""The model registry: groups, versions, approval and lineage."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from slipway_sandbox.core.calls import Caller
from slipway_sandbox.core.events import Event
from slipway_sandbox.core.world import World
from slipway_sandbox.ecr.service import EcrRoom
from slipway_sandbox.sagemaker.groups import GroupRoom
from slipway_sandbox.sagemaker.quotas import SageMakerQuotas
from slipway_sandbox.sagemaker.registry import ModelRegistryRoom
from slipway_sandbox.sagemaker.tags import TagRoom
from slipway_sandbox.testing import SandboxProcess, fresh_account, wait_until

from sandbox.testkit.contract import behaviour

EXECUTION = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/p/execution/abcdefghijkl"
ROLE = "arn:aws:iam::123456789012:role/sm"
OUTSIDE: dict[str, Any] = {"Containers": [{"Image": "public.example/model:1", "ModelDataUrl": "s3://b/model.tar.gz"}]}


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
    with pytest.raises(sagemaker.exceptions.ConflictException, match="it still has 1 model packages"):
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


def test_given_two_additional_specifications_when_one_of_the_same_name_is_added_then_it_is_refused(sagemaker: Any) -> None:
    arn = register(sagemaker, AdditionalInferenceSpecifications=[{"Name": "small", **OUTSIDE}])
    sagemaker.update_model_package(ModelPackageArn=arn, AdditionalInferenceSpecificationsToAdd=[{"Name": "large", **OUTSIDE}])

    with pytest.raises(ClientError, match="must be unique"):
        sagemaker.update_model_package(ModelPackageArn=arn, AdditionalInferenceSpecificationsToAdd=[{"Name": "small", **OUTSIDE}])

    shown = sagemaker.describe_model_package(ModelPackageName=arn)["AdditionalInferenceSpecifications"]
    assert [each["Name"] for each in shown] == ["small", "large"]


def test_given_more_properties_than_a_package_may_have_when_it_is_updated_then_it_is_refused_and_nothing_changes(
    sagemaker: Any,
) -> None:
    arn = register(sagemaker, CustomerMetadataProperties={f"key{number}": "1" for number in range(50)})

    with pytest.raises(ClientError, match="at most 50 properties"):
        sagemaker.update_model_package(
            ModelPackageArn=arn, ModelApprovalStatus="Approved", CustomerMetadataProperties={"more": "1"}
        )

    assert sagemaker.describe_model_package(ModelPackageName=arn)["ModelApprovalStatus"] == "PendingManualApproval"


def test_given_an_update_s_token_when_it_is_sent_again_then_nothing_is_done_twice(sagemaker: Any) -> None:
    arn = register(sagemaker)
    sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved", ClientToken="once")
    sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Rejected")

    sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved", ClientToken="once")

    assert sagemaker.describe_model_package(ModelPackageName=arn)["ModelApprovalStatus"] == "Rejected"


def test_given_a_model_card_when_its_status_is_updated_then_its_content_stays(sagemaker: Any) -> None:
    arn = register(sagemaker, ModelCard={"ModelCardContent": "{}", "ModelCardStatus": "Draft"})

    sagemaker.update_model_package(ModelPackageArn=arn, ModelCard={"ModelCardStatus": "Approved"})

    assert sagemaker.describe_model_package(ModelPackageName=arn)["ModelCard"] == {
        "ModelCardContent": "{}",
        "ModelCardStatus": "Approved",
    }


def test_given_all_that_a_package_can_be_registered_with_then_it_is_described(sagemaker: Any) -> None:
    source = {"ContentType": "application/json", "S3Uri": "s3://b/statistics.json"}
    given = {
        "InferenceSpecification": OUTSIDE,
        "ModelMetrics": {"ModelQuality": {"Statistics": source, "Constraints": source}, "Bias": {"Report": source}},
        "DriftCheckBaselines": {"ModelQuality": {"Statistics": source, "Constraints": source}},
        "ModelLifeCycle": {"Stage": "Development", "StageStatus": "Approved", "StageDescription": "d"},
        "SkipModelValidation": "All",
        "SourceUri": "s3://b/source",
        "Domain": "MACHINE_LEARNING",
        "Task": "CLASSIFICATION",
        "SamplePayloadUrl": "s3://b/payload.tar.gz",
        "CustomerMetadataProperties": {"accuracy": "0.9"},
    }

    shown = sagemaker.describe_model_package(ModelPackageName=register(sagemaker, **given))

    assert {name: shown[name] for name in given} == given
    assert "ModelPackageName" not in shown


def test_given_a_package_with_a_validation_then_it_is_pending_then_in_progress_then_completed(
    sagemaker: Any, sandbox: SandboxProcess, account: str
) -> None:
    sandbox.control("POST", "sagemaker/model-package-outcome", {"account": account, "seconds": 1})
    arn = register(sagemaker)

    def status() -> str:
        return sagemaker.describe_model_package(ModelPackageName=arn)["ModelPackageStatus"]

    wait_until(lambda: status() == "Completed", "the package to be validated")


def test_given_an_outcome_when_the_package_fails_then_it_says_why_and_no_model_is_made_of_it(
    sagemaker: Any, sandbox: SandboxProcess, account: str
) -> None:
    outcome = {"account": account, "status": "Failed", "reason": "the image is unsafe", "seconds": 0}
    sandbox.control("POST", "sagemaker/model-package-outcome", outcome)
    arn = register(sagemaker, ModelApprovalStatus="Approved", InferenceSpecification=OUTSIDE)

    def shown() -> dict[str, Any]:
        return sagemaker.describe_model_package(ModelPackageName=arn)

    wait_until(lambda: shown()["ModelPackageStatus"] == "Failed", "the package to fail")
    assert shown()["ModelPackageStatusDetails"]["ValidationStatuses"][0]["FailureReason"] == "the image is unsafe"
    with pytest.raises(ClientError, match="its status is Failed"):
        sagemaker.create_model(ModelName="m", PrimaryContainer={"ModelPackageName": arn}, ExecutionRoleArn=ROLE)


def test_given_an_unversioned_package_then_it_has_a_name_and_is_listed_without_a_group(sagemaker: Any) -> None:
    register(sagemaker)
    arn = sagemaker.create_model_package(ModelPackageName="Alone", InferenceSpecification=OUTSIDE)["ModelPackageArn"]

    shown = sagemaker.describe_model_package(ModelPackageName="Alone")

    assert arn.endswith(":model-package/alone")
    assert (shown["ModelPackageName"], "ModelApprovalStatus" in shown, "ModelPackageVersion" in shown) == ("Alone", False, False)
    assert [each["ModelPackageArn"] for each in sagemaker.list_model_packages()["ModelPackageSummaryList"]] == [arn]
    assert len(sagemaker.list_model_packages(ModelPackageType="Both")["ModelPackageSummaryList"]) == 2


def test_given_a_version_when_it_is_tagged_then_aws_s_words_send_one_to_the_group(sagemaker: Any) -> None:
    words = "Tags are not supported in Model Package versions. Please add them to the Model Package Group"
    with pytest.raises(ClientError, match=words):
        sagemaker.add_tags(ResourceArn=register(sagemaker), Tags=[{"Key": "a", "Value": "b"}])
    with pytest.raises(ClientError, match=words):
        register(sagemaker, Tags=[{"Key": "a", "Value": "b"}])


class Strangers:
    """A package, and a client of another account."""

    def __init__(self, sandbox: SandboxProcess, owner: Any) -> None:
        self.account = fresh_account()
        self.client = sandbox.client("sagemaker", self.account)
        self.owner = owner
        self.arn = register(owner, InferenceSpecification=OUTSIDE, ModelApprovalStatus="Approved")
        self.packages = self.arn.rpartition("/")[0] + "/*"

    def let_in(self, *actions: str, **more: str) -> None:
        """Put a policy that names the other account."""
        statement = {
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{self.account}:root"},
            "Action": [f"sagemaker:{action}" for action in actions],
            "Resource": self.packages,
            **more,
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self.owner.put_model_package_group_policy(ModelPackageGroupName="Screening", ResourcePolicy=policy)

    def make_model(self) -> None:
        """Make a model of the package, in the other account."""
        self.client.create_model(ModelName="m", PrimaryContainer={"ModelPackageName": self.arn}, ExecutionRoleArn=ROLE)


@pytest.fixture
def strangers(sandbox: SandboxProcess, sagemaker: Any) -> Strangers:
    """Another account beside that of `sagemaker`."""
    return Strangers(sandbox, sagemaker)


def test_given_no_policy_when_another_account_asks_then_it_is_refused(strangers: Strangers) -> None:
    with pytest.raises(
        ClientError, match=r"not authorized to perform: sagemaker:DescribeModelPackage .* no resource-based policy"
    ):
        strangers.client.describe_model_package(ModelPackageName=strangers.arn)
    with pytest.raises(ClientError, match=r"AccessDenied.*sagemaker:CreateModel"):
        strangers.make_model()


@behaviour(
    "Around the model registry",
    "other accounts",
    like="may do with a group and its packages what the group's policy lets their account do, CreateModel of a package among it; "
    "AccessDeniedException otherwise",
    differs="for CreateModel the policy's conditions, and which role of the account it names, are not looked at",
)
def test_given_a_policy_then_the_other_account_may_do_what_it_says_and_no_more(strangers: Strangers) -> None:
    strangers.let_in("DescribeModelPackage", "ListModelPackages", "CreateModel")
    group = strangers.arn.rpartition("/")[0].replace(":model-package/", ":model-package-group/")

    assert strangers.client.describe_model_package(ModelPackageName=strangers.arn)["ModelApprovalStatus"] == "Approved"
    assert len(strangers.client.list_model_packages(ModelPackageGroupName=group)["ModelPackageSummaryList"]) == 1
    strangers.make_model()
    with pytest.raises(ClientError, match="sagemaker:UpdateModelPackage"):
        strangers.client.update_model_package(ModelPackageArn=strangers.arn, ModelApprovalStatus="Rejected")
    with pytest.raises(ClientError, match="sagemaker:DescribeModelPackageGroup"):
        strangers.client.describe_model_package_group(ModelPackageGroupName=group)


def test_given_a_policy_that_denies_then_the_other_account_is_refused_explicitly(strangers: Strangers) -> None:
    strangers.let_in("DescribeModelPackage", Effect="Deny")

    with pytest.raises(ClientError, match="with an explicit deny in a resource-based policy"):
        strangers.client.describe_model_package(ModelPackageName=strangers.arn)


@pytest.mark.parametrize("policy", ["no json", "[]", '{"Statement": [1]}', '{"Statement": [{"Effect": "Maybe"}]}'])
def test_given_what_is_no_policy_when_it_is_put_then_it_is_refused(sagemaker: Any, policy: str) -> None:
    with pytest.raises(ClientError, match="The resource policy is not valid"):
        sagemaker.put_model_package_group_policy(ModelPackageGroupName="Screening", ResourcePolicy=policy)


@behaviour(
    "Around the model registry",
    "events",
    like="`SageMaker Model Package State Change` at creation, each status, each update (UpdatedModelPackageFields) and deletion",
)
def test_given_a_package_when_it_is_approved_then_eventbridge_hears_which_fields_changed(tmp_path: Path) -> None:
    world, caller = World(data=tmp_path), Caller("111111111111", "us-east-1", "111111111111")
    heard: list[Event] = []
    both = threading.Semaphore(0)
    world.events.subscribe(lambda event: (heard.append(event), both.release()))  # pyright: ignore[reportArgumentType]
    tags, quotas = TagRoom(world), SageMakerQuotas(world)
    groups = GroupRoom(world, tags, quotas)
    room = ModelRegistryRoom(world, EcrRoom(world), groups, tags, quotas)
    groups.create(caller, {"ModelPackageGroupName": "Screening"})
    arn = room.create(caller, {"ModelPackageGroupName": "Screening"})["ModelPackageArn"]

    room.update(caller, {"ModelPackageArn": arn, "ModelApprovalStatus": "Approved"})

    assert both.acquire(timeout=30)
    assert both.acquire(timeout=30)
    created, approved = heard
    assert (created.detail_type, created.resources) == ("SageMaker Model Package State Change", [arn])
    assert created.detail["ModelApprovalStatus"] == "PendingManualApproval"
    assert (approved.detail["ModelApprovalStatus"], approved.detail["UpdatedModelPackageFields"]) == (
        "Approved",
        ["ModelApprovalStatus"],
    )
    assert (approved.detail["ModelPackageGroupName"], approved.detail["ModelPackageVersion"]) == ("Screening", 1)
    assert isinstance(approved.detail["LastModifiedTime"], str)
