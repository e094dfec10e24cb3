"""Writes OCI images without a container engine: deterministic layers, and a folder in OCI's image layout that keeps them.

A layer is named by a key that follows from its sources. What has been built for a key is never built again.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from pydantic import BaseModel, ConfigDict

LAYER = "application/vnd.oci.image.layer.v1.tar"
CONFIG = "application/vnd.oci.image.config.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
EPOCH = "1970-01-01T00:00:00Z"
MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


class Descriptor(BaseModel):
    """A reference to a blob, as OCI writes it."""

    model_config = ConfigDict(frozen=True)

    media_type: str
    digest: str
    size: int

    def to_oci(self) -> dict[str, Any]:
        """The descriptor as it stands in a manifest."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size}


class BuiltImage(BaseModel):
    """An image in a layout folder.

    Attributes:
        layout: The folder, in OCI's image layout.
        name: The image's reference name in the layout; `oci:<layout>:<name>` for skopeo.
        digest: The digest of its manifest.
        config: Its configuration.
        layers: Its layers, lowest first.
    """

    model_config = ConfigDict(frozen=True)

    layout: Path
    name: str
    digest: str
    config: Descriptor
    layers: tuple[Descriptor, ...]

    @property
    def size(self) -> int:
        """The bytes of its layers."""
        return sum(layer.size for layer in self.layers)

    @property
    def manifest(self) -> bytes:
        """The manifest's exact bytes."""
        return self.blob(self.digest).read_bytes()

    def blob(self, digest: str) -> Path:
        """The file of a blob."""
        return self.layout / "blobs" / digest.replace(":", "/")


