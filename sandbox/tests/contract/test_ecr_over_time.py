"""ECR in the course of days: lifecycle policies, call by call, and scans that are interrupted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from slipway_sandbox.testing import SandboxProcess, wait_until
from slipway_sandbox.testing.images import digest_of

from sandbox.testkit.contract import Aws, contract

MISSING = "RepositoryNotFoundException"
HOUR = 3600.0
INVALID = "InvalidParameterException"
BAD_NAME = "No/Capitals"
INDEX = "application/vnd.oci.image.index.v1+json"
LIFECYCLE = json.dumps(
    {
        "rules": [
            {
                "rulePriority": 1,
                "description": "keep one image",
                "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 1},
                "action": {"type": "expire"},
            }
        ]
    }
)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    """A sandbox whose time stands still, until a test lets a day pass."""
    with SandboxProcess(time_scale=0) as process:
        yield process


@pytest.fixture
def name(aws: Aws) -> str:
    """A repository."""
    made = aws.name("images")
    aws.client("ecr").create_repository(repositoryName=made)
    return made


def days_later(sandbox: SandboxProcess, account: str, days: float) -> list[str]:
    """Apply the policy of the repository `app` as of so many days from now; returns what expired."""
    body = {"account": account, "repository": "app", "daysLater": days}
    return sandbox.control("POST", "ecr/evaluate-lifecycle", body)["expired"]


def test_given_a_lifecycle_policy_when_a_day_passes_then_what_is_too_much_has_expired(
    sandbox: SandboxProcess, account: str
) -> None:
    ecr = sandbox.client("ecr", account)
    ecr.create_repository(repositoryName="app")
    older, newer = (put_image(ecr, "app", tag) for tag in ("old", "new"))
    ecr.put_lifecycle_policy(repositoryName="app", lifecyclePolicyText=LIFECYCLE)

    def left() -> set[str]:
        return {image["imageDigest"] for image in ecr.list_images(repositoryName="app")["imageIds"]}

    sandbox.advance(23 * HOUR)
    assert left() == {older, newer}
    sandbox.advance(HOUR)
    wait_until(lambda: left() == {newer}, "the older image's end")
    assert ecr.get_lifecycle_policy(repositoryName="app")["lastEvaluatedAt"]


def test_given_a_policy_by_age_when_it_is_applied_as_of_a_later_day_then_what_is_too_old_by_then_expires(
    sandbox: SandboxProcess, account: str
) -> None:
    ecr = sandbox.client("ecr", account)
    ecr.create_repository(repositoryName="app")
    digest = put_image(ecr, "app", "v1")
    selection = {"tagStatus": "any", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 14}
    rules = [{"rulePriority": 1, "selection": selection, "action": {"type": "expire"}}]
    ecr.put_lifecycle_policy(repositoryName="app", lifecyclePolicyText=json.dumps({"rules": rules}))

    assert days_later(sandbox, account, 13) == []
    assert days_later(sandbox, account, 15) == [digest]
    assert ecr.list_images(repositoryName="app")["imageIds"] == []


def put_image(ecr: Any, name: str, tag: str) -> str:
    """Put an image that has nothing in it: an index of no image; returns its digest."""
    body = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [], "annotations": {"tag": tag}})
    ecr.put_image(repositoryName=name, imageManifest=body, imageTag=tag)
    return digest_of(body.encode())


@contract("ecr", "PutLifecyclePolicy", errors=(MISSING, INVALID))
@contract("ecr", "GetLifecyclePolicy", errors=(MISSING, INVALID, "LifecyclePolicyNotFoundException"))
@contract("ecr", "DeleteLifecyclePolicy", errors=(MISSING, INVALID, "LifecyclePolicyNotFoundException"))
@contract(
    "ecr",
    "StartLifecyclePolicyPreview",
    errors=(MISSING, INVALID, "LifecyclePolicyNotFoundException", "LifecyclePolicyPreviewInProgressException"),
)
@contract("ecr", "GetLifecyclePolicyPreview", errors=(MISSING, INVALID, "LifecyclePolicyPreviewNotFoundException"))
def test_lifecycle_policies(aws: Aws, name: str) -> None:
    ecr = aws.client("ecr")
    older, newer = (put_image(ecr, name, tag) for tag in ("old", "new"))
    calls = (ecr.get_lifecycle_policy, ecr.delete_lifecycle_policy, ecr.start_lifecycle_policy_preview)
    for call in calls:
        with aws.refused("LifecyclePolicyNotFoundException", match="Lifecycle policy does not exist"):
            call(repositoryName=name)
    with aws.refused("LifecyclePolicyPreviewNotFoundException"):
        ecr.get_lifecycle_policy_preview(repositoryName=name)
    for wrong, code in ((f"{name}-not", MISSING), (BAD_NAME, INVALID)):
        for call in (*calls, ecr.get_lifecycle_policy_preview):
            with aws.refused(code):
                call(repositoryName=wrong)
        with aws.refused(code):
            ecr.put_lifecycle_policy(repositoryName=wrong, lifecyclePolicyText=LIFECYCLE)
    with aws.refused(INVALID, match="Lifecycle policy validation failure"):
        ecr.put_lifecycle_policy(repositoryName=name, lifecyclePolicyText=LIFECYCLE.replace("expire", "explode"))
    ecr.put_lifecycle_policy(repositoryName=name, lifecyclePolicyText=LIFECYCLE)
    assert json.loads(ecr.get_lifecycle_policy(repositoryName=name)["lifecyclePolicyText"]) == json.loads(LIFECYCLE)
    ecr.delete_lifecycle_policy(repositoryName=name)
    ecr.start_lifecycle_policy_preview(repositoryName=name, lifecyclePolicyText=LIFECYCLE)
    with aws.refused("LifecyclePolicyPreviewInProgressException"):
        ecr.start_lifecycle_policy_preview(repositoryName=name, lifecyclePolicyText=LIFECYCLE)
    if aws.sandbox:
        aws.sandbox.advance(60)
    shown = ecr.get_lifecycle_policy_preview
    wait_until(lambda: shown(repositoryName=name)["status"] == "COMPLETE", "the preview")
    results = shown(repositoryName=name)["previewResults"]
    assert {result["imageDigest"] for result in results} == {older} != {newer}
    ecr.delete_repository(repositoryName=name, force=True)
