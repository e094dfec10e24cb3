"""Finds what is attached to an image and may be a signature or an attestation, within bounds. Nothing here is believed yet."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from slipway.errors import RefusedError
from slipway.oci.client import Manifest
from slipway.oci.manifests import ImageRepository, document_of, entries_in
from slipway.oci.referrers import is_about, read_small_blob, referrers_of, tag_of

SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"
DSSE = "application/vnd.dsse.envelope.v1+json"
IN_TOTO = "application/vnd.in-toto+json"
BUNDLES = (
    "application/vnd.dev.sigstore.bundle.v0.3+json",
    "application/vnd.dev.sigstore.bundle+json;version=0.3",
    "application/vnd.dev.sigstore.bundle+json;version=0.2",
    "application/vnd.dev.sigstore.bundle+json;version=0.1",
)
KINDS = (SIMPLE_SIGNING, DSSE, *BUNDLES)
MANIFESTS_LIMIT = 100
"""Manifests that are attached to one image, of whatever kind."""
ITEMS_LIMIT = 100
"""Signatures and attestations of one image."""
SIZE_LIMIT = 4_194_304
"""Bytes of one of them. An SBOM may have that much."""
TOTAL_LIMIT = 67_108_864
"""Bytes of them together."""


@dataclass(frozen=True)
class Attached:
    """One thing that is attached to an image."""

    media_type: str
    content: bytes
    annotations: Mapping[str, str]
    large: bool = False
    """Whether it has more bytes than are read; then it has no content here."""


async def read_attached(place: ImageRepository, digest: str) -> tuple[Attached, ...]:
    """What may be signatures and attestations of an image: those below cosign's tags, and its referrers.

    Args:
        place: The image's repository.
        digest: The image's digest, of an index or of one image.

    Raises:
        RefusedError: There are too many, or one of them is no manifest.
    """
    tried = f"looking for signatures of {digest} in {place.repository}"
    found: list[Attached] = []
    total = 0
    async for manifest in _manifests(place, digest, tried):
        for layer in entries_in(document_of(manifest, tried), "layers"):
            if layer.get("mediaType") not in KINDS:
                continue
            found.append(await _item(place, layer))
            total += len(found[-1].content)
            if len(found) > ITEMS_LIMIT or total > TOTAL_LIMIT:
                raise _too_many(tried, f"{ITEMS_LIMIT} signatures and attestations, or {TOTAL_LIMIT:,} bytes of them")
    return tuple(found)


async def read_build_attestations(place: ImageRepository, digest: str) -> tuple[Attached, ...]:
    """The attestations that BuildKit puts into an image's index. Nobody has signed them.

    Args:
        place: The image's repository.
        digest: The image's digest. Where it is no index, there are none.

    Raises:
        RefusedError: There are too many, or one of them is no manifest.
    """
    tried = f"looking for attestations in {digest} of {place.repository}"
    index = document_of(await place.registry.get_manifest(place.repository, digest), tried)
    entries = [entry for entry in entries_in(index, "manifests") if _is_attestation(entry)]
    found: list[Attached] = []
    for entry in entries[: MANIFESTS_LIMIT + 1]:
        manifest = await place.registry.get_manifest(place.repository, str(entry["digest"]))
        layers = entries_in(document_of(manifest, tried), "layers")
        found += [await _item(place, layer) for layer in layers[:ITEMS_LIMIT] if layer.get("mediaType") == IN_TOTO]
        if len(found) > ITEMS_LIMIT:
            raise _too_many(tried, f"{ITEMS_LIMIT} attestations")
    return tuple(found)


async def _manifests(place: ImageRepository, digest: str, tried: str) -> AsyncIterator[Manifest]:
    for suffix in ("sig", "att"):
        tagged = await place.registry.manifest_digest(place.repository, f"{tag_of(digest)}.{suffix}")
        if tagged is not None:
            yield await place.registry.get_manifest(place.repository, tagged)
    entries, _ = await referrers_of(place, digest)
    names = list(dict.fromkeys(str(entry["digest"]) for entry in entries))
    if len(names) > MANIFESTS_LIMIT:
        raise _too_many(tried, f"{MANIFESTS_LIMIT} referrers")
    for name in names:
        if await place.registry.manifest_digest(place.repository, name) is None:
            continue  # a list that is kept under a tag may name what was removed since
        manifest = await place.registry.get_manifest(place.repository, name)
        if is_about(manifest, digest):
            yield manifest


async def _item(place: ImageRepository, layer: Mapping[str, Any]) -> Attached:
    texts = {key: value for key, value in _annotations(layer).items() if isinstance(value, str)}
    large = int(layer["size"]) > SIZE_LIMIT
    content = b"" if large else await read_small_blob(place, layer, SIZE_LIMIT)
    return Attached(str(layer["mediaType"]), content, texts, large)


def _is_attestation(entry: Mapping[str, Any]) -> bool:
    return _annotations(entry).get("vnd.docker.reference.type") == "attestation-manifest"


def _annotations(descriptor: Mapping[str, Any]) -> Mapping[str, Any]:
    found = descriptor.get("annotations")
    return cast("Mapping[str, Any]", found) if isinstance(found, Mapping) else {}


def _too_many(tried: str, allowed: str) -> RefusedError:
    return RefusedError(tried, f"there are more than {allowed}", "remove what is not needed any more")
