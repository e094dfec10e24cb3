"""Pulls images: finds the manifest for this machine, and unpacks it once."""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import tempfile
import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from pydantic import ConfigDict, Field

from slipway_sandbox.containers import roots
from slipway_sandbox.containers.errors import ImagePullError, LayerError
from slipway_sandbox.containers.image_uri import ImageUri
from slipway_sandbox.containers.layers import Budget, Unpacker
from slipway_sandbox.core.models import Frozen

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
CA_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
"""Where distributions keep the certificates that TLS clients trust."""
INDEXES_DEEP = 3


class Manifest(Protocol):
    """A manifest or index as the registry stores it."""

    @property
    def digest(self) -> str:
        """The sha256 of the body."""
        ...

    @property
    def body(self) -> bytes:
        """The exact bytes."""
        ...


class ImageSource(Protocol):
    """Where manifests and blobs come from: the sandbox's registry."""

    def find_manifest(self, uri: ImageUri) -> Manifest:
        """The manifest or index of a name. Raises LookupError with the reason if there is none."""
        ...

    def blob_path(self, digest: str) -> Path:
        """The file of a blob."""
        ...


class Document(Frozen):
    """A part of what OCI's image specification calls manifest, index and configuration; what is not needed is ignored."""

    model_config = ConfigDict(extra="ignore")


class Platform(Document):
    """The machines that an index's child is for."""

    os: str = ""
    architecture: str = ""


class Descriptor(Document):
    """A reference to a blob or manifest."""

    digest: str
    platform: Platform | None = None


class IndexBody(Document):
    """An index, or another document."""

    manifests: tuple[Descriptor, ...] | None = None


class ManifestBody(Document):
    """A manifest."""

    config: Descriptor
    layers: tuple[Descriptor, ...]


class ImageConfig(Document):
    """What an image says about how it runs (`config` of an OCI image configuration)."""

    user: str | None = Field(default=None, alias="User")
    environment: tuple[str, ...] | None = Field(default=None, alias="Env")
    entry_point: tuple[str, ...] | None = Field(default=None, alias="Entrypoint")
    command: tuple[str, ...] | None = Field(default=None, alias="Cmd")
    working_directory: str | None = Field(default=None, alias="WorkingDir")
    labels: Mapping[str, str] | None = Field(default=None, alias="Labels")

    @property
    def variables(self) -> dict[str, str]:
        """The environment by name."""
        pairs = (entry.partition("=") for entry in self.environment or ())
        return {name: value for name, _, value in pairs}


class RootFs(Document):
    """The digests of the unpacked layers, lowest first."""

    diff_ids: tuple[str, ...] = ()


class ImageDescription(Document):
    """An OCI image configuration."""

    config: ImageConfig | None = None
    rootfs: RootFs = RootFs()


@dataclass(frozen=True)
class Image:
    """An image that is unpacked and ready to run."""

    digest: str
    """What the name stood for when it was pulled: the digest of the index, where it is one, as ECS reports it."""
    manifest_digest: str
    """The manifest for this machine; the same as `digest` unless that is an index."""
    config: ImageConfig
    root: Path
    """The unpacked file system, shared by all containers of images with these layers, read-only to them."""

    @property
    def labels(self) -> Mapping[str, str]:
        """The image's labels."""
        return self.config.labels or {}


