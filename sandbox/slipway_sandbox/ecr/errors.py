"""ECR's errors, in its words."""

from __future__ import annotations

from collections.abc import Sequence

from slipway_sandbox.containers.image_uri import ImageUri
from slipway_sandbox.core.errors import AwsError


class ImageNotFoundError(LookupError):
    """No such image to pull. The text is containerd's, as ECS shows it after `CannotPullContainerError: `."""

    def __init__(self, uri: ImageUri) -> None:
        super().__init__(f"failed to resolve ref {uri}: {uri}: not found")
        self.uri = uri


def of_repository(code: str, name: str, registry: str, problem: str) -> AwsError:
    """What ends with the name of a repository and its registry, as most of ECR's errors do."""
    return AwsError(code, f"{problem} the repository with name '{name}' in the registry with id '{registry}'")


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
    return of_repository("RepositoryPolicyNotFoundException", name, registry, "Repository policy does not exist for")


def image_not_found(image_id: str, name: str, registry: str) -> AwsError:
    """`ImageNotFoundException`. `image_id` is ECR's own notation, such as `{imageDigest:'null', imageTag:'v1'}`."""
    return of_repository("ImageNotFoundException", name, registry, f"The image with imageId {image_id} does not exist within")


def scan_not_found(image_id: str, name: str, registry: str) -> AwsError:
    """`ScanNotFoundException`."""
    return of_repository("ScanNotFoundException", name, registry, f"Image scan does not exist for the image with '{image_id}' in")


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
    return of_repository("LifecyclePolicyNotFoundException", name, registry, "Lifecycle policy does not exist for")


def invalid_lifecycle_policy(reason: str) -> AwsError:
    """`InvalidParameterException` for a lifecycle policy that breaks the rules."""
    return invalid_parameter("LifecyclePolicyText", f"Lifecycle policy validation failure: {reason}")


def too_many_repositories(registry: str, limit: int) -> AwsError:
    """`LimitExceededException` for one more repository."""
    return AwsError(
        "LimitExceededException",
        f"The registry with id '{registry}' already has the maximum allowed number of repositories which is '{limit}'",
    )


def too_many_images(name: str, registry: str, limit: int) -> AwsError:
    """`LimitExceededException` for one more image."""
    return AwsError(
        "LimitExceededException",
        f"The repository with name '{name}' in registry with id '{registry}' already has the maximum allowed number of images "
        f"which is '{limit}'",
    )


def too_many_tags_of_image(tag: str, name: str, registry: str, limit: int) -> AwsError:
    """`LimitExceededException` for one more tag of an image."""
    return AwsError(
        "LimitExceededException",
        f"Adding tag '{tag}' to an image in the repository with name '{name}' in registry with id '{registry}' exceeds the "
        f"maximum allowed number of tags per image which is '{limit}'",
    )


def too_many_tags() -> AwsError:
    """`TooManyTagsException`: a resource has 50 tags at most."""
    return AwsError("TooManyTagsException", "The list of tags on the repository is over the limit of 50 tags")


def invalid_tag(reason: str) -> AwsError:
    """`InvalidTagParameterException`."""
    return AwsError("InvalidTagParameterException", f"Invalid parameter at 'tags' failed to satisfy constraint: '{reason}'")


def scan_type_refuses() -> AwsError:
    """`ValidationException`: enhanced scanning scans by itself."""
    return AwsError("ValidationException", "This feature is disabled")


def invalid_manifest(reason: str) -> AwsError:
    """`InvalidParameterException` for a manifest that is none."""
    return invalid_parameter("ImageManifest", reason)


def invalid_parameter(name: str, reason: str) -> AwsError:
    """`InvalidParameterException`."""
    return AwsError("InvalidParameterException", f"Invalid parameter at '{name}' failed to satisfy constraint: '{reason}'")
