from __future__ import annotations

from typing import Any

import pytest
from slipway_sandbox.testing import SandboxProcess, build_image, layer_of, member, push_image

from activities.origin import Origin
from activities.registry import RegistryActivities, SetApproval, WithdrawApproval
from slipway.api import AppRef, LedgerState, ModelPackage, PromotionRequest
from slipway.aws.clients import Aws
from slipway.errors import NeedsPersonError, RefusedError, TransientError
from slipway.served import SERVED


@pytest.fixture
def registry(aws: Aws) -> RegistryActivities:
    return RegistryActivities(aws)


@pytest.fixture
def sagemaker(sandbox: SandboxProcess, account: str) -> Any:
    return sandbox.client("sagemaker", account)


@pytest.fixture
def package(sandbox: SandboxProcess, account: str, sagemaker: Any) -> ModelPackage:
    """A package that waits for its approval."""
    image = push_image(sandbox, account, "model", "v1", build_image([layer_of(member("serve"))]))
    bucket = f"models-{account}"
    s3 = sandbox.client("s3", account)
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="model.tar.gz", Body=b"")
    sagemaker.create_model_package_group(ModelPackageGroupName="screening")
    arn = sagemaker.create_model_package(
        ModelPackageGroupName="screening",
        InferenceSpecification={
            "Containers": [{"Image": image, "ModelDataUrl": f"s3://{bucket}/model.tar.gz"}],
            "SupportedContentTypes": ["text/csv"],
            "SupportedResponseMIMETypes": ["text/csv"],
        },
        ModelApprovalStatus="PendingManualApproval",
    )["ModelPackageArn"]
    return ModelPackage(arn=arn, version=1, region="us-east-1")


def approve(package: ModelPackage) -> SetApproval:
    return SetApproval(package=package, status="Approved", description="ana: looks right")


def updates(sandbox: SandboxProcess, account: str) -> int:
    return len(sandbox.calls("sagemaker", "UpdateModelPackage", account))


async def test_given_a_package_when_it_is_approved_twice_then_there_is_one_update(
    registry: RegistryActivities, run: Any, package: ModelPackage, sandbox: SandboxProcess, account: str
) -> None:
    first = await run(registry.set_approval, approve(package))
    again = await run.again(registry.set_approval, approve(package))
    assert (first.before, first.after) == ("PendingManualApproval", "Approved")
    assert (again.before, again.after) == ("Approved", "Approved")
    assert updates(sandbox, account) == 1


@pytest.mark.parametrize(("said", "kept"), [("", "ana: looks right"), ("as the pipeline has it", "as the pipeline has it")])
async def test_given_a_package_that_the_pipeline_approved_when_it_is_approved_then_it_says_why_unless_somebody_has_said_so(
    registry: RegistryActivities, run: Any, package: ModelPackage, sagemaker: Any, said: str, kept: str
) -> None:
    described = {"ApprovalDescription": said} if said else {}
    sagemaker.update_model_package(ModelPackageArn=package.arn, ModelApprovalStatus="Approved", **described)
    done = await run(registry.set_approval, approve(package))
    assert (done.before, done.after) == ("Approved", "Approved")
    assert sagemaker.describe_model_package(ModelPackageName=package.arn)["ApprovalDescription"] == kept


async def test_given_an_approval_whose_answer_is_lost_when_it_is_retried_then_the_package_is_approved(
    registry: RegistryActivities, run: Any, package: ModelPackage, sandbox: SandboxProcess, account: str
) -> None:
    sandbox.plant_fault("sagemaker", "UpdateModelPackage", "lost-answer", account=account, count=3)
    with pytest.raises(TransientError):
        await run(registry.set_approval, approve(package))
    assert (await run.again(registry.set_approval, approve(package))).after == "Approved"


async def test_given_a_package_that_somebody_deleted_when_it_is_to_be_rejected_then_there_is_nothing_to_undo(
    registry: RegistryActivities, run: Any, package: ModelPackage, sagemaker: Any
) -> None:
    sagemaker.delete_model_package(ModelPackageName=package.arn)
    done = await run(registry.withdraw_approval, WithdrawApproval(package=package, reason="the canary rolled back"))
    assert (done.state, done.note) == (LedgerState.kept, "the package does not exist any more")


