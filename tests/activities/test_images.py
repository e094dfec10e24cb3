from __future__ import annotations

import dataclasses
import json
from datetime import timedelta
from typing import Any

import httpx
import pytest
from slipway_sandbox.testing import (
    SandboxProcess,
    TestImage,
    build_image,
    build_index,
    fresh_account,
    layer_of,
    member,
    push_image,
)
from slipway_sandbox.testing.iam import Statement, document

from activities.images.activities import ImageActivities
from activities.images.messages import CheckScan, CopyImage, ResolveImage
from slipway.app.spec import Scan
from slipway.aws.clients import Aws
from slipway.aws.polling import Polling
from slipway.errors import NeedsPersonError, RefusedError, TransientError
from slipway.progress import CopyProgress, ScanProgress
from tests.support.signed_images import origins_of


def opened_to(account: str) -> Statement:
    """Lets an account do everything with a repository."""
    return {"Effect": "Allow", "Principal": {"AWS": account}, "Action": "ecr:*"}


@pytest.fixture
def images(aws: Aws) -> ImageActivities:
    return ImageActivities(aws, origins_of(aws), Polling(0.05))


@pytest.fixture
def image() -> TestImage:
    return build_image([layer_of(member("app", fresh_account().encode()))], command=["app"])


@pytest.fixture
def pushed(sandbox: SandboxProcess, account: str, image: TestImage) -> str:
    """The image in the account's repository `ci`, by digest."""
    return push_image(sandbox, account, "ci", "v1", image).rpartition(":")[0] + f"@{image.digest}"


def scanned(sandbox: SandboxProcess, account: str, image: TestImage, *severities: str) -> None:
    findings = [{"name": f"CVE-{number}", "severity": severity} for number, severity in enumerate(severities)]
    body = {"account": account, "repository": "ci", "findings": findings}
    sandbox.control("POST", "ecr/scan-findings", body)
    sandbox.client("ecr", account).start_image_scan(repositoryName="ci", imageId={"imageDigest": image.digest})


async def test_given_an_image_when_it_is_resolved_then_it_comes_back_by_digest(
    images: ImageActivities, run: Any, pushed: str
) -> None:
    resolved = await run(images.resolve_image, ResolveImage(image=pushed))
    assert resolved.image == pushed


async def test_given_no_image_when_it_is_resolved_then_it_is_refused(images: ImageActivities, run: Any, pushed: str) -> None:
    missing = f"{pushed.partition('@')[0]}@sha256:{'0' * 64}"
    with pytest.raises(RefusedError, match="ImageNotFoundException"):
        await run(images.resolve_image, ResolveImage(image=missing))


@pytest.mark.parametrize("name", ["nginx", "111111111111.dkr.ecr.us-east-1.amazonaws.com/ci:v1"])
async def test_given_a_name_without_digest_when_it_is_resolved_then_it_is_refused(
    images: ImageActivities, run: Any, name: str
) -> None:
    with pytest.raises(RefusedError, match="sha256"):
        await run(images.resolve_image, ResolveImage(image=name))


async def test_given_ecr_out_of_order_when_an_image_is_resolved_then_it_is_tried_again(
    images: ImageActivities, run: Any, pushed: str, sandbox: SandboxProcess, account: str
) -> None:
    sandbox.plant_fault("ecr", "DescribeImages", "throttle", account=account, count=3)
    with pytest.raises(TransientError, match="ThrottlingException"):
        await run(images.resolve_image, ResolveImage(image=pushed))


async def test_given_another_accounts_repository_when_an_image_is_copied_twice_then_it_is_sent_once(
    images: ImageActivities, run: Any, pushed: str, sandbox: SandboxProcess, account: str
) -> None:
    other = fresh_account()
    ecr = sandbox.client("ecr", other)
    ecr.create_repository(repositoryName="run/screening")
    ecr.set_repository_policy(repositoryName="run/screening", policyText=document(opened_to(account)))
    request = CopyImage(source=pushed, target_repository=f"{other}.dkr.ecr.us-east-1.amazonaws.com/run/screening", tag="p-1")
    first = await run(images.copy_image, request)
    again = await run.again(images.copy_image, request)
    assert first.image == f"{request.target_repository}@{pushed.partition('@')[2]}"
    assert (first.copied_blobs, again.copied_blobs) == (2, 0)
    assert any(isinstance(beat, CopyProgress) for beat in run.heartbeats)
    tags = ecr.describe_images(repositoryName="run/screening")["imageDetails"][0]["imageTags"]
    assert tags == ["p-1"]


