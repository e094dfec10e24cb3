"""What people approved is what is served: each effect is compared with the evidence first."""

from __future__ import annotations

import hashlib
import io
from typing import Any

import pytest

from activities.contents import contents_of, differences
from activities.endpoints.messages import Approved, EndpointPlan, RolloutEnd, UpdateEndpoint
from activities.origin import Origin
from activities.rollout_plans import plans_of
from slipway.api import Evidence, ModelPackage, PackageContainer, PromotionRequest
from slipway.app.spec import Rollout
from slipway.aws.clients import Aws
from slipway.errors import ChangedSinceApprovalError, NeedsPersonError
from tests.activities.serving import Serving, evidence_of, gather

APPROVED = PackageContainer(image="model@sha256:1", environment={"LEVEL": "a"})


async def approved(aws: Aws, serving: Serving, package: ModelPackage) -> EndpointPlan:
    """A plan as the workflow sends it once people have approved."""
    evidence = await evidence_of(aws, serving, gather(serving, package))
    return plan_on(serving, package, evidence)


def plan_on(serving: Serving, package: ModelPackage, evidence: Evidence) -> EndpointPlan:
    what = Approved(containers=evidence.containers, champion=evidence.champions[0].package)
    return serving.plan(package).model_copy(update={"approved": what})


def replace_artifact(serving: Serving, name: str) -> None:
    serving.package("other")
    body = serving.s3.get_object(Bucket=serving.bucket, Key="other.tar.gz")["Body"].read()
    serving.s3.put_object(Bucket=serving.bucket, Key=f"{name}.tar.gz", Body=body)


async def test_given_a_package_when_evidence_is_gathered_then_it_covers_all_that_would_be_served(
    aws: Aws, serving: Serving
) -> None:
    package = serving.package("first")
    commit = serving.deployment.push({"smoke.json": "{}", "promotion.yaml": "kind: ModelPromotion"})
    asked = PromotionRequest(app=serving.deployment.app, image=f"ci@sha256:{'a' * 64}", commit="c" * 40, requested_by="ci")
    request = gather(serving, package).model_copy(update={"smoke": "smoke.json", "origin": Origin(request=asked, commit=commit)})
    evidence = await evidence_of(aws, serving, request)
    stored = serving.s3.head_object(Bucket=serving.bucket, Key="first.tar.gz")
    (container,) = evidence.containers
    (artifact,) = container.artifacts
    assert container.image == serving.image
    assert (artifact.uri, artifact.etag) == (f"s3://{serving.bucket}/first.tar.gz", stored["ETag"].strip('"'))
    assert (artifact.size, artifact.modified) == (stored["ContentLength"], stored["LastModified"])
    report = serving.s3.get_object(Bucket=serving.bucket, Key="first.json")["Body"].read()
    assert [found.sha256 for found in evidence.reports] == [hashlib.sha256(report).hexdigest()]
    assert evidence.smoke == serving.deployment.blob("smoke.json")
    assert evidence.spec_change
    assert evidence.spec_change.commit == commit
    assert len(evidence.sha256) == 64
    assert evidence.sha256.startswith(evidence.hash)


def test_given_waves_when_the_rollout_is_told_then_each_target_has_its_wave_and_what_takes_it_back() -> None:
    waves = [{"targets": [{"endpoint": "a"}, {"endpoint": "b"}]}, {"soak": "1h", "targets": [{"endpoint": "c"}]}]
    strategy = {"canary": {"percent": 10, "wait": "5m"}, "bake": "10m", "alarms": ["errors", "latency"]}
    rollout = {"variant": {"instanceType": "ml.m5.large"}, "waves": waves}
    first, second, third = plans_of(Rollout.model_validate(rollout | {"strategy": strategy}))
    how = "10 % of the traffic, the rest after 5m, the old fleet stays for 10m, back on the alarm errors or latency"
    assert first == second == f"wave 1 of 2: {how}"
    assert third == f"wave 2 of 2, 1h after the one before: {how}"
    assert plans_of(Rollout.model_validate(rollout))[0] == "wave 1 of 2: all traffic at once, no alarm takes it back"
    batches = {"strategy": {"rolling": {"instances": 2, "wait": "5m"}, "alarms": ["errors"]}}
    told = "wave 1 of 2: 2 instances at a time, each watched for 5m, back on the alarm errors"
    assert plans_of(Rollout.model_validate(rollout | batches))[0] == told


async def test_given_what_was_approved_when_it_is_rolled_out_then_it_is_served(aws: Aws, serving: Serving) -> None:
    await serving.serve()
    plan = await approved(aws, serving, serving.package("second"))
    await serving.update(plan, serving.served())
    assert (await serving.follow(plan)).end is RolloutEnd.served
    await serving.update(plan, serving.served())  # a retry, once it serves


