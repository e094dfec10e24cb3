"""Unpacks an image's layers into one folder.

Written out rather than left to `tarfile.extractall`: its filters are missing in some Python 3.11 (Debian's 3.11.2), and layers
have rules of their own: whiteouts, and links that count from the image's root.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib
import os
import shutil
import tarfile
import zlib
from contextlib import closing
from pathlib import Path
from typing import IO, Any, cast

from slipway_sandbox.containers.errors import LayerError
from slipway_sandbox.containers.roots import parts_of, resolve

CHUNK = 1 << 20
LONGEST_HEADER = 4 * CHUNK
"""Bytes of one read that tarfile may ask for. Contents are read by the chunk: a longer read is a header made to fill memory."""
SIZE_LIMIT = 16 << 30
"""Bytes that an image may unpack to. The largest images in use (CUDA with a framework) stay below."""
MEMBER_LIMIT = 1_000_000
WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"
GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
DAMAGE = (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, ValueError, OverflowError, RecursionError)
"""What tarfile and the readers raise of bad bytes: the last two of numbers too large, and of headers for headers without end."""


class Budget:
    """How many bytes and members an image may still have."""

    def __init__(self, size: int = SIZE_LIMIT, members: int = MEMBER_LIMIT) -> None:
        self._size = self._size_limit = size
        self._members = self._member_limit = members

    def take(self, size: int) -> None:
        """Account for unpacked bytes."""
        self._size -= size
        if self._size < 0:
            raise LayerError(f"the image unpacks to more than {self._size_limit} bytes")

    def take_member(self) -> None:
        """Account for one more file."""
        self._members -= 1
        if self._members < 0:
            raise LayerError(f"the image has more than {self._member_limit} files")


class LayerStream:
    """An unpacked tar as tarfile reads it: forward only, hashed, and within the budget."""

    def __init__(self, source: IO[bytes], budget: Budget) -> None:
        self._source = source
        self._budget = budget
        self._position = 0
        self._sum = hashlib.sha256()
        self.last = b""
        """What the last read returned."""

    def read(self, size: int = -1) -> bytes:
        """The next bytes; fewer at the end only."""
        if not 0 <= size <= LONGEST_HEADER:
            raise LayerError(f"the layer has a header of {size} bytes")
        self.last = self._source.read(size)
        self._position += len(self.last)
        self._sum.update(self.last)
        self._budget.take(len(self.last))
        return self.last

    def tell(self) -> int:
        """Bytes read so far."""
        return self._position

    def seek(self, offset: int) -> int:
        """Skip forward."""
        if offset < self._position:
            raise LayerError("the layer's headers point backwards")
        while self._position < offset and self.read(min(CHUNK, offset - self._position)):
            pass
        return self._position

    def finish(self) -> str:
        """Read what is left; returns the digest of the whole."""
        while self.read(CHUNK):
            pass
        return f"sha256:{self._sum.hexdigest()}"


class Unpacker:
    """Applies layers to a root folder, lowest first.

    Args:
        root: The folder, empty at first.
        budget: What all layers together may take.
    """

    def __init__(self, root: Path, budget: Budget) -> None:
        self._root = root
        self._budget = budget
        self._folders: dict[str, Path] = {}
        self._written: set[Path] = set()

    def apply(self, layer: Path, diff_id: str | None) -> None:
        """Apply one layer: a tar, plain or compressed.

        Args:
            layer: The blob.
            diff_id: The digest of the unpacked tar by the image's config, which is checked.

        Raises:
            LayerError: It is damaged, has members outside of the root, or is too large.
        """
        self._written.clear()
        try:
            with layer.open("rb") as blob, closing(decompressed(blob)) as content:
                stream = LayerStream(content, self._budget)
                with tarfile.open(fileobj=cast("Any", stream), mode="r:") as tar:
                    while member := tar.next():
                        self._add(tar, member)
                        # tarfile remembers every member; a large layer would fill memory with them.
                        cast("Any", tar).members = []
                # tarfile takes a bad header for the end; the true end is a block of zeros, or nothing.
                if stream.last.strip(b"\0"):
                    raise LayerError("the layer's tar is damaged")
                found = stream.finish()
        except DAMAGE as error:
            raise LayerError(f"the layer's tar is damaged: {error}") from error
        except OSError as error:
            raise LayerError(f"the layer cannot be unpacked: {error.strerror}") from error
        if diff_id and found != diff_id:
            raise LayerError(f"wrong diff id calculated on extraction: {found}, the image's config says {diff_id}")

    def _add(self, tar: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        self._budget.take_member()
        parts = parts_of(member.name)
        if ".." in parts:
            raise LayerError(f"the layer's member {member.name!r} points out of the root")
        if not parts:
            return
        name = parts[-1]
        if name.startswith(WHITEOUT):
            self._remove_lower(parts[:-1], name)
            return
        if not is_wanted(member, parts):
            return
        place = self._folder(parts[:-1]) / name
        self._make(tar, member, place)
        self._written.add(place)

    def _make(self, tar: tarfile.TarFile, member: tarfile.TarInfo, place: Path) -> None:
        if member.isdir():
            if not place.is_dir() or place.is_symlink():
                self._remove(place)
                place.mkdir()
            # Unpacking must be able to go on below it, also where this is an ordinary user's process.
            place.chmod(member.mode & 0o1777 | 0o700)
            return
        if member.islnk():
            self._link(member, place)
            return
        self._remove(place)
        if member.issym():
            place.symlink_to(member.linkname)
            self._folders.clear()
            return
        self._write(tar, member, place)

    def _write(self, tar: tarfile.TarFile, member: tarfile.TarInfo, place: Path) -> None:
        if member.issparse():
            self._budget.take(member.size)
        source = tar.extractfile(member)
        if source is None:
            raise LayerError(f"the layer's member {member.name!r} has no content")
        with source, place.open("xb") as target:
            shutil.copyfileobj(source, target, CHUNK)
        # No set-user-id bits: this folder is the host's, where they would mean the host's users.
        place.chmod(member.mode & 0o777 | 0o400)
        # Python takes a compiled module for stale, and compiles it at each start, when its source's time differs.
        os.utime(place, (member.mtime, member.mtime))

    def _link(self, member: tarfile.TarInfo, place: Path) -> None:
        target = parts_of(member.linkname)
        if member.linkname.startswith("/") or ".." in target or not target:
            raise LayerError(f"the layer's hard link {member.name!r} points out of the root, to {member.linkname!r}")
        source = self._folder(target[:-1]) / target[-1]
        if source == place:
            return
        if not source.is_symlink() and not source.is_file():
            raise LayerError(f"the layer's hard link {member.name!r} points to {member.linkname!r}, which is not there")
        self._remove(place)
        os.link(source, place, follow_symlinks=False)

    def _remove_lower(self, folder: list[str], name: str) -> None:
        """A whiteout: hides what lower layers have, and not what this one brings."""
        hidden_name = name.removeprefix(WHITEOUT)
        if hidden_name in ("", ".", ".."):
            raise LayerError(f"the layer has a whiteout of {hidden_name!r}")
        parent = self._folder(folder)
        for place in list(parent.iterdir()) if name == OPAQUE else [parent / hidden_name]:
            if not any(place == written or place in written.parents for written in self._written):
                self._remove(place)

    def _remove(self, place: Path) -> None:
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
            self._folders.clear()
        elif place.is_symlink():
            place.unlink()
            self._folders.clear()
        else:
            place.unlink(missing_ok=True)

    def _folder(self, parts: list[str]) -> Path:
        """The host folder of a path in the image, made where it is missing; links in it stay inside of the root."""
        key = "/".join(parts)
        known = self._folders.get(key)
        if known is None:
            try:
                known = resolve(self._root, key)
                known.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise LayerError(f"the layer's folder {key!r} cannot be made: {error.strerror}") from error
            self._folders[key] = known
        return known


def is_wanted(member: tarfile.TarInfo, parts: list[str]) -> bool:
    """Whether a member is to be unpacked.

    Raises:
        LayerError: It is a device or a pipe. In /dev, where base images made from a distribution have some, they are left out
            instead: a container gets a /dev of its own.
    """
    if member.isreg() or member.isdir() or member.issym() or member.islnk():
        return True
    if parts[0] == "dev":
        return False
    raise LayerError(f"the layer's member {member.name!r} is a device or pipe")


def decompressed(blob: IO[bytes]) -> IO[bytes]:
    """The tar in a layer, by its first bytes: engines do not trust the media type either.

    Raises:
        LayerError: It is zstd, and this Python cannot read that.
    """
    magic = blob.read(4)
    blob.seek(0)
    if magic.startswith(GZIP_MAGIC):
        return cast("IO[bytes]", gzip.GzipFile(fileobj=blob))
    if magic == ZSTD_MAGIC:
        return zstd_reader(blob)
    return blob


def zstd_reader(blob: IO[bytes]) -> IO[bytes]:
    """A reader by Python's own module (3.14 has one) or the package `zstandard`, where one of them is there."""
    for module, function in (("compression.zstd", "ZstdFile"), ("zstandard", "open")):
        try:
            opener: Any = getattr(importlib.import_module(module), function)
        except ImportError:
            continue
        return opener(blob)
    raise LayerError("the layer is compressed with zstd; install the package zstandard beside the sandbox, or build with gzip")
