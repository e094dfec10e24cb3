"""Small images for tests: real file systems out of this machine's own programs, built without an engine.

Example:
    image = build_image([shell_layer()], command=["sh", "-c", "echo hello; exit 3"])
    uri = push_image(sandbox, account, "hello", "v1", image)
"""

from __future__ import annotations

import contextlib
import functools
import gzip
import hashlib
import io
import json
import platform
import re
import shutil
import struct
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from slipway_sandbox.containers.image_uri import ImageUri
from slipway_sandbox.containers.images import ARCHITECTURES
from slipway_sandbox.testing.process import SandboxProcess

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
PROGRAMS = ("bash", "cat", "env", "id", "ls", "sleep")
STATIC_OUTPUT = "static"
STATIC_EXIT_CODE = 7


def digest_of(content: bytes) -> str:
    """A blob's name."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass(frozen=True)
class TestImage:
    """A manifest, and the blobs that it names."""

    __test__ = False  # pytest would take it for a class of tests

    manifest: bytes
    blobs: Mapping[str, bytes]

    @property
    def digest(self) -> str:
        """The manifest's digest."""
        return digest_of(self.manifest)


class ImageFolder:
    """Images by name, as the runtime finds them in the registry."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._manifests: dict[str, bytes] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def add(self, repository: str, reference: str, image: TestImage) -> str:
        """Keep an image; returns its URI."""
        for digest, content in image.blobs.items():
            self.blob_path(digest).write_bytes(content)
        uri = ImageUri("111111111111", "us-east-1", repository, tag=reference)
        self._manifests[f"{repository}:{reference}"] = self._manifests[f"{repository}:{image.digest}"] = image.manifest
        return str(uri)

    def find_manifest(self, uri: ImageUri) -> StoredImage:
        """The manifest of a tag or digest."""
        body = self._manifests.get(f"{uri.repository}:{uri.reference}")
        if body is None:
            raise LookupError(f"failed to resolve ref {uri}: {uri}: not found")
        return StoredImage(digest_of(body), body)

    def blob_path(self, digest: str) -> Path:
        """The file of a blob."""
        return self._folder / digest


@dataclass(frozen=True)
class StoredImage:
    """A manifest as a registry gives it."""

    digest: str
    body: bytes


def member(name: str, content: bytes = b"", **attributes: Any) -> tuple[tarfile.TarInfo, bytes]:
    """A layer's member; `attributes` are those of `TarInfo`."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    info.mode = 0o755
    for attribute, value in attributes.items():
        setattr(info, attribute, value)
    return info, content


def layer_of(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    """A layer's tar, not compressed."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


@functools.cache
def shell_layer(programs: Sequence[str] = PROGRAMS) -> bytes:
    """A layer with a shell, a few programs and the libraries that they are linked with, from this machine."""
    paths = {program: Path(shutil.which(program) or f"/bin/{program}") for program in programs}
    members = [member(f"bin/{program}", path.read_bytes()) for program, path in paths.items()]
    members += [member("bin/sh", type=tarfile.SYMTYPE, linkname="bash")]
    libraries = sorted({library for path in paths.values() for library in libraries_of(path)})
    members += [member(library.lstrip("/"), Path(library).read_bytes()) for library in libraries]
    return layer_of(*members)


def libraries_of(program: Path) -> list[str]:
    """Absolute paths of a program's shared libraries and its loader."""
    said = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=True).stdout
    return re.findall(r"(?:=> |^\s*)(/\S+)", said, re.MULTILINE)