async def test_given_another_accounts_repository_without_a_policy_when_an_image_is_copied_then_a_person_is_told_what_to_allow(
    images: ImageActivities, run: Any, pushed: str, sandbox: SandboxProcess
) -> None:
    other = fresh_account()
    sandbox.client("ecr", other).create_repository(repositoryName="closed")
    request = CopyImage(source=pushed, target_repository=f"{other}.dkr.ecr.us-east-1.amazonaws.com/closed", tag="p-1")
    with pytest.raises(
        NeedsPersonError, match=f"arn:aws:ecr:us-east-1:{other}:repository/closed because no resource-based policy"
    ):
        await run(images.copy_image, request)


async def test_given_a_tag_on_another_image_when_an_image_is_copied_then_it_is_refused(
    images: ImageActivities, run: Any, pushed: str, sandbox: SandboxProcess, account: str
) -> None:
    push_image(sandbox, account, "run", "p-1", build_image([layer_of(member("other"))]))
    request = CopyImage(source=pushed, target_repository=f"{account}.dkr.ecr.us-east-1.amazonaws.com/run", tag="p-1")
    with pytest.raises(RefusedError, match="tag"):
        await run(images.copy_image, request)


async def test_given_the_same_repository_when_an_image_is_copied_then_nothing_is_done(
    images: ImageActivities, run: Any, pushed: str
) -> None:
    copied = await run(images.copy_image, CopyImage(source=pushed, target_repository=pushed.partition("@")[0], tag="p-1"))
    assert (copied.image, copied.copied_bytes) == (pushed, 0)


async def test_given_no_target_repository_when_an_image_is_copied_then_a_person_is_told_to_make_it(
    images: ImageActivities, run: Any, pushed: str, account: str
) -> None:
    request = CopyImage(source=pushed, target_repository=f"{account}.dkr.ecr.us-east-1.amazonaws.com/none", tag="p-1")
    with pytest.raises(NeedsPersonError, match="RepositoryNotFoundException"):
        await run(images.copy_image, request)


async def test_given_a_clean_scan_when_it_is_checked_then_the_wait_is_seen_and_the_image_passes(
    images: ImageActivities, run: Any, pushed: str, sandbox: SandboxProcess, account: str, image: TestImage
) -> None:
    scanned(sandbox, account, image, "LOW", "LOW", "HIGH")
    verdict = await run(images.check_scan, CheckScan(image=pushed, policy=Scan(fail_on="CRITICAL")))
    assert verdict.status == "COMPLETE"
    assert verdict.counts == {"LOW": 2, "HIGH": 1}
    assert isinstance(run.heartbeats[-1], ScanProgress)


async def test_given_findings_above_the_policy_when_they_are_checked_then_their_counts_are_refused(
    images: ImageActivities, run: Any, pushed: str, sandbox: SandboxProcess, account: str, image: TestImage
) -> None:
    scanned(sandbox, account, image, "CRITICAL", "HIGH", "HIGH", "LOW")
    with pytest.raises(RefusedError, match="1 CRITICAL, 2 HIGH at or above HIGH"):
        await run(images.check_scan, CheckScan(image=pushed, policy=Scan(fail_on="HIGH")))


async def test_given_no_scan_when_the_time_is_over_then_a_person_is_told_to_start_it(
    images: ImageActivities, run: Any, pushed: str
) -> None:
    # The spec's models ask for ten seconds at the least; nobody has to wait for them here.
    policy = Scan().model_copy(update={"timeout": timedelta(0)})
    with pytest.raises(NeedsPersonError, match="NOT_FOUND"):
        await run(images.check_scan, CheckScan(image=pushed, policy=policy))


async def test_given_a_multi_platform_image_when_it_is_checked_then_each_platform_counts(
    images: ImageActivities, run: Any, pushed: str, sandbox: SandboxProcess, account: str, image: TestImage
) -> None:
    other = build_image([layer_of(member("other", fresh_account().encode()))])
    push_image(sandbox, account, "ci", "other", other)
    index = build_index({"amd64": image, "arm64": other})
    whole = push_image(sandbox, account, "ci", "all", index).rpartition(":")[0] + f"@{index.digest}"
    for part in (image, other):
        scanned(sandbox, account, part, "CRITICAL")
    with pytest.raises(RefusedError, match="2 CRITICAL"):
        await run(images.check_scan, CheckScan(image=whole, policy=Scan()))