async def test_given_an_approval_when_it_is_withdrawn_twice_then_the_package_is_rejected_once_with_the_reason(
    registry: RegistryActivities, run: Any, package: ModelPackage, sandbox: SandboxProcess, account: str, sagemaker: Any
) -> None:
    withdraw = WithdrawApproval(package=package, reason="the canary rolled back")
    for _ in range(2):
        assert (await run(registry.withdraw_approval, withdraw)).state is LedgerState.undone
    shown = sagemaker.describe_model_package(ModelPackageName=package.arn)
    assert (shown["ModelApprovalStatus"], shown["ApprovalDescription"]) == ("Rejected", "the canary rolled back")
    assert updates(sandbox, account) == 1


async def test_given_a_long_reason_in_lines_when_an_approval_is_withdrawn_then_the_registry_keeps_both_its_ends_in_one_line(
    registry: RegistryActivities, run: Any, package: ModelPackage, sagemaker: Any
) -> None:
    reason = "the recall fell:\n" + "- by much\r\n" * 200 + "on the evidence 3f2a"
    await run(registry.withdraw_approval, WithdrawApproval(package=package, reason=reason))
    shown = sagemaker.describe_model_package(ModelPackageName=package.arn)["ApprovalDescription"]
    assert shown.startswith("the recall fell: - by much")
    assert shown.endswith("on the evidence 3f2a")
    assert (len(shown) <= 1_024, shown.splitlines()) == (True, [shown])


async def test_given_a_reason_of_several_lines_when_an_approval_is_withdrawn_then_the_registry_gets_one(
    registry: RegistryActivities, run: Any, package: ModelPackage, sagemaker: Any
) -> None:
    await run(registry.withdraw_approval, WithdrawApproval(package=package, reason="too slow:\r\n p99\n\x1b[2J"))
    assert sagemaker.describe_model_package(ModelPackageName=package.arn)["ApprovalDescription"] == "too slow: p99 �[2J"


async def test_given_a_record_that_a_package_serves_when_its_promotion_is_undone_then_that_record_alone_is_taken_off(
    registry: RegistryActivities, run: Any, package: ModelPackage, sagemaker: Any
) -> None:
    asked = PromotionRequest(app=AppRef(repository="file:///app.git", folder="screening"), image=f"i@sha256:{'a' * 64}")
    records = {f"{SERVED}{asked.promotion_id}": "now", f"{SERVED}another": "before"}
    sagemaker.update_model_package(ModelPackageArn=package.arn, CustomerMetadataProperties=records)
    origin = Origin(request=asked, commit="c" * 40)
    await run(registry.withdraw_approval, WithdrawApproval(package=package, reason="aborted", origin=origin))
    assert sagemaker.describe_model_package(ModelPackageName=package.arn)["CustomerMetadataProperties"] == {
        f"{SERVED}another": "before"
    }


async def test_given_a_status_that_is_none_when_it_is_set_then_it_is_refused(
    registry: RegistryActivities, run: Any, package: ModelPackage
) -> None:
    with pytest.raises(RefusedError, match="PendingManualApproval"):
        await run(registry.set_approval, SetApproval(package=package, status="Fine", description=""))


async def test_given_a_role_without_the_right_when_a_package_is_approved_then_the_action_is_named(
    registry: RegistryActivities, run: Any, package: ModelPackage, sandbox: SandboxProcess, account: str
) -> None:
    message = "User: worker is not authorized to perform: sagemaker:UpdateModelPackage"
    sandbox.plant_fault(
        "sagemaker", "UpdateModelPackage", "error", account=account, code="AccessDeniedException", message=message
    )
    with pytest.raises(NeedsPersonError) as caught:
        await run(registry.set_approval, approve(package))
    assert "allow sagemaker:UpdateModelPackage" in caught.value.report.remedy