async def test_given_an_artifact_that_was_replaced_since_the_approval_when_it_is_prepared_then_nothing_is_made(
    aws: Aws, serving: Serving
) -> None:
    plan = await approved(aws, serving, serving.package("first"))
    replace_artifact(serving, "first")
    with pytest.raises(ChangedSinceApprovalError, match=r"first\.tar\.gz was replaced") as caught:
        await serving.run(serving.activities.prepare_endpoint, plan)
    assert "retry gathers the evidence again" in caught.value.report.remedy
    assert serving.calls("CreateModel") == 0


async def test_given_an_artifact_that_is_replaced_after_the_preparation_when_the_update_begins_then_it_is_not_served(
    aws: Aws, serving: Serving
) -> None:
    plan = await approved(aws, serving, serving.package("first"))
    await serving.run(serving.activities.prepare_endpoint, plan)
    replace_artifact(serving, "first")
    with pytest.raises(ChangedSinceApprovalError, match="was replaced"):
        await serving.run(serving.activities.update_endpoint, UpdateEndpoint(plan=plan, previous_config=None))
    assert serving.calls("CreateEndpoint") == 0


async def test_given_the_same_bytes_written_again_when_the_bucket_has_versions_then_the_version_differs(
    aws: Aws, serving: Serving
) -> None:
    serving.s3.put_bucket_versioning(Bucket=serving.bucket, VersioningConfiguration={"Status": "Enabled"})
    plan = await approved(aws, serving, serving.package("first"))
    body = serving.s3.get_object(Bucket=serving.bucket, Key="first.tar.gz")["Body"].read()
    again = serving.s3.put_object(Bucket=serving.bucket, Key="first.tar.gz", Body=body)
    with pytest.raises(ChangedSinceApprovalError, match=again["VersionId"]):
        await serving.run(serving.activities.prepare_endpoint, plan)


async def test_given_an_artifact_that_changed_when_evidence_is_gathered_again_then_people_decide_on_another_hash(
    aws: Aws, serving: Serving
) -> None:
    package = serving.package("first")
    before = await evidence_of(aws, serving, gather(serving, package))
    replace_artifact(serving, "first")
    after = await evidence_of(aws, serving, gather(serving, package))
    assert after.hash != before.hash
    await serving.run(serving.activities.prepare_endpoint, plan_on(serving, package, after))


async def test_given_another_champion_than_people_saw_when_it_is_prepared_then_both_are_named(aws: Aws, serving: Serving) -> None:
    plan = await approved(aws, serving, serving.package("second"))
    first = await serving.serve()
    with pytest.raises(ChangedSinceApprovalError, match="and the champion was none") as caught:
        await serving.run(serving.activities.prepare_endpoint, plan)
    assert first.package.arn in caught.value.report.answered


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ((APPROVED, APPROVED), "has 2 containers, and 1 were approved"),
        ((APPROVED.model_copy(update={"image": "model@sha256:2"}),), "the image is model@sha256:2"),
        ((APPROVED.model_copy(update={"environment": {"LEVEL": "b"}}),), "has another LEVEL"),
        ((APPROVED.model_copy(update={"environment": {"LEVEL": "a", "MORE": "c"}}),), "has another MORE"),
    ],
)
def test_given_a_package_that_was_changed_when_it_is_compared_then_what_differs_is_named(
    found: tuple[PackageContainer, ...], said: str
) -> None:
    (line,) = differences((APPROVED,), found)
    assert said in line


async def test_given_an_environment_when_it_is_read_then_its_values_are_not_kept(aws: Aws, serving: Serving) -> None:
    (container,) = await contents_of(aws, registered(serving, Environment={"TOKEN": "hidden"}))
    assert container.environment == {"TOKEN": hashlib.sha256(b"hidden").hexdigest()}


async def test_given_a_model_of_many_files_when_one_is_replaced_then_it_is_seen(aws: Aws, serving: Serving) -> None:
    prefix = {"S3Uri": f"s3://{serving.bucket}/files/", "S3DataType": "S3Prefix", "CompressionType": "None"}
    package = registered(serving, ModelDataSource={"S3DataSource": prefix})
    with pytest.raises(NeedsPersonError, match="there is none"):
        await contents_of(aws, package)
    for name in ("one", "two"):
        serving.s3.put_object(Bucket=serving.bucket, Key=f"files/{name}", Body=io.BytesIO(name.encode()))
    before = await contents_of(aws, package)
    serving.s3.put_object(Bucket=serving.bucket, Key="files/two", Body=b"owt")
    (line,) = differences(before, await contents_of(aws, package))
    assert f"{prefix['S3Uri']} was replaced" in line
    assert before[0].artifacts[0].size == 6


def registered(serving: Serving, **container: Any) -> Any:
    """A package of one container, as the registry shows it."""
    arn = f"arn:aws:sagemaker:us-east-1:{serving.account}:model-package/screening/1"
    return {"ModelPackageArn": arn, "InferenceSpecification": {"Containers": [{"Image": serving.image, **container}]}}
