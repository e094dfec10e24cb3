"""ECR's errors, in its words."""

from __future__ import annotations

from collections.abc import Sequence

from slipway_sandbox.errors import AwsError
from slipway_sandbox.images import ImageUri


class ImageNotFoundError(LookupError):
    """No such image to pull. The text is containerd's, as ECS shows it after `CannotPullContainerError: `."""

    def __init__(self, uri: ImageUri) -> None:
        super().__init__(f"failed to resolve ref {uri}: {uri}: not found")
        self.uri = uri


def repository_exists(name: str, registry: str) -> AwsError:
    """`RepositoryAlreadyExistsException`."""
    return AwsError(
        "RepositoryAlreadyExistsException",
        f"The repository with name '{name}' already exists in the registry with id '{registry}'",
    )


def repository_not_found(name: str, registry: str) -> AwsError:
    """`RepositoryNotFoundException`."""
    return AwsError(
        "RepositoryNotFoundException",
        f"The repository with name '{name}' does not exist in the registry with id '{registry}'",
    )


def repository_not_empty(name: str, registry: str) -> AwsError:
    """`RepositoryNotEmptyException`."""
    return AwsError(
        "RepositoryNotEmptyException",
        f"The repository with name '{name}' in registry with id '{registry}' cannot be deleted because it still contains images",
    )


def policy_not_found(name: str, registry: str) -> AwsError:
    """`RepositoryPolicyNotFoundException`."""
    return AwsError(
        "RepositoryPolicyNotFoundException",
        f"Repository policy does not exist for the repository with name '{name}' in the registry with id '{registry}'",
    )


def image_not_found(image_id: str, name: str, registry: str) -> AwsError:
    """`ImageNotFoundException`. `image_id` is ECR's own notation, such as `{imageDigest:'null', imageTag:'v1'}`."""
    return AwsError(
        "ImageNotFoundException",
        f"The image with imageId {image_id} does not exist within the repository with name '{name}' "
        f"in the registry with id '{registry}'",
    )


def scan_not_found(image_id: str, name: str, registry: str) -> AwsError:
    """`ScanNotFoundException`."""
    return AwsError(
        "ScanNotFoundException",
        f"Image scan does not exist for the image with '{image_id}' in the repository with name '{name}' "
        f"in the registry with id '{registry}'",
    )


def image_exists(digest: str, tag: str | None, name: str, registry: str) -> AwsError:
    """`ImageAlreadyExistsException`: the digest is there, and the tag (where one was named) points at it."""
    tagged = f" and tag '{tag}'" if tag else ""
    return AwsError(
        "ImageAlreadyExistsException",
        f"Image with digest '{digest}'{tagged} already exists in the repository with name '{name}' "
        f"in registry with id '{registry}'",
    )


def tag_is_immutable(tag: str, name: str) -> AwsError:
    """`ImageTagAlreadyExistsException`: the tag names another digest and may not move."""
    return AwsError(
        "ImageTagAlreadyExistsException",
        f"The image tag '{tag}' already exists in the '{name}' repository "
        "and cannot be overwritten because the tag is immutable.",
    )


def digest_mismatch(given: str, computed: str) -> AwsError:
    """`ImageDigestDoesNotMatchException`."""
    return AwsError(
        "ImageDigestDoesNotMatchException",
        f"The provided image digest '{given}' does not match the digest '{computed}' of the image manifest",
    )


def layers_not_found(digests: Sequence[str], name: str, registry: str) -> AwsError:
    """`LayersNotFoundException`."""
    return AwsError(
        "LayersNotFoundException",
        f"Layers with digests '[{', '.join(digests)}]' required for pushing image into repository with name '{name}' "
        f"in the registry with id '{registry}' do not exist",
    )


def referenced_images_not_found(digests: Sequence[str], name: str, registry: str) -> AwsError:
    """`ReferencedImagesNotFoundException`: an index's children come first."""
    return AwsError(
        "ReferencedImagesNotFoundException",
        f"Images with digests '[{', '.join(digests)}]' required for pushing image into repository with name '{name}' "
        f"in the registry with id '{registry}' do not exist",
    )


def lifecycle_policy_not_found(name: str, registry: str) -> AwsError:
    """`LifecyclePolicyNotFoundException`."""
    return AwsError(
        "LifecyclePolicyNotFoundException",
        f"Lifecycle policy does not exist for the repository with name '{name}' in the registry with id '{registry}'",
    )


def lifecycle_preview_not_found(name: str, registry: str) -> AwsError:
    """`LifecyclePolicyPreviewNotFoundException`."""
    return AwsError(
        "LifecyclePolicyPreviewNotFoundException",
        f"Lifecycle policy preview does not exist for the repository with name '{name}' in the registry with id '{registry}'",
    )


def lifecycle_preview_in_progress(name: str, registry: str) -> AwsError:
    """`LifecyclePolicyPreviewInProgressException`."""
    return AwsError(
        "LifecyclePolicyPreviewInProgressException",
        f"Lifecycle policy preview is in progress for the repository with name '{name}' in the registry with id '{registry}'",
    )


def invalid_lifecycle_policy(reason: str) -> AwsError:
    """`InvalidParameterException` for a lifecycle policy that breaks the rules."""
    return invalid_parameter("LifecyclePolicyText", f"Lifecycle policy validation failure: {reason}")


def upload_not_found(upload: str, name: str, registry: str) -> AwsError:
    """`UploadNotFoundException`."""
    return AwsError(
        "UploadNotFoundException",
        f"Upload with id '{upload}' could not be found for the repository with name '{name}' "
        f"in the registry with id '{registry}'",
    )


def invalid_layer_part(upload: str, name: str, registry: str, last_byte: int) -> AwsError:
    """`InvalidLayerPartException`: parts come in order, without gaps."""
    return AwsError(
        "InvalidLayerPartException",
        f"Invalid layer part upload for upload with id '{upload}' in the repository with name '{name}' "
        f"in the registry with id '{registry}'",
        registryId=registry,
        repositoryName=name,
        uploadId=upload,
        lastValidByteReceived=last_byte,
    )


def layer_not_found(digest: str, name: str, registry: str) -> AwsError:
    """`LayersNotFoundException` for one layer that is to be downloaded."""
    return AwsError(
        "LayersNotFoundException",
        f"The layer with digest '{digest}' does not exist in the repository with name '{name}' "
        f"in the registry with id '{registry}'",
    )


def scan_type_refuses() -> AwsError:
    """`ValidationException`: enhanced scanning scans by itself."""
    return AwsError("ValidationException", "This feature is disabled")


def invalid_manifest(reason: str) -> AwsError:
    """`InvalidParameterException` for a manifest that is none."""
    return invalid_parameter("ImageManifest", reason)


def invalid_parameter(name: str, reason: str) -> AwsError:
    """`InvalidParameterException`."""
    return AwsError("InvalidParameterException", f"Invalid parameter at '{name}' failed to satisfy constraint: '{reason}'")
