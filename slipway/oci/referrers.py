"""What belongs to an image in its repository: by cosign's tags, and as OCI's referrers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slipway.errors import RefusedError
from slipway.oci.client import Manifest, entries_of
from slipway.oci.manifests import ImageRepository, digest_and_size

COSIGN_SUFFIXES = ("sig", "att", "sbom")


def tag_of(digest: str) -> str:
    """The tag under which a registry without a list of referrers keeps one; cosign's have a suffix behind it."""
    return digest.replace(":", "-")


async def referrers_of(place: ImageRepository, subject: str) -> tuple[list[Mapping[str, Any]], bool]:
    """What names a manifest as its subject, and whether the registry keeps the list itself."""
    listed = await place.registry.list_referrers(place.repository, subject)
    if listed is not None:
        return listed, True
    tag = tag_of(subject)
    digest = await place.registry.manifest_digest(place.repository, tag)
    if digest is None:
        return [], False
    index = await place.registry.get_manifest(place.repository, digest)
    return entries_of(f"reading the list {tag} of {place.repository}", index.body), False


def is_about(manifest: Manifest, subject: str) -> bool:
    """Whether a manifest names the subject. A list may be wrong, or stale."""
    try:
        return manifest.document["subject"]["digest"] == subject
    except (ValueError, KeyError, TypeError):
        return False


async def read_small_blob(place: ImageRepository, descriptor: Mapping[str, Any], limit: int) -> bytes:
    """A blob that fits into memory.

    Args:
        place: Where it is.
        descriptor: Its digest and size, as a manifest has them.
        limit: The most bytes that it may have.

    Raises:
        RefusedError: It has more bytes than the limit or its descriptor, or other ones than its digest says.
    """
    digest, size = digest_and_size(descriptor)
    content = bytearray()
    if size <= limit:
        async for chunk in place.registry.read_blob(place.repository, digest):
            content += chunk
            if len(content) > size:
                break
    if size > limit or len(content) > size:
        tried = f"reading the blob {digest} of {place.repository}"
        raise RefusedError(tried, f"it has more than {min(size, limit):,} bytes", "remove it, or make it smaller")
    return bytes(content)
