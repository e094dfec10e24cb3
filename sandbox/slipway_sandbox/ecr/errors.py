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


def invalid_manifest(reason: str) -> AwsError:
    """`InvalidParameterException` for a manifest that is none."""
    return invalid_parameter("ImageManifest", reason)


def invalid_parameter(name: str, reason: str) -> AwsError:
    """`InvalidParameterException`."""
    return AwsError("InvalidParameterException", f"Invalid parameter at '{name}' failed to satisfy constraint: '{reason}'")
