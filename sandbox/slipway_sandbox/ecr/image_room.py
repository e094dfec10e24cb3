"""ECR's control plane: images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from slipway_sandbox.core.calls import Caller
from slipway_sandbox.core.errors import AwsError
from slipway_sandbox.core.world import Room, World, operation
from slipway_sandbox.ecr import errors
from slipway_sandbox.ecr.service import registry_of
from slipway_sandbox.ecr.store import Image, Manifest, Repository, Scan, Store, StoredManifest, digest_of
from slipway_sandbox.protocol.pages import page

ImageId = dict[str, str]


class ImageLookupError(LookupError):
    """An image that a batch call names and that is not there. `code` is ECR's failure code."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def look_up(repository: Repository, image_id: ImageId, accepted: Sequence[str] = ()) -> Image:
    """The image of an id with a digest, a tag, or both; of an accepted media type, where some are named.

    Raises:
        ImageLookupError: There is none.
    """
    digest, tag = image_id.get("imageDigest"), image_id.get("imageTag")
    if not digest and not tag:
        raise ImageLookupError("MissingDigestAndTag", "Invalid request parameters: both tag and digest cannot be null")
    image = repository.find(digest or tag or "")
    if image is None or (accepted and image.manifest.media_type not in accepted):
        raise ImageLookupError("ImageNotFound", "Requested image not found")
    if digest and tag and repository.tags.get(tag) != digest:
        raise ImageLookupError("ImageTagDoesNotMatchDigest", "Provided image tag does not match the provided image digest")
    return image


def shown_id(image_id: ImageId) -> str:
    """An image's id as ECR writes it into messages."""
    return f"{{imageDigest:'{image_id.get('imageDigest', 'null')}', imageTag:'{image_id.get('imageTag', 'null')}'}}"


def require(repository: Repository, image_id: ImageId) -> Image:
    """The image of an id.

    Raises:
        AwsError: `ImageNotFoundException`.
    """
    try:
        return look_up(repository, image_id)
    except ImageLookupError as error:
        raise errors.image_not_found(shown_id(image_id), repository.name, repository.account) from error


