"""ECR, call by call: images and scans."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import httpx
import pytest
from slipway_sandbox.testing import wait_until

from sandbox.testkit.contract import Aws, contract

MISSING = "RepositoryNotFoundException"
INVALID = "InvalidParameterException"
BAD_NAME = "No/Capitals"
OCI = "application/vnd.oci.image.manifest.v1+json"
CONFIG = b'{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[]}}'
NO_DIGEST = f"sha256:{'0' * 64}"


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def upload(ecr: Any, name: str, content: bytes) -> None:
    """Push a blob to the registry."""
    given = ecr.get_authorization_token()["authorizationData"][0]
    registry = httpx.Client(base_url=given["proxyEndpoint"], headers={"Authorization": f"Basic {given['authorizationToken']}"})
    with registry:
        begun = registry.post(f"/v2/{name}/blobs/uploads/").raise_for_status()
        registry.put(begun.headers["Location"], params={"digest": digest_of(content)}, content=content).raise_for_status()


def manifest(note: str = "") -> str:
    """An image without layers."""
    config = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest_of(CONFIG), "size": len(CONFIG)}
    return json.dumps(
        {"schemaVersion": 2, "mediaType": OCI, "config": config, "layers": [], "annotations": {"note": note}}, indent=3
    )


def index(child: str) -> str:
    """An index of one image."""
    platform = {"os": "linux", "architecture": "amd64"}
    child_manifest = {"mediaType": OCI, "digest": child, "size": 1, "platform": platform}
    return json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [child_manifest]})


@pytest.fixture
def name(aws: Aws) -> str:
    """A repository that has the blob of an image."""
    ecr, made = aws.client("ecr"), aws.name("images")
    ecr.create_repository(repositoryName=made)
    upload(ecr, made, CONFIG)
    return made


@contract(
    "ecr",
    "PutImage",
    errors=(
        MISSING,
        INVALID,
        "ImageAlreadyExistsException",
        "LayersNotFoundException",
        "ReferencedImagesNotFoundException",
        "ImageTagAlreadyExistsException",
        "ImageDigestDoesNotMatchException",
    ),
)
@contract("ecr", "DeleteRepository", errors=("RepositoryNotEmptyException",))
def test_put_image(aws: Aws, name: str) -> None:
    ecr, body = aws.client("ecr"), manifest()
    put = ecr.put_image(repositoryName=name, imageManifest=body, imageTag="v1")["image"]
    assert put["imageId"] == {"imageDigest": digest_of(body.encode()), "imageTag": "v1"}
    with aws.refused("ImageAlreadyExistsException"):
        ecr.put_image(repositoryName=name, imageManifest=body, imageTag="v1")
    with aws.refused("ImageDigestDoesNotMatchException"):
        ecr.put_image(repositoryName=name, imageManifest=body, imageTag="v2", imageDigest=NO_DIGEST)
    with aws.refused("LayersNotFoundException"):
        ecr.put_image(repositoryName=name, imageManifest=body.replace(digest_of(CONFIG), NO_DIGEST), imageTag="v2")
    with aws.refused("ReferencedImagesNotFoundException"):
        ecr.put_image(repositoryName=name, imageManifest=index(NO_DIGEST), imageTag="v2")
    ecr.put_image_tag_mutability(repositoryName=name, imageTagMutability="IMMUTABLE")
    with aws.refused("ImageTagAlreadyExistsException", match="immutable"):
        ecr.put_image(repositoryName=name, imageManifest=manifest("other"), imageTag="v1")
    with aws.refused(INVALID):
        ecr.put_image(repositoryName=name, imageManifest="no json")
    with aws.refused(MISSING):
        ecr.put_image(repositoryName=f"{name}-not", imageManifest=body)
    with aws.refused("RepositoryNotEmptyException"):
        ecr.delete_repository(repositoryName=name)
    ecr.delete_repository(repositoryName=name, force=True)


@contract("ecr", "PutImage", errors=("LimitExceededException",))
def test_quotas_of_images_and_tags(aws: Aws, name: str) -> None:
    ecr, body = aws.client("ecr"), manifest()
    ecr.put_image(repositoryName=name, imageManifest=body, imageTag="v1")
    exceeded = "LimitExceededException"
    with (
        aws.quota("ecr", "Images per repository", 1),
        aws.refused(exceeded, match="already has the maximum allowed number of images which is '1'"),
    ):
        ecr.put_image(repositoryName=name, imageManifest=manifest("other"), imageTag="v2")
    with (
        aws.quota("ecr", "Tags per image", 1),
        aws.refused(exceeded, match="exceeds the maximum allowed number of tags per image which is '1'"),
    ):
        ecr.put_image(repositoryName=name, imageManifest=body, imageTag="v2")
    ecr.delete_repository(repositoryName=name, force=True)


@contract("ecr", "BatchGetImage", errors=(MISSING, INVALID))
@contract("ecr", "DescribeImages", errors=(MISSING, INVALID, "ImageNotFoundException"))
@contract("ecr", "ListImages", errors=(MISSING, INVALID))
@contract("ecr", "BatchDeleteImage", errors=(MISSING, INVALID))
def test_images(aws: Aws, name: str) -> None:
    ecr, ids = aws.client("ecr"), [{"imageTag": "v1"}]
    digest = ecr.put_image(repositoryName=name, imageManifest=manifest(), imageTag="v1")["image"]["imageId"]["imageDigest"]
    got = ecr.batch_get_image(repositoryName=name, imageIds=ids, acceptedMediaTypes=[OCI])
    assert (got["images"][0]["imageManifest"], got["failures"]) == (manifest(), [])
    assert ecr.list_images(repositoryName=name)["imageIds"] == [{"imageDigest": digest, "imageTag": "v1"}]
    detail = ecr.describe_images(repositoryName=name, filter={"tagStatus": "TAGGED", "imageStatus": "ACTIVE"})["imageDetails"]
    assert [image["imageTags"] for image in detail] == [["v1"]]
    with aws.refused("ImageNotFoundException", match=r"The image with imageId \{imageDigest:'null', imageTag:'none'\}"):
        ecr.describe_images(repositoryName=name, imageIds=[{"imageTag": "none"}])
    for wrong, code in ((f"{name}-not", MISSING), (BAD_NAME, INVALID)):
        for call in (ecr.batch_get_image, ecr.batch_delete_image, ecr.describe_images):
            with aws.refused(code):
                call(repositoryName=wrong, imageIds=ids)
        with aws.refused(code):
            ecr.list_images(repositoryName=wrong)
    assert ecr.batch_delete_image(repositoryName=name, imageIds=ids)["imageIds"] == [{"imageDigest": digest, "imageTag": "v1"}]
    ecr.delete_repository(repositoryName=name)


@contract(
    "ecr",
    "StartImageScan",
    errors=(
        MISSING,
        INVALID,
        "ImageNotFoundException",
        "LimitExceededException",
        "ValidationException",
        "UnsupportedImageTypeException",
    ),
)
@contract("ecr", "DescribeImageScanFindings", errors=(MISSING, INVALID, "ImageNotFoundException", "ScanNotFoundException"))
@contract("ecr", "PutRegistryScanningConfiguration", errors=(INVALID,))
@contract("ecr", "GetRegistryScanningConfiguration")
@contract("ecr", "BatchGetRepositoryScanningConfiguration", errors=(INVALID,))
def test_scans(aws: Aws, name: str) -> None:
    if aws.sandbox is None:
        pytest.skip("AWS cannot scan an image without layers, and its registry's settings are everybody's")
    ecr, image = aws.client("ecr"), {"imageTag": "v1"}
    ecr.put_image(repositoryName=name, imageManifest=manifest(), imageTag="v1")
    with aws.refused("ScanNotFoundException"):
        ecr.describe_image_scan_findings(repositoryName=name, imageId=image)
    assert ecr.start_image_scan(repositoryName=name, imageId=image)["imageScanStatus"]["status"] == "IN_PROGRESS"
    with aws.refused("LimitExceededException", match="quota"):
        ecr.start_image_scan(repositoryName=name, imageId=image)
    describe = ecr.describe_image_scan_findings
    wait_until(
        lambda: describe(repositoryName=name, imageId=image)["imageScanStatus"]["status"] == "COMPLETE", "the end of the scan"
    )
    for call in (ecr.start_image_scan, describe):
        with aws.refused("ImageNotFoundException"):
            call(repositoryName=name, imageId={"imageTag": "none"})
        with aws.refused(MISSING):
            call(repositoryName=f"{name}-not", imageId=image)
        with aws.refused(INVALID):
            call(repositoryName=BAD_NAME, imageId=image)
    ecr.put_image(repositoryName=name, imageManifest=index(digest_of(manifest().encode())), imageTag="index")
    with aws.refused("UnsupportedImageTypeException"):
        ecr.start_image_scan(repositoryName=name, imageId={"imageTag": "index"})
    everything = {"repositoryFilters": [{"filter": "*", "filterType": "WILDCARD"}]}
    with aws.refused(INVALID):
        ecr.put_registry_scanning_configuration(scanType="BASIC", rules=[{"scanFrequency": "CONTINUOUS_SCAN", **everything}])
    rules = [{"scanFrequency": "CONTINUOUS_SCAN", **everything}]
    ecr.put_registry_scanning_configuration(scanType="ENHANCED", rules=rules)
    assert ecr.get_registry_scanning_configuration()["scanningConfiguration"] == {"scanType": "ENHANCED", "rules": rules}
    found = ecr.batch_get_repository_scanning_configuration(repositoryNames=[name, f"{name}-not"])
    assert found["scanningConfigurations"][0]["scanFrequency"] == "CONTINUOUS_SCAN"
    assert found["failures"][0]["failureCode"] == "REPOSITORY_NOT_FOUND"
    with aws.refused(INVALID):
        ecr.batch_get_repository_scanning_configuration(repositoryNames=[BAD_NAME])
    with aws.refused("ValidationException", match="This feature is disabled"):
        ecr.start_image_scan(repositoryName=name, imageId=image)