class ImageStore:
    """Unpacked images, one folder for all that have the same layers. Images that differ in their configuration alone share it.

    Args:
        folder: Where they are kept; it belongs to this process.
        source: The registry.
        size_limit: Bytes that one image may unpack to.
    """

    def __init__(self, folder: Path, source: ImageSource, size_limit: int) -> None:
        self._folder = folder
        self._source = source
        self._size_limit = size_limit
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for left_over in folder.glob(".unpacking-*"):
            # A process before this one was killed in the middle.
            shutil.rmtree(left_over, ignore_errors=True)

    def pull(self, uri: str) -> Image:
        """Find and unpack an image. Safe to call from many threads.

        Raises:
            ImagePullError: There is no image of that name for this machine, or it is damaged.
        """
        try:
            name = ImageUri.parse(uri)
        except ValueError as error:
            raise ImagePullError(f"failed to resolve ref {uri}: {error}") from error
        try:
            named = self._find(name)
            manifest = self._for_this_machine(name, named)
            content = ManifestBody.model_validate_json(manifest.body)
            described = ImageDescription.model_validate_json(self._read_blob(content.config.digest))
            blobs = [self._source.blob_path(layer.digest) for layer in content.layers]
        except ValueError as error:
            raise ImagePullError(
                f"failed to read the image {uri}: its manifest or config is not an OCI image: {error}"
            ) from error
        root = self._unpack_once(uri, name_of(content.layers, described.rootfs.diff_ids), blobs, described.rootfs.diff_ids)
        return Image(digest=named.digest, manifest_digest=manifest.digest, config=described.config or ImageConfig(), root=root)

    def _find(self, name: ImageUri) -> Manifest:
        try:
            return self._source.find_manifest(name)
        except LookupError as error:
            raise ImagePullError(f"pull image manifest has been retried 1 time(s): {error.args[0]}") from error

    def _for_this_machine(self, name: ImageUri, manifest: Manifest) -> Manifest:
        for _ in range(INDEXES_DEEP):
            children = IndexBody.model_validate_json(manifest.body).manifests
            if children is None:
                return manifest
            digest = choose_platform(name, children)
            manifest = self._find(replace(name, tag=None, digest=digest))
        raise ImagePullError(f"the image {name} is an index of indexes of indexes")

    def _read_blob(self, digest: str) -> bytes:
        try:
            return self._source.blob_path(digest).read_bytes()
        except OSError as error:
            raise ImagePullError(f"failed to copy: httpReadSeeker: failed open: blob {digest} not found") from error

    def _unpack_once(self, uri: str, name: str, blobs: list[Path], diff_ids: Sequence[str]) -> Path:
        home = self._folder / name
        with self._locks[name]:
            if not home.exists():
                try:
                    self._unpack(home, blobs, diff_ids)
                except (LayerError, OSError) as error:
                    raise ImagePullError(f"failed to extract layer of {uri}: {error}") from error
        return home / "rootfs"

    def _unpack(self, home: Path, blobs: list[Path], diff_ids: Sequence[str]) -> None:
        work = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=self._folder))
        try:
            root = work / "rootfs"
            root.mkdir()
            unpacker = Unpacker(root, Budget(self._size_limit))
            for number, blob in enumerate(blobs):
                unpacker.apply(blob, diff_ids[number] if number < len(diff_ids) else None)
            prepare(root)
            # What has this name is complete, whatever happens to the process.
            work.rename(home)
        except BaseException:
            shutil.rmtree(work, ignore_errors=True)
            raise


def name_of(layers: Sequence[Descriptor], diff_ids: Sequence[str]) -> str:
    """A name for what layers unpack to. The diff ids are part of it: each of them is checked once, when the layers are unpacked.

    Args:
        layers: As the manifest lists them.
        diff_ids: As the config does.
    """
    listed = json.dumps([[layer.digest for layer in layers], list(diff_ids)])
    return hashlib.sha256(listed.encode()).hexdigest()


def choose_platform(name: ImageUri, children: Sequence[Descriptor]) -> str:
    """The digest of an index's child for this machine.

    Raises:
        ImagePullError: It has no image for this machine.
    """
    machine = ARCHITECTURES.get(platform.machine(), platform.machine())
    for child in children:
        if child.platform and (child.platform.os, child.platform.architecture) == ("linux", machine):
            return child.digest
    raise ImagePullError(
        f"image Manifest does not contain descriptor matching platform 'linux/{machine}': {name} was built for other machines"
    )


def prepare(root: Path) -> None:
    """Make the mount points that every container needs."""
    for name in ("proc", "dev", "tmp"):
        roots.make_plain_folder(root, name)
    for path in ("/etc/hosts", "/etc/resolv.conf"):
        roots.make_mount_point(root, path, is_file=True)
    if not any(roots.resolve(root, bundle).is_file() for bundle in CA_BUNDLES):
        roots.make_mount_point(root, CA_BUNDLES[0], is_file=True)
