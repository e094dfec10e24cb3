"""Copies an image between registries by digest: missing blobs first, then manifests byte for byte, children before indexes.

What belongs to it comes along: signatures, SBOMs and attestations, by cosign's tags and as OCI's referrers. The tag comes last:
where it names the digest, the image is whole.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from slipway.errors import NeedsPersonError, RefusedError
from slipway.oci.client import INDEX_TYPES, Manifest, Upload
from slipway.oci.manifests import (
    DEPTH_LIMIT,
    ImageRepository,
    blobs_in,
    digest_and_size,
    document_of,
    entries_in,
    read_tree,
)
from slipway.oci.referrers import COSIGN_SUFFIXES, is_about, referrers_of, tag_of

PARALLEL_BLOBS = 3
REFERRERS_LIMIT = 100
"""Signatures, SBOMs and attestations of one image, with those of its platforms."""
REFERRERS_BYTES = 1_073_741_824
"""Bytes of them together."""
_IGNORE = "remove what is not needed any more, or write `referrers: ignore` below spec.image"


@dataclass(frozen=True)
class CopyCounts:
    """How far a copy is, or its result."""

    copied_blobs: int = 0
    mounted_blobs: int = 0
    skipped_blobs: int = 0
    copied_bytes: int = 0
    referrers: int = 0
    """Signatures, SBOMs and attestations that the target has as the source has them."""
    other_referrers: int = 0
    """Those whose tag names something else at the target, which is left as it is."""


async def copy_image(
    source: ImageRepository,
    target: ImageRepository,
    digest: str,
    tag: str | None = None,
    on_progress: Callable[[CopyCounts], None] | None = None,
    *,
    referrers: bool = True,
) -> CopyCounts:
    """Copies an image, and tags it. Safe to repeat: what the target already has is not sent again, and a tag is put once.

    Args:
        source: Where the image is.
        target: Where it goes. Its repository must exist.
        digest: The image's digest; an index is copied with all its images.
        tag: The tag that it gets at the target.
        on_progress: Told after each chunk and each blob.
        referrers: Whether signatures, SBOMs and attestations come along.

    Raises:
        RefusedError: The tag names another image, there is no image behind the digest, or the source is corrupt; then the target
            has no manifest of it.
    """
    tagged = tag is not None and await is_tagged(target, tag, digest)
    copy = _Copy(source, target, on_progress or _ignore)
    tree = await read_tree(source, digest)
    if not tagged:
        await copy.manifest(tree.root, 0)
    if referrers:
        await _Referrers(source, target, copy).of(tree.manifests)
    if tag is not None and not tagged:
        await _put_tag(target, tag, tree.root)
    return copy.counts


async def is_tagged(target: ImageRepository, tag: str, digest: str) -> bool:
    """Whether the tag names the digest already, so that there is nothing to copy.

    Args:
        target: Where the image goes.
        tag: The tag that it gets there.
        digest: The image's digest.

    Raises:
        RefusedError: It names another.
    """
    there = await target.registry.manifest_digest(target.repository, tag)
    if there is not None and there != digest:
        tried = f"tagging {digest} as {tag} in {target.repository}"
        raise RefusedError(tried, f"the tag already names {there}", "use another tag; a tag that was promoted never moves")
    return there is not None


async def _put_tag(target: ImageRepository, tag: str, manifest: Manifest) -> None:
    try:
        await target.registry.put_manifest(target.repository, tag, manifest.body, manifest.media_type)
    except RefusedError:
        # Where tags are immutable, one that another attempt has put meanwhile is refused although it names the same digest.
        if not await is_tagged(target, tag, manifest.digest):
            raise


class _Copy:
    """One copy in progress."""

    def __init__(self, source: ImageRepository, target: ImageRepository, on_progress: Callable[[CopyCounts], None]) -> None:
        self.counts = CopyCounts()
        self._source = source
        self._target = target
        self._on_progress = on_progress
        self._done: set[str] = set()
        self._slots = asyncio.Semaphore(PARALLEL_BLOBS)

    async def manifest(self, manifest: Manifest, depth: int) -> None:
        """Copies a manifest after everything that it refers to; a registry refuses it otherwise."""
        target = self._target
        if await target.registry.manifest_digest(target.repository, manifest.digest) is not None:
            return
        tried = f"copying the manifest {manifest.digest} of {self._source.repository}"
        if depth > DEPTH_LIMIT:
            raise RefusedError(tried, "the indexes are nested too deeply", "push the image's own index")
        document = document_of(manifest, tried)
        for child in entries_in(document, "manifests"):
            await self.manifest(await self._source.registry.get_manifest(self._source.repository, child["digest"]), depth + 1)
        if "manifests" not in document:
            await self._blobs(blobs_in(document))
        await target.registry.put_manifest(target.repository, manifest.digest, manifest.body, manifest.media_type)

    async def _blobs(self, blobs: Iterable[Mapping[str, Any]]) -> None:
        # The same blob may be in an image twice, and in several platforms of one index.
        # One with `urls` is a foreign layer, which no registry has to hold.
        wanted = dict(digest_and_size(blob) for blob in blobs if not blob.get("urls"))
        missing = {digest: size for digest, size in wanted.items() if digest not in self._done}
        try:
            async with asyncio.TaskGroup() as group:
                for digest, size in missing.items():
                    group.create_task(self._blob(digest, size))
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from errors

    async def _blob(self, digest: str, size: int) -> None:
        source, target = self._source, self._target
        mount = source.repository if source.registry.base_url == target.registry.base_url else None
        async with self._slots:
            end = await target.registry.upload_blob(target.repository, digest, size, lambda: self._read(digest, size), mount)
        self._done.add(digest)
        field = {Upload.existing: "skipped_blobs", Upload.mounted: "mounted_blobs", Upload.uploaded: "copied_blobs"}[end]
        self.count(**{field: 1})

    async def _read(self, digest: str, size: int) -> AsyncGenerator[bytes]:
        seen = 0
        async for chunk in self._source.registry.read_blob(self._source.repository, digest):
            seen += len(chunk)
            if seen > size:
                break
            self.count(copied_bytes=len(chunk))
            yield chunk
        if seen != size:
            tried = f"copying the blob {digest} of {self._source.repository}"
            found = "more" if seen > size else f"{seen:,}"
            raise RefusedError(tried, f"its manifest says {size:,} bytes, and it has {found}", "push the image again")

    def count(self, **more: int) -> None:
        """Adds to the counts, and tells of it."""
        self.counts = replace(self.counts, **{name: getattr(self.counts, name) + number for name, number in more.items()})
        self._on_progress(self.counts)


class _Referrers:
    """What belongs to an image, on its way to another registry.

    Args:
        source: Where the image is.
        target: Where it goes, and where it is already.
        copy: Copies a manifest with all that it refers to.
    """

    def __init__(self, source: ImageRepository, target: ImageRepository, copy: _Copy) -> None:
        self._source = source
        self._target = target
        self._copy = copy
        self._bytes = 0
        self._found: set[str] = set()

    async def of(self, subjects: Iterable[str]) -> None:
        """Copies what belongs to some manifests, and what belongs to that in turn."""
        queue = list(subjects)
        for subject in queue:
            for suffix in COSIGN_SUFFIXES:
                await self._tagged(f"{tag_of(subject)}.{suffix}")
            queue += await self._listed(subject)

    async def _tagged(self, tag: str) -> None:
        """What cosign keeps under a tag. One that the target has already, with other signatures, is not written over."""
        source, target = self._source, self._target
        digest = await source.registry.manifest_digest(source.repository, tag)
        if digest is None:
            return
        there = await target.registry.manifest_digest(target.repository, tag)
        if there is not None:
            self._copy.count(**{"referrers" if there == digest else "other_referrers": 1})
            return
        manifest = await source.registry.get_manifest(source.repository, digest)
        await self._bring(manifest)
        await _put_tag(target, tag, manifest)
        self._copy.count(referrers=1)

    async def _listed(self, subject: str) -> list[str]:
        """Copies what names a manifest as its subject, and returns the digests."""
        source, target = self._source, self._target
        wanted = {str(entry["digest"]): entry for entry in (await referrers_of(source, subject))[0]}
        if not wanted:
            return []
        there, has_list = await referrers_of(target, subject)
        present = {str(entry["digest"]) for entry in there}
        brought: list[str] = []
        for digest in wanted:
            if digest in self._found:
                continue
            if digest in present:
                self._note(digest)
            elif await source.registry.manifest_digest(source.repository, digest) is None:
                continue  # a list that is kept under a tag may name what was removed since
            else:
                manifest = await source.registry.get_manifest(source.repository, digest)
                if not is_about(manifest, subject):
                    continue
                await self._bring(manifest)
            brought.append(digest)
        if not has_list and (missing := [wanted[digest] for digest in brought if digest not in present]):
            await self._put_list(subject, [*there, *missing])
        self._copy.count(referrers=len(brought))
        return brought

    async def _bring(self, manifest: Manifest) -> None:
        tried = f"copying what belongs to the image in {self._source.repository}"
        document = document_of(manifest, tried)
        parts = (*entries_in(document, "manifests"), *blobs_in(document))
        self._note(manifest.digest, len(manifest.body) + sum(digest_and_size(part)[1] for part in parts))
        await self._copy.manifest(manifest, 0)

    def _note(self, digest: str, size: int = 0) -> None:
        self._found.add(digest)
        self._bytes += size
        if len(self._found) > REFERRERS_LIMIT or self._bytes > REFERRERS_BYTES:
            allowed = f"{REFERRERS_LIMIT} signatures, SBOMs and attestations, or {REFERRERS_BYTES:,} bytes of them"
            raise RefusedError(
                f"copying what belongs to the image in {self._source.repository}", f"there are more than {allowed}", _IGNORE
            )

    async def _put_list(self, subject: str, entries: list[Mapping[str, Any]]) -> None:
        """Writes the list that a registry does not keep itself, under the tag that the specification has for it."""
        index = {"schemaVersion": 2, "mediaType": INDEX_TYPES[0], "manifests": entries}
        target, tag = self._target, tag_of(subject)
        try:
            await target.registry.put_manifest(target.repository, tag, json.dumps(index).encode(), INDEX_TYPES[0])
        except RefusedError as error:
            tried = f"listing what belongs to {subject} in {target.repository} by the tag {tag}"
            remedy = f"let this tag move (the registry has no list of referrers), or {_IGNORE}; then retry"
            raise NeedsPersonError(tried, error.report.answered, remedy) from error


def _ignore(counts: CopyCounts) -> None:
    del counts
