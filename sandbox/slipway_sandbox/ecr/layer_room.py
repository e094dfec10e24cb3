"""ECR's control plane: layers, as clients other than Docker's upload and download them."""

from __future__ import annotations

import re
from typing import Any

from slipway_sandbox.core.calls import Caller
from slipway_sandbox.core.errors import AwsError
from slipway_sandbox.core.world import Room, World, operation
from slipway_sandbox.ecr import errors
from slipway_sandbox.ecr.quotas import PARTS
from slipway_sandbox.ecr.service import EcrRoom
from slipway_sandbox.ecr.store import DIGEST, Repository
from slipway_sandbox.ecr.tokens import LINK, LINK_LIFETIME, Registry
from slipway_sandbox.ecr.uploads import Upload

PART_SIZE = 10 * 1024 * 1024
"""Bytes that ECR proposes for a part."""
SMALLEST_PART = 5 * 1024 * 1024
"""Bytes that each part but the last one has at least. ECR looks at it only in the end."""
LAYER_DIGEST = re.compile(r"[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+")


class LayerRoom(Room):
    """Layers, in parts."""

    service = "ecr"

    def __init__(self, world: World, ecr: EcrRoom) -> None:
        super().__init__(world)
        self._ecr = ecr

    def reset(self, account: str | None) -> None:
        """Uploads go with their repositories."""

    @operation("BatchCheckLayerAvailability")
    def batch_check_layer_availability(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """Which layers the repository can use."""
        repository = self._ecr.repository(caller, request)
        layers: list[dict[str, Any]] = []
        failures: list[dict[str, Any]] = []
        for digest in request["layerDigests"]:
            if LAYER_DIGEST.fullmatch(digest):
                layers.append(self._layer(repository, digest))
            else:
                reason = f"Invalid parameter at 'layerDigest' failed to satisfy constraint: '{digest}' is no digest"
                failures.append({"layerDigest": digest, "failureCode": "InvalidLayerDigest", "failureReason": reason})
        return {"layers": layers, "failures": failures}

    def _layer(self, repository: Repository, digest: str) -> dict[str, Any]:
        if digest not in repository.blobs:
            return {"layerDigest": digest, "layerAvailability": "UNAVAILABLE"}
        size = self._ecr.blob_path(digest).stat().st_size
        return {"layerDigest": digest, "layerAvailability": "AVAILABLE", "layerSize": size}

    @operation(
        "GetDownloadUrlForLayer",
        differs="the link leads to this sandbox's own registry, where ECR's leads to S3; wording for a layer of no image is not "
        "verified on AWS",
    )
    def get_download_url_for_layer(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """A link that a layer can be had by for an hour, without a password."""
        repository, digest = self._ecr.repository(caller, request), request["layerDigest"]
        if digest not in repository.blobs:
            raise errors.layer_not_found(digest, repository.name, repository.account)
        if not any(digest == blob.digest for image in repository.images.values() for blob in image.content.blobs):
            raise errors.layer_inaccessible(digest, repository.name, repository.account)
        # Its holder is the repository's own account: whoever may make a link hands on the right to follow it.
        registry = Registry(repository.account, repository.region, holder=repository.account)
        token = self._ecr.tokens.issue(registry, LINK_LIFETIME).password
        return {
            "downloadUrl": f"{self.world.endpoint}/v2/{repository.name}/blobs/{digest}?{LINK}={token}",
            "layerDigest": digest,
        }

    @operation("InitiateLayerUpload")
    def initiate_layer_upload(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """Begin to upload a layer."""
        upload = self._ecr.uploads.start(self._ecr.repository(caller, request))
        return {"uploadId": upload.id, "partSize": PART_SIZE}

    @operation("UploadLayerPart", differs="uploads end with the process; wording for too many parts is not verified on AWS")
    def upload_layer_part(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """Receive a part; parts come in order."""
        upload = self._upload(caller, request)
        repository, part = upload.repository, request["layerPartBlob"]
        first, last = request["partFirstByte"], request["partLastByte"]
        if first != upload.size or last - first + 1 != len(part):
            raise errors.invalid_layer_part(upload.id, repository.name, repository.account, max(upload.size - 1, 0))
        limit = self._ecr.quotas.exceeded(repository.account, PARTS, len(upload.parts) + 1)
        if limit is not None:
            raise errors.too_many_parts(upload.id, limit)
        upload.append(part)
        return named(upload) | {"lastByteReceived": last}

    @operation(
        "CompleteLayerUpload",
        differs="wording of its errors but LayerPartTooSmallException is not verified on AWS",
    )
    def complete_layer_upload(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """The layer is whole: check its digest and keep it."""
        upload = self._upload(caller, request)
        repository, digests = upload.repository, request["layerDigests"]
        if upload.size == 0:
            raise AwsError("EmptyUploadException", f"Upload with id '{upload.id}' does not contain any layer parts")
        if any(size < SMALLEST_PART for size in upload.parts[:-1]):
            raise AwsError("LayerPartTooSmallException", "All layer parts except the last part should be at least 5MB")
        digest = upload.digest
        if digest not in digests or not DIGEST.fullmatch(digest):
            raise AwsError("InvalidLayerException", f"The layer digest '{digest}' does not match the provided digests {digests}")
        if digest in repository.blobs:
            self._ecr.uploads.drop(upload)
            raise AwsError(
                "LayerAlreadyExistsException",
                f"Layer with digest '{digest}' already exists in the repository with name '{repository.name}' "
                f"in registry with id '{repository.account}'",
            )
        self._ecr.uploads.keep(upload)
        return named(upload) | {"layerDigest": digest}

    def _upload(self, caller: Caller, request: dict[str, Any]) -> Upload:
        repository = self._ecr.repository(caller, request)
        upload = self._ecr.uploads.find(repository, request["uploadId"])
        if upload is None:
            raise errors.upload_not_found(request["uploadId"], repository.name, repository.account)
        return upload


def named(upload: Upload) -> dict[str, Any]:
    """How answers about an upload begin."""
    return {"registryId": upload.repository.account, "repositoryName": upload.repository.name, "uploadId": upload.id}