@pytest.mark.parametrize("mutability", ["IMMUTABLE", "IMMUTABLE_WITH_EXCLUSION", "MUTABLE_WITH_EXCLUSION"])
async def test_given_tags_that_cannot_move_when_an_image_is_copied_twice_then_both_attempts_succeed(
    images: ImageActivities, run: Any, pushed: str, sandbox: SandboxProcess, account: str, mutability: str
) -> None:
    # Tags that begin with `p-` cannot move in any of the three.
    pattern = "dev-*" if mutability.startswith("IMMUTABLE") else "p-*"
    more: dict[str, Any] = {"imageTagMutabilityExclusionFilters": [{"filterType": "WILDCARD", "filter": pattern}]}
    if mutability == "IMMUTABLE":
        more = {}
    sandbox.client("ecr", account).create_repository(repositoryName="run", imageTagMutability=mutability, **more)
    request = CopyImage(source=pushed, target_repository=f"{account}.dkr.ecr.us-east-1.amazonaws.com/run", tag="p-1")
    first = await run(images.copy_image, request)
    again = await run.again(images.copy_image, request)
    assert first.image == again.image
    with pytest.raises(AssertionError, match="TAG_INVALID"):
        put_again(sandbox, account, "run", "p-1")


def put_again(sandbox: SandboxProcess, account: str, repository: str, tag: str) -> None:
    """Puts a tag on the manifest that it names already."""
    token = sandbox.client("ecr", account).get_authorization_token()["authorizationData"][0]["authorizationToken"]
    with httpx.Client(base_url=sandbox.endpoint, headers={"Authorization": f"Basic {token}"}) as registry:
        path = f"/v2/{repository}/manifests/{tag}"
        manifest = registry.get(path, headers={"Accept": "*/*"})
        answer = registry.put(path, content=manifest.content, headers={"Content-Type": manifest.headers["Content-Type"]})
        assert answer.is_success, answer.text


async def test_given_a_signed_image_when_it_is_copied_between_accounts_of_ecr_then_its_referrers_are_listed_there(
    images: ImageActivities, run: Any, pushed: str, sandbox: SandboxProcess, account: str, image: TestImage
) -> None:
    subject = {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": image.digest, "size": len(image.manifest)}
    signature = build_image([layer_of(member("signature", fresh_account().encode()))])
    signature = dataclasses.replace(
        signature, manifest=json.dumps({**json.loads(signature.manifest), "subject": subject}).encode()
    )
    push_image(sandbox, account, "ci", signature.digest, signature)
    push_image(sandbox, account, "ci", f"sha256-{image.digest.partition(':')[2]}.sig", build_image([layer_of(member("old"))]))
    sandbox.client("ecr", account).create_repository(repositoryName="run", imageTagMutability="IMMUTABLE")
    request = CopyImage(source=pushed, target_repository=f"{account}.dkr.ecr.us-east-1.amazonaws.com/run", tag="p-1")
    copied = await run(images.copy_image, request)
    again = await run.again(images.copy_image, request)
    assert (copied.referrers, again.referrers, again.copied_blobs) == (2, 2, 0)
    details = sandbox.client("ecr", account).describe_images(repositoryName="run")["imageDetails"]
    assert signature.digest in {detail["imageDigest"] for detail in details}


async def test_given_a_nested_index_when_it_is_checked_then_the_inner_images_scans_count(
    images: ImageActivities, run: Any, pushed: str, sandbox: SandboxProcess, account: str, image: TestImage
) -> None:
    inner = build_index({"amd64": image})
    push_image(sandbox, account, "ci", "inner", inner)
    entry = {"mediaType": "application/vnd.oci.image.index.v1+json", "digest": inner.digest, "size": len(inner.manifest)}
    outer = dataclasses.replace(inner, manifest=json.dumps({**json.loads(inner.manifest), "manifests": [entry]}).encode())
    whole = push_image(sandbox, account, "ci", "outer", outer).rpartition(":")[0] + f"@{outer.digest}"
    scanned(sandbox, account, image, "CRITICAL")
    with pytest.raises(RefusedError, match="1 CRITICAL"):
        await run(images.check_scan, CheckScan(image=whole, policy=Scan()))


async def test_given_an_index_without_an_image_when_it_is_resolved_then_it_is_refused(
    images: ImageActivities, run: Any, sandbox: SandboxProcess, account: str
) -> None:
    empty = build_index({})
    whole = push_image(sandbox, account, "ci", "empty", empty).rpartition(":")[0] + f"@{empty.digest}"
    with pytest.raises(RefusedError, match="index without an image"):
        await run(images.resolve_image, ResolveImage(image=whole))


async def test_given_an_image_elsewhere_when_its_scan_is_checked_then_it_is_refused(images: ImageActivities, run: Any) -> None:
    with pytest.raises(RefusedError, match=r"ghcr\.io is not a private registry of ECR"):
        await run(images.check_scan, CheckScan(image=f"ghcr.io/acme/app@sha256:{'0' * 64}", policy=Scan()))
