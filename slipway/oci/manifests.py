"""What manifests and indexes say: checked, and followed to the images that an index stands for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from slipway.errors import RefusedError
from slipway.oci.client import DIGEST, IMAGE_TYPES, INDEX_TYPES, Manifest, RegistryClient

DEPTH_LIMIT = 3
"""Indexes inside indexes; one level is usual."""
MANIFESTS_LIMIT = 200
"""Manifests of one image, in all its indexes together."""
IMAGE_CONFIGS = frozenset(
    {
        "application/vnd.oci.image.config.v1+json",
        "application/vnd.docker.container.image.v1+json",
        "application/octet-stream",
    }
)
"""What a manifest's config is where it is an image that runs; the last is of Docker before 1.10."""
_PUSH_AGAIN = "push the image again"


@dataclass(frozen=True)
class ImageRepository:
    """A repository in a registry."""

    registry: RegistryClient
    repository: str


@dataclass(frozen=True)
class ImageTree:
    """The digests that an image's digest stands for."""

    root: Manifest
    """The manifest of the digest itself."""
    manifests: tuple[str, ...]
    """The digest itself and all below it, attestations among them."""
    images: tuple[str, ...]
    """Those of the images that run: one, or one for each platform."""


def document_of(manifest: Manifest, tried: str) -> Mapping[str, Any]:
    """A manifest's JSON, which names either images or a config and layers, each with digest and size.

    Raises:
        RefusedError: It does not.
    """
    try:
        document = manifest.document
        for entry in (*entries_in(document, "manifests"), *blobs_in(document)):
            digest_and_size(entry)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RefusedError(tried, f"it is not an image manifest: {type(error).__name__} {error}", _PUSH_AGAIN) from error
    if "manifests" in document and ("config" in document or "layers" in document):
        raise RefusedError(tried, "it names both images and layers", "push an image, or an index of images")
    if "manifests" not in document and "config" not in document:
        raise RefusedError(tried, "it names neither images nor a config", "push an image in OCI's or Docker's second format")
    return document


def entries_in(document: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    """The descriptors under a key. Programs in Go write null for none."""
    return cast("list[Mapping[str, Any]]", document.get(key) or [])


def blobs_in(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The descriptors of a manifest's blobs."""
    if "config" in document:
        yield cast("Mapping[str, Any]", document["config"])
    yield from entries_in(document, "layers")


def digest_and_size(entry: Mapping[str, Any]) -> tuple[str, int]:
    """What a descriptor names.

    Raises:
        ValueError: Its size or its digest is none.
    """
    size, digest = entry["size"], str(entry["digest"])
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise ValueError(f"its size is {size!r:.60}")
    if not DIGEST.fullmatch(digest):
        raise ValueError(f"{digest[:80]!r} is not a sha256 digest")
    return digest, size


async def read_tree(place: ImageRepository, digest: str) -> ImageTree:
    """Follows an image's indexes.

    Raises:
        RefusedError: There is no image in them, they are nested too deeply, or have too many manifests.
    """
    tried = f"reading the image {digest} of {place.repository}"
    root = await place.registry.get_manifest(place.repository, digest)
    manifests, images = [digest], list[str]()
    indexes = [(root, 0)]
    while indexes:
        manifest, depth = indexes.pop(0)
        document = document_of(manifest, tried)
        if "manifests" not in document:
            kind = artifact_type(document)
            if kind and manifest is root:
                raise RefusedError(tried, f"it is no image that runs: its type is {kind[:100]}", "name the image itself")
            images += [] if kind else [manifest.digest]  # the digest itself, or an entry that was not called an image
            continue
        if depth >= DEPTH_LIMIT:
            raise RefusedError(tried, "the indexes are nested too deeply", "push the image's own index")
        fresh = {str(entry["digest"]): entry for entry in entries_in(document, "manifests") if entry["digest"] not in manifests}
        manifests += fresh
        if len(manifests) > MANIFESTS_LIMIT:
            raise RefusedError(tried, f"it has more than {MANIFESTS_LIMIT} manifests", "push an index of fewer images")
        images += [child for child, entry in fresh.items() if entry.get("mediaType") in IMAGE_TYPES and runs(entry)]
        unclear = [child for child, entry in fresh.items() if _is_to_be_read(entry)]
        indexes += [(await place.registry.get_manifest(place.repository, child), depth + 1) for child in unclear]
    if not images:
        raise RefusedError(
            tried, "it is an index without an image that could run", "push the image itself, or an index that names it"
        )
    return ImageTree(root, tuple(manifests), tuple(images))


def artifact_type(document: Mapping[str, Any]) -> str | None:
    """What a manifest is that is no image: a chart, an SBOM, a signature; none for an image."""
    kind = str(document.get("artifactType") or document["config"].get("mediaType") or "")
    return None if not kind or kind in IMAGE_CONFIGS else kind


def _is_to_be_read(entry: Mapping[str, Any]) -> bool:
    """Whether only an entry's manifest says what it is: the copy goes by that, too, whatever the index calls it."""
    kind = entry.get("mediaType")
    return kind in INDEX_TYPES or (kind not in IMAGE_TYPES and runs(entry))


def runs(entry: Mapping[str, Any]) -> bool:
    """Whether an entry of an index is an image that runs; build tools also add attestations, of no platform."""
    if entry.get("artifactType"):
        return False
    platform = entry.get("platform")
    return not isinstance(platform, Mapping) or cast("Mapping[str, Any]", platform).get("architecture", "unknown") != "unknown"
