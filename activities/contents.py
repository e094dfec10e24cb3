"""What a model package would serve: every container with its image, its files in S3 and its environment."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from activities.images.registries import describe_image
from slipway.api import Artifact, PackageContainer
from slipway.aws.clients import Aws, object_in_s3, place_in_s3, region_of
from slipway.aws.errors import answer_of
from slipway.errors import NeedsPersonError, SlipwayError
from slipway.gathering import gather_all
from slipway.oci.reference import ImageReference

if TYPE_CHECKING:
    from types_boto3_sagemaker.type_defs import DescribeModelPackageOutputTypeDef

FILES_LIMIT = 1_000
"""Files below one prefix: one listing."""


async def contents_of(aws: Aws, package: DescribeModelPackageOutputTypeDef) -> tuple[PackageContainer, ...]:
    """Every container that the package would serve, in its order.

    Args:
        aws: Where to find AWS.
        package: The package as the registry shows it.
    """
    containers: list[Mapping[str, Any]] = [*package.get("InferenceSpecification", {}).get("Containers", [])]
    region = region_of(package["ModelPackageArn"])
    return tuple(await gather_all(*(_container(aws, region, container) for container in containers)))


async def _container(aws: Aws, region: str, container: Mapping[str, Any]) -> PackageContainer:
    environment: Mapping[str, str] = container.get("Environment", {})
    sources = sorted(_sources(container))
    return PackageContainer(
        image=await _image(aws, container),
        artifacts=tuple([await _artifact(aws, region, uri, whole_prefix=prefix) for uri, prefix in sources]),
        environment={name: _sha256(value) for name, value in environment.items()},
    )


def _sources(container: Mapping[str, Any]) -> set[tuple[str, bool]]:
    """The container's places in S3, and of each whether it is a prefix."""
    single = container.get("ModelDataUrl")
    described = [container.get("ModelDataSource", {}).get("S3DataSource"), container.get("AdditionalS3DataSource")]
    found = {(source["S3Uri"], source.get("S3DataType") == "S3Prefix") for source in described if source}
    # Where both are given, they name the same place.
    return found | ({(single, False)} if single and single not in {uri for uri, _ in found} else set())


async def _artifact(aws: Aws, region: str, uri: str, *, whole_prefix: bool) -> Artifact:
    if whole_prefix:
        return await _prefix(aws, region, uri)
    bucket, key = object_in_s3(uri)
    s3 = aws.s3(region)
    found = await aws.call(f"looking at the model's file {uri}", s3.head_object, Bucket=bucket, Key=key)
    return Artifact(
        uri=uri,
        etag=found["ETag"].strip('"'),
        size=found["ContentLength"],
        modified=found["LastModified"],
        version=found.get("VersionId"),
    )


async def _prefix(aws: Aws, region: str, uri: str) -> Artifact:
    tried = f"looking at the model's files {uri}"
    bucket, key = place_in_s3(uri)
    listed = await aws.call(tried, aws.s3(region).list_objects_v2, Bucket=bucket, Prefix=key, MaxKeys=FILES_LIMIT)
    files = [
        (each.get("Key", ""), each.get("ETag", ""), each.get("Size", 0), each["LastModified"])
        for each in listed.get("Contents", [])
        if "LastModified" in each
    ]
    if not files or listed["IsTruncated"]:
        said = "there is none" if not files else f"there are more than {FILES_LIMIT:,}"
        raise NeedsPersonError(tried, said, "register the package with one archive or fewer files; then retry, or abort")
    lines = "\n".join(f"{name!r} {etag} {size} {written.isoformat()}" for name, etag, size, written in files)
    return Artifact(
        uri=uri,
        etag=_sha256(lines),
        size=sum(size for _, _, size, _ in files),
        modified=max(written for _, _, _, written in files),
    )


async def _image(aws: Aws, container: Mapping[str, Any]) -> str:
    """The container's image, by digest where the digest can be found."""
    image: str = container.get("Image", "")
    if not image or "@" in image:
        return image
    digest = container.get("ImageDigest") or await _digest_of(aws, image)
    return f"{image.rpartition(':')[0] if ':' in image.rpartition('/')[2] else image}@{digest}" if digest else image


async def _digest_of(aws: Aws, image: str) -> str | None:
    try:
        reference = ImageReference.parse(image)
    except ValueError:
        return None  # a marketplace's
    if reference.ecr is None:
        return None
    try:
        detail = await describe_image(aws, reference, f"resolving the model's image {image}")
    except SlipwayError as error:
        # Another account's repository may allow SageMaker to pull and not allow us to look; then the tag is shown.
        if answer_of(error)[0]:
            return None
        raise
    return detail.get("imageDigest")


def differences(approved: tuple[PackageContainer, ...], found: tuple[PackageContainer, ...]) -> list[str]:
    """What is not as it was approved, one line for each."""
    if len(approved) != len(found):
        return [f"the package has {len(found)} containers, and {len(approved)} were approved"]
    return [line for before, after in zip(approved, found, strict=True) for line in _between(before, after)]


def _between(approved: PackageContainer, found: PackageContainer) -> list[str]:
    lines: list[str] = []
    if found.image != approved.image:
        lines.append(f"the image is {found.image}, and {approved.image} was approved")
    before = {artifact.uri: artifact for artifact in approved.artifacts}
    after = {artifact.uri: artifact for artifact in found.artifacts}
    lines += [f"{uri} is not used any more" for uri in before if uri not in after]
    lines += [f"{uri} was not approved" for uri in after if uri not in before]
    lines += [
        f"{uri} was replaced: {after[uri].facts}, and {artifact.facts} was approved"
        for uri, artifact in before.items()
        if uri in after and after[uri] != artifact
    ]
    names = sorted({*approved.environment, *found.environment})
    changed = [name for name in names if approved.environment.get(name) != found.environment.get(name)]
    return [*lines, f"the environment has another {', '.join(changed)}"] if changed else lines


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