class Layout:
    """A folder in OCI's image layout with a cache of layers beside it. Safe for many processes at once.

    Args:
        folder: Made if it is not there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self._blobs = self.folder / "blobs" / "sha256"
        self._cache = self.folder / "cache"
        self._blobs.mkdir(parents=True, exist_ok=True)
        self._cache.mkdir(exist_ok=True)

    def layer(self, name: str, key: str, stage: Callable[[Path], None]) -> Descriptor:
        """The layer of that key; built by `stage`, which fills an empty folder with the layer's tree, unless it is there.

        Args:
            name: For people who look into the cache.
            key: Hexadecimal digits that follow from everything the layer is made of.
            stage: Called at most once for a key, however many processes ask.
        """

        def build(file: Path) -> None:
            with tempfile.TemporaryDirectory(dir=self.folder, prefix=".staging-") as staging:
                stage(Path(staging))
                descriptor = self._add_blob(LAYER, lambda blob: write_tar(Path(staging), blob))
            file.write_text(descriptor.model_dump_json(), encoding="utf-8")

        stored = self.cached(f"{name}-{key[:16]}.json", build)
        descriptor = Descriptor.model_validate_json(stored.read_bytes())
        if not self._path(descriptor.digest).exists():
            # Somebody removed the blob and left the note about it.
            stored.unlink()
            return self.layer(name, key, stage)
        return descriptor

    def cached(self, name: str, build: Callable[[Path], None]) -> Path:
        """A file that `build` writes once; a build that was cut short leaves none."""
        file = self._cache / name
        if file.exists():
            return file
        with locked(self._cache / f"{name}.lock"):
            if not file.exists():
                part = file.with_name(f".{name}.part")
                build(part)
                part.replace(file)
        return file

    def image(self, name: str, layers: Sequence[Descriptor], config: Mapping[str, Any], machine: str) -> BuiltImage:
        """Puts layers and configuration together as one image.

        Args:
            name: Its reference name in the layout; a name that is there already is moved.
            layers: Lowest first.
            config: The `config` object of an OCI image configuration (`Env`, `Entrypoint`, …).
            machine: As `platform.machine()` says it.
        """
        description = {
            "created": EPOCH,
            "architecture": MACHINES.get(machine, machine),
            "os": "linux",
            "config": dict(config),
            # The layers are not compressed, so that a layer's digest is also its diff id.
            "rootfs": {"type": "layers", "diff_ids": [layer.digest for layer in layers]},
        }
        stored = self._add_document(CONFIG, description)
        manifest = self._add_document(
            MANIFEST,
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": stored.to_oci(),
                "layers": [layer.to_oci() for layer in layers],
            },
        )
        self._name(name, manifest)
        return BuiltImage(layout=self.folder, name=name, digest=manifest.digest, config=stored, layers=tuple(layers))

    def _path(self, digest: str) -> Path:
        return self._blobs / digest.removeprefix("sha256:")

    def _add_document(self, media_type: str, content: Mapping[str, Any]) -> Descriptor:
        body = json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
        digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
        if not self._path(digest).exists():
            self._add_blob(media_type, lambda blob: blob.write(body))
        return Descriptor(media_type=media_type, digest=digest, size=len(body))

    def _add_blob(self, media_type: str, write: Callable[[IO[bytes]], object]) -> Descriptor:
        with tempfile.NamedTemporaryFile(dir=self.folder, prefix=".blob-", delete=False) as file:
            try:
                write(file)
                file.flush()
                os.fchmod(file.fileno(), 0o644)
                with Path(file.name).open("rb") as written:
                    digest = f"sha256:{hashlib.file_digest(written, 'sha256').hexdigest()}"
                size = os.fstat(file.fileno()).st_size
                Path(file.name).replace(self._path(digest))
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
        return Descriptor(media_type=media_type, digest=digest, size=size)

    def _name(self, name: str, manifest: Descriptor) -> None:
        entry = {**manifest.to_oci(), "annotations": {"org.opencontainers.image.ref.name": name}}
        index = self.folder / "index.json"
        with locked(self._cache / "index.lock"):
            known: list[dict[str, Any]] = json.loads(index.read_text(encoding="utf-8"))["manifests"] if index.exists() else []
            if entry in known:
                return
            others = [one for one in known if one["annotations"] != entry["annotations"]]
            content = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [*others, entry]}
            part = self.folder / ".index.json.part"
            part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
            part.replace(index)
            (self.folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}\n', encoding="utf-8")


def write_tar(tree: Path, target: IO[bytes]) -> None:
    """Writes a folder's content as a tar in which nothing tells who made it, or when."""
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(tree.rglob("*")):
            member = archive.gettarinfo(path, arcname=path.relative_to(tree).as_posix())
            member.uid = member.gid = 0
            member.uname = member.gname = ""
            member.mtime = 0
            # Two names of one file would be written as a link, and a cache that links files would change the layer.
            if member.islnk():
                member.type, member.linkname, member.size = tarfile.REGTYPE, "", path.stat().st_size
            member.mode = mode_of(member)
            if member.isreg():
                with path.open("rb") as content:
                    archive.addfile(member, content)
            else:
                archive.addfile(member)


def mode_of(member: tarfile.TarInfo) -> int:
    """The file's mode without what the builder's umask did to it."""
    if member.issym():
        return 0o777
    if member.isdir():
        return 0o1777 if member.mode & 0o1000 else 0o755
    return 0o755 if member.mode & 0o100 else 0o644


def cache_folder() -> Path:
    """The folder in the user's cache for what takes long to build, so that fresh checkouts need not build it again."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "slipway"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def locked(file: Path) -> Generator[None]:
    """Holds a lock that other processes and threads wait for; it ends with the process."""
    with file.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def key_of(*parts: object) -> str:
    """A key that follows from all parts: text, bytes, numbers, or anything with a stable `repr`."""
    digest = hashlib.sha256()
    for part in parts:
        content = part if isinstance(part, bytes) else repr(part).encode()
        digest.update(len(content).to_bytes(8, "big") + content)
    return digest.hexdigest()


def copy_tree(source: Path, target: Path, skip: Callable[[Path], bool] = lambda _: False) -> None:
    """Copies files and folders, following links, without those that `skip` names."""

    def ignored(folder: str, names: list[str]) -> list[str]:
        return [name for name in names if skip(Path(folder, name))]

    shutil.copytree(source, target, ignore=ignored, dirs_exist_ok=True)