def static_program() -> bytes:
    """An executable without libraries: writes one line and exits with 7. Assembled here, as not every machine has a compiler."""
    message = STATIC_OUTPUT.encode() + b"\n"
    if platform.machine() == "x86_64":
        machine = 62
        code = b"\xb8\x01\x00\x00\x00\xbf\x01\x00\x00\x00\x48\x8d\x35\x13\x00\x00\x00\xba" + struct.pack("<I", len(message))
        code += b"\x0f\x05\xb8\x3c\x00\x00\x00\xbf\x07\x00\x00\x00\x0f\x05"
        code += b"\x90" * (17 + 19 - len(code))
    else:
        machine = 183
        code = struct.pack("<8I", 0xD2800020, 0x100000E1, 0xD28000E2, 0xD2800808, 0xD4000001, 0xD28000E0, 0xD2800BA8, 0xD4000001)
    body = code + message
    base, headers = 0x400000, 64 + 56
    identity = b"\x7fELF\x02\x01\x01" + bytes(9)
    header = identity + struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, base + headers, 64, 0, 0, 64, 56, 1, 64, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, headers + len(body), headers + len(body), 0x1000)
    return header + segment + body


def build_image(layers: Sequence[bytes], *, compress: bool = True, **config: Any) -> TestImage:
    """An image of these layers.

    Args:
        layers: Tars, the lowest first.
        compress: Whether the blobs are gzipped.
        config: What the image says of how it runs: `user`, `env`, `entry_point`, `command`, `working_directory`, `labels`.
    """
    names = {
        "user": "User",
        "env": "Env",
        "entry_point": "Entrypoint",
        "command": "Cmd",
        "working_directory": "WorkingDir",
        "labels": "Labels",
    }
    packed = [gzipped(layer) if compress else layer for layer in layers]
    description = {
        "architecture": architecture(),
        "os": "linux",
        "config": {names[name]: value for name, value in config.items()},
        "rootfs": {"type": "layers", "diff_ids": [digest_of(layer) for layer in layers]},
    }
    described = json.dumps(description).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": {"mediaType": CONFIG_TYPE, "digest": digest_of(described), "size": len(described)},
        "layers": [{"mediaType": LAYER_TYPE, "digest": digest_of(layer), "size": len(layer)} for layer in packed],
    }
    return TestImage(json.dumps(manifest).encode(), {digest_of(blob): blob for blob in (described, *packed)})


@functools.lru_cache(maxsize=32)
def gzipped(layer: bytes) -> bytes:
    """The compressed layer. Tests build many images on the same few layers."""
    return gzip.compress(layer, 1, mtime=0)


def build_index(children: Mapping[str, TestImage]) -> TestImage:
    """An index of images by architecture."""
    manifests = [
        {
            "mediaType": MANIFEST_TYPE,
            "digest": image.digest,
            "size": len(image.manifest),
            "platform": {"os": "linux", "architecture": machine},
        }
        for machine, image in children.items()
    ]
    return TestImage(json.dumps({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": manifests}).encode(), {})


def architecture() -> str:
    """This machine, in OCI's words."""
    return ARCHITECTURES.get(platform.machine(), platform.machine())


def push_image(sandbox: SandboxProcess, account: str, repository: str, tag: str, image: TestImage) -> str:
    """Push an image over `/v2/`, with the token that ECR gives; makes the repository where it is missing. Returns the URI."""
    ecr = sandbox.client("ecr", account)
    with contextlib.suppress(ecr.exceptions.RepositoryAlreadyExistsException):
        ecr.create_repository(repositoryName=repository)
    token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    # The registry's locations are paths of its host, which a base URL with a path of its own would come before.
    path = f"/v2/{repository}"
    # The registry is plain HTTP. Certificates that nothing needs would take longer to load than the push.
    with httpx.Client(base_url=sandbox.endpoint, headers={"Authorization": f"Basic {token}"}, verify=False) as registry:  # noqa: S501
        for digest, content in image.blobs.items():
            upload = registry.post(f"{path}/blobs/uploads/").raise_for_status().headers["Location"]
            registry.put(upload, params={"digest": digest}, content=content).raise_for_status()
        kind = json.loads(image.manifest)["mediaType"]
        registry.put(f"{path}/manifests/{tag}", content=image.manifest, headers={"Content-Type": kind}).raise_for_status()
    return str(ImageUri(account, "us-east-1", repository, tag=tag))
