"""Copies an image between registries by digest: missing blobs first, then manifests byte for byte, children before indexes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from slipway.errors import RefusedError
from slipway.oci.client import Manifest, RegistryClient, Upload

PARALLEL_BLOBS = 3
DEPTH_LIMIT = 3
"""Indexes inside indexes; one level is usual."""


@dataclass(frozen=True)
class ImageRepository:
    """A repository in a registry."""

    registry: RegistryClient
    repository: str


@dataclass(frozen=True)
class CopyCounts:
    """How far a copy is, or its result."""

    copied_blobs: int = 0
    mounted_blobs: int = 0
    skipped_blobs: int = 0
    copied_bytes: int = 0


async def copy_image(
    source: ImageRepository,
    target: ImageRepository,
    digest: str,
    tag: str | None = None,
    on_progress: Callable[[CopyCounts], None] | None = None,
) -> CopyCounts:
    """Copies an image, and tags it. Safe to repeat: what the target already has is not sent again.

    Args:
        source: Where the image is.
        target: Where it goes. Its repository must exist.
        digest: The image's digest; an index is copied with all its images.
        tag: The tag that it gets at the target.
        on_progress: Told after each chunk and each blob.

    Raises:
        RefusedError: The tag names another image, or the source is corrupt; then the target has no manifest of it.
    """
    if tag is not None:
        await _refuse_moved_tag(target, tag, digest)
    copy = _Copy(source, target, on_progress or _ignore)
    manifest = await source.registry.get_manifest(source.repository, digest)
    await copy.manifest(manifest, 0)
    if tag is not None:
        await target.registry.put_manifest(target.repository, tag, manifest.body, manifest.media_type)
    return copy.counts


async def _refuse_moved_tag(target: ImageRepository, tag: str, digest: str) -> None:
    there = await target.registry.manifest_digest(target.repository, tag)
    if there is not None and there != digest:
        tried = f"tagging {digest} as {tag} in {target.repository}"
        raise RefusedError(tried, f"the tag already names {there}", "use another tag; a tag that was promoted never moves")


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
        document = _document(manifest, tried)
        for child in _entries(document, "manifests"):
            await self.manifest(await self._source.registry.get_manifest(self._source.repository, child["digest"]), depth + 1)
        if "manifests" not in document:
            await self._blobs([*_config_entry(document), *_entries(document, "layers")])
        await target.registry.put_manifest(target.repository, manifest.digest, manifest.body, manifest.media_type)

    async def _blobs(self, blobs: Iterable[Mapping[str, Any]]) -> None:
        # The same blob may be in an image twice, and in several platforms of one index.
        # One with `urls` is a foreign layer, which no registry has to hold.
        wanted = dict(_digest_and_size(blob) for blob in blobs if not blob.get("urls"))
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
        self._count(**{field: 1})

    async def _read(self, digest: str, size: int) -> AsyncGenerator[bytes]:
        seen = 0
        async for chunk in self._source.registry.read_blob(self._source.repository, digest):
            seen += len(chunk)
            if seen > size:
                break
            self._count(copied_bytes=len(chunk))
            yield chunk
        if seen != size:
            tried = f"copying the blob {digest} of {self._source.repository}"
            found = "more" if seen > size else f"{seen:,}"
            raise RefusedError(tried, f"its manifest says {size:,} bytes, and it has {found}", "push the image again")

    def _count(self, **more: int) -> None:
        self.counts = replace(self.counts, **{name: getattr(self.counts, name) + number for name, number in more.items()})
        self._on_progress(self.counts)


def _document(manifest: Manifest, tried: str) -> Mapping[str, Any]:
    try:
        document = manifest.document
        for entry in (*_entries(document, "manifests"), *_config_entry(document), *_entries(document, "layers")):
            _digest_and_size(entry)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RefusedError(
            tried, f"it is not an image manifest: {type(error).__name__} {error}", "push the image again"
        ) from error
    if "manifests" in document and ("config" in document or "layers" in document):
        raise RefusedError(tried, "it names both images and layers", "push an image, or an index of images")
    if "manifests" not in document and "config" not in document:
        raise RefusedError(tried, "it names neither images nor a config", "push an image in OCI's or Docker's second format")
    return document


def _digest_and_size(entry: Mapping[str, Any]) -> tuple[str, int]:
    size = entry["size"]
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise ValueError(f"its size is {size!r:.60}")
    return str(entry["digest"]), size


def _entries(document: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    return cast("list[Mapping[str, Any]]", document.get(key, []))


def _config_entry(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [document["config"]] if "config" in document else []


def _ignore(counts: CopyCounts) -> None:
    del counts