class ImageRoom(Room):
    """Images, by digest and tag."""

    service = "ecr"

    def __init__(self, world: World, store: Store) -> None:
        super().__init__(world)
        self._store = store

    def reset(self, account: str | None) -> None:
        """The images go with their repositories."""

    def _repository(self, caller: Caller, request: dict[str, Any]) -> Repository:
        return self._store.get(registry_of(caller, request), caller.region, request["repositoryName"])

    @operation(
        "PutImage",
        differs="wording of `ImageDigestDoesNotMatchException` is not verified on AWS; sha256 digests only",
    )
    def put_image(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """Store a manifest by its exact bytes, or give one that is there a further tag."""
        repository = self._repository(caller, request)
        body = request["imageManifest"].encode()
        tag = request.get("imageTag")
        manifest = StoredManifest(digest_of(body), media_type_of(body, request.get("imageManifestMediaType")), body)
        given = request.get("imageDigest")
        if given and given != manifest.digest:
            raise errors.digest_mismatch(given, manifest.digest)
        if not self._store.put(repository, manifest, tag):
            raise errors.image_exists(manifest.digest, tag, repository.name, repository.account)
        return {"image": image_with_manifest(repository, repository.images[manifest.digest], tag)}

    @operation(
        "BatchGetImage",
        differs="never converts between Docker's and OCI's manifests: a type that is not accepted is `ImageNotFound`",
    )
    def batch_get_image(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """Manifests by their exact bytes. One whose type the caller does not accept counts as not found."""
        repository = self._repository(caller, request)
        accepted = request.get("acceptedMediaTypes", ())
        images: list[dict[str, Any]] = []
        failures: list[dict[str, Any]] = []
        for image_id in request["imageIds"]:
            try:
                image = look_up(repository, image_id, accepted)
                images.append(image_with_manifest(repository, image, image_id.get("imageTag")))
                image.pulled_at = self.world.clock.now()
            except ImageLookupError as error:
                failures.append(failure(image_id, error))
        return {"images": images, "failures": failures}

    @operation("DescribeImages", differs="every image is `ACTIVE`: none is archived")
    def describe_images(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """What is known of each image."""
        repository = self._repository(caller, request)
        named = request.get("imageIds")
        images = [require(repository, image_id) for image_id in named] if named else list(repository.images.values())
        wanted = [image for image in images if matches(repository, image, request.get("filter", {}))]
        shown, more = page(wanted, request)
        return {"imageDetails": [detail(repository, image) for image in shown], "nextToken": more}

    @operation("ListImages", differs="every image is `ACTIVE`: none is archived")
    def list_images(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """Every tag with its digest, and every digest without a tag."""
        repository = self._repository(caller, request)
        wanted = [image for image in repository.images.values() if matches(repository, image, request.get("filter", {}))]
        shown, more = page([image_id for image in wanted for image_id in ids_of(repository, image)], request)
        return {"imageIds": list(shown), "nextToken": more}

    @operation("BatchDeleteImage")
    def batch_delete_image(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """Take a tag off (the image goes with its last one), or delete by digest with all tags."""
        repository = self._repository(caller, request)
        gone: list[ImageId] = []
        failures: list[dict[str, Any]] = []
        for image_id in request["imageIds"]:
            try:
                gone += self._delete(repository, image_id)
            except ImageLookupError as error:
                failures.append(failure(image_id, error))
        return {"imageIds": gone, "failures": failures}

    def _delete(self, repository: Repository, image_id: ImageId) -> list[ImageId]:
        image = look_up(repository, image_id)
        digest, tag = image.manifest.digest, image_id.get("imageTag")
        if tag and "imageDigest" not in image_id and len(repository.tags_of(digest)) > 1:
            self._store.remove_tag(repository, tag)
            return [{"imageDigest": digest, "imageTag": tag}]
        gone = list(ids_of(repository, image))
        try:
            self._store.delete_image(repository, digest)
        except AwsError as error:
            raise ImageLookupError(error.code, error.message) from error
        return gone


def media_type_of(body: bytes, given: str | None) -> str:
    """A manifest's media type: what it says itself, else what its sender says.

    Raises:
        AwsError: Neither says one, or they differ.
    """
    own = Manifest.read(body).media_type
    if own and given and own != given:
        raise errors.invalid_parameter("ImageManifestMediaType", f"'{given}' differs from the manifest's own '{own}'")
    media_type = own or given
    if not media_type:
        raise errors.invalid_parameter("ImageManifest", "the manifest has no mediaType, and imageManifestMediaType is missing")
    return media_type


def image_with_manifest(repository: Repository, image: Image, tag: str | None) -> dict[str, Any]:
    """An image with its manifest, as the API shows it."""
    return {
        "registryId": repository.account,
        "repositoryName": repository.name,
        "imageId": {"imageDigest": image.manifest.digest, "imageTag": tag},
        "imageManifest": image.manifest.body.decode(),
        "imageManifestMediaType": image.manifest.media_type,
    }


def detail(repository: Repository, image: Image) -> dict[str, Any]:
    """An image as DescribeImages shows it."""
    config = image.content.config
    return {
        "registryId": repository.account,
        "repositoryName": repository.name,
        "imageDigest": image.manifest.digest,
        "imageTags": repository.tags_of(image.manifest.digest) or None,
        "imageSizeInBytes": repository.size_of(image),
        "imagePushedAt": image.pushed_at,
        "imageManifestMediaType": image.manifest.media_type,
        "artifactMediaType": image.content.artifact_type or (config.media_type if config else None),
        "lastRecordedPullTime": image.pulled_at,
        "imageScanStatus": image.scan.described() if image.scan else None,
        "imageScanFindingsSummary": summary_of(image.scan),
        "imageStatus": "ACTIVE",
    }


def summary_of(scan: Scan | None) -> dict[str, Any] | None:
    """What a complete scan found, in numbers."""
    if scan is None or not scan.has_findings:
        return None
    return {"imageScanCompletedAt": scan.completed_at, "findingSeverityCounts": scan.counts()}


def ids_of(repository: Repository, image: Image) -> Iterator[ImageId]:
    """An image's ids: one per tag, or the bare digest."""
    digest = image.manifest.digest
    tags = repository.tags_of(digest)
    yield from ({"imageDigest": digest, "imageTag": tag} for tag in tags)
    if not tags:
        yield {"imageDigest": digest}


def matches(repository: Repository, image: Image, wanted: dict[str, str]) -> bool:
    """Whether an image has the tag status that a filter asks for."""
    tagged = bool(repository.tags_of(image.manifest.digest))
    # Nothing is archived here: every image is active.
    active = wanted.get("imageStatus", "ACTIVE") in ("ANY", "ACTIVE")
    return active and wanted.get("tagStatus", "ANY") in ("ANY", "TAGGED" if tagged else "UNTAGGED")


def failure(image_id: ImageId, error: ImageLookupError) -> dict[str, Any]:
    """One image's failure in a batch."""
    return {"imageId": image_id, "failureCode": error.code, "failureReason": error.reason}
