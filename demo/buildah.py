"""Builds the sample's real Dockerfiles with buildah, on a base made of this machine's own Python: no container engine, no hub."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

from demo.images import ImageBuildError, base_layer, layout_of, run, uv
from demo.oci_layout import BuiltImage, Descriptor
from demo.root_filesystem import CA_BUNDLE, PREFIX, VERSION

BASE = "localhost/python:3.11-slim"
DOCKERFILES = {"pipeline": "Dockerfile", "model": "model/Dockerfile"}


def why_not() -> str | None:
    """What keeps this machine from building with buildah, or None."""
    if shutil.which("buildah") is None:
        return "buildah is not installed; apt-get install buildah"
    if os.geteuid() != 0:
        return "buildah's chroot isolation needs root"
    if VERSION != "3.11":
        return f"the Dockerfiles' packages are for Python 3.11, and the base would have {VERSION}"
    return None


class Buildah:
    """A store of images of its own, below one folder.

    Args:
        root: The repository's folder.
        folder: Holds the store and what is pushed out of it.
    """

    def __init__(self, root: Path, folder: Path) -> None:
        self._root = root
        self._folder = folder
        store = ["--root", str(folder / "store"), "--runroot", str(folder / "run")]
        self._command = ["buildah", "--storage-driver", "overlay", *store]

    def build_base(self) -> None:
        """Makes the base image: this machine's Python, and pip, which a build stage needs.

        Raises:
            ImageBuildError: A step failed.
        """
        layout = layout_of(self._root)
        context = self._folder / "base"
        tree = context / "tree"
        tree.mkdir(parents=True)
        blob = layout.folder / "blobs" / base_layer(layout).digest.replace(":", "/")
        with tarfile.open(blob) as members:
            members.extractall(tree)  # noqa: S202 - our own layer
        site = tree / PREFIX / sys.platlibdir / f"python{VERSION}" / "site-packages"
        run([uv(), "pip", "install", "--quiet", "--target", str(site), "--link-mode", "copy", "pip"])
        text = "FROM scratch\nCOPY tree /\nENV PATH=/usr/local/bin:/usr/bin:/bin\n"
        (context / "Containerfile").write_text(text, encoding="utf-8")
        run([*self._command, "bud", "--quiet", "--tag", BASE, str(context)])
        shutil.rmtree(context)

    def build(self, name: str) -> BuiltImage:
        """Builds `pipeline` or `model` from its unchanged Dockerfile, and puts it into an image layout.

        Raises:
            ImageBuildError: A step failed.
        """
        context = self._root / "pipeline"
        bundle = Path("/", CA_BUNDLE)
        # The base's own bundle is the host's too, but a build on another base would have its own.
        trusted = ["--volume", f"{bundle}:{bundle}:ro"] if bundle.is_file() else []
        isolated = ["--pull-never", "--isolation", "chroot", "--layers", "--timestamp", "0"]
        dockerfile = str(context / DOCKERFILES[name])
        run([*self._command, "bud", *isolated, *trusted, "--file", dockerfile, "--tag", name, str(context)])
        layout = self._folder / "out" / name
        layout.parent.mkdir(exist_ok=True)
        run([*self._command, "push", "--format", "oci", "--disable-compression", name, f"oci:{layout}:{name}"])
        return read_image(layout, name)

    def remove(self) -> None:
        """Removes every image, container and file."""
        subprocess.run([*self._command, "rm", "--all"], check=False, capture_output=True)
        subprocess.run([*self._command, "rmi", "--all", "--force"], check=False, capture_output=True)
        shutil.rmtree(self._folder, ignore_errors=True)


def read_image(layout: Path, name: str) -> BuiltImage:
    """The image in a layout folder that somebody else wrote.

    Raises:
        ImageBuildError: There is none of that name.
    """
    for entry in json.loads((layout / "index.json").read_text(encoding="utf-8"))["manifests"]:
        if entry.get("annotations", {}).get("org.opencontainers.image.ref.name") == name:
            digest: str = entry["digest"]
            manifest = json.loads((layout / "blobs" / digest.replace(":", "/")).read_text(encoding="utf-8"))
            config, *layers = descriptors([manifest["config"], *manifest["layers"]])
            return BuiltImage(layout=layout, name=name, digest=digest, config=config, layers=tuple(layers))
    raise ImageBuildError(f"{layout} has no image {name}")


def descriptors(entries: Sequence[dict[str, str]]) -> list[Descriptor]:
    """OCI's descriptors as ours."""
    return [Descriptor.model_validate({**entry, "media_type": entry["mediaType"]}) for entry in entries]
