"""Builds the sample's real Dockerfiles with buildah, on a base made of this machine's own Python: no container engine, no hub."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Sequence
from pathlib import Path

from demo.images import ImageBuildError, base_layer, image_layout, run, uv
from demo.oci_layout import BuiltImage, Descriptor, cache_folder, key_of, locked
from demo.root_filesystem import CA_BUNDLE, PREFIX, VERSION, base_key

BASE = "localhost/python:3.11-slim"
DOCKERFILES = {"pipeline": "Dockerfile", "model": "model/Dockerfile"}
KEPT_FOR = 7 * 86400
"""Seconds after which images of other sources are removed."""
OPTIONS = (
    *("--pull-never", "--isolation", "chroot"),
    # The packages of the build stages are hundreds of megabytes, and a layer of each would be of no use again.
    "--layers=false",
    # Neither the day nor a file's age is in an image, so that the same sources give the same digest.
    *("--timestamp", "0"),
)


def why_not() -> str | None:
    """What keeps this machine from building with buildah, or None."""
    if shutil.which("buildah") is None:
        return "buildah is not installed; apt-get install buildah"
    if os.geteuid() != 0:
        return "buildah's chroot isolation needs root"
    if VERSION != "3.11":
        return f"the Dockerfiles' packages are for Python 3.11, and the base would have {VERSION}"
    if subprocess.run(["unshare", "--mount", "true"], check=False, capture_output=True).returncode:
        return "buildah's chroot isolation makes mounts, which this machine or container does not allow"
    return None


def storage_driver(folder: Path) -> str:
    """`overlay`, which copies nothing; `vfs` where the folder is on an overlay itself, as in a container: those do not stack."""
    kind = subprocess.run(["stat", "--file-system", "--format", "%T", str(folder)], check=True, capture_output=True, text=True)
    return "vfs" if kind.stdout.strip() == "overlayfs" else "overlay"


def build_images(root: Path) -> dict[str, BuiltImage]:
    """Both images, built once for the same sources and kept in the user's cache folder. Safe for many processes at once.

    Args:
        root: The repository's folder.

    Returns:
        The images `pipeline` and `model`.

    Raises:
        ImageBuildError: A step failed.
    """
    kept = cache_folder() / "buildah"
    kept.mkdir(exist_ok=True)
    layout = kept / f"images-{key_of_sources(root)[:16]}"
    with locked(kept / "lock"):
        if not layout.is_dir():
            # Another checkout may use those that were built lately.
            for outdated in (each for each in kept.glob("images-*") if time.time() - each.stat().st_mtime > KEPT_FOR):
                shutil.rmtree(outdated)
            _build_into(layout, Buildah(root, kept / "store"))
    return {name: read_image(layout, name) for name in DOCKERFILES}


def key_of_sources(root: Path) -> str:
    """A key that changes with what the images are made of, and with how they are made here."""
    context = root / "pipeline"
    files = sorted(path for path in context.rglob("*") if path.is_file() and not {"__pycache__", "tests"} & {*path.parts})
    contents = [(str(path.relative_to(context)), path.stat().st_mode, path.read_bytes()) for path in files]
    return key_of(contents, Path(__file__).read_bytes(), base_key())


def _build_into(layout: Path, builder: Buildah) -> None:
    # What a build left that was cut short.
    builder.remove()
    try:
        builder.build_base()
        for name in DOCKERFILES:
            builder.build(name)
        builder.layout.rename(layout)
    finally:
        builder.remove()


class Buildah:
    """A store of images of its own, below one folder.

    Args:
        root: The repository's folder.
        folder: Holds the store and what is pushed out of it.
    """

    def __init__(self, root: Path, folder: Path) -> None:
        self._root = root
        self._folder = folder
        self.layout = folder / "out"
        store = ["--root", str(folder / "store"), "--runroot", str(folder / "run")]
        self._command = ["buildah", "--storage-driver", storage_driver(folder.parent), *store]

    def build_base(self) -> None:
        """Makes the base image: this machine's Python, and pip, which a build stage needs.

        Raises:
            ImageBuildError: A step failed.
        """
        layout = image_layout()
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
        run([*self._command, "bud", "--quiet", "--timestamp", "0", "--tag", BASE, str(context)])
        shutil.rmtree(context)

    def build(self, name: str) -> BuiltImage:
        """Builds `pipeline` or `model` from its unchanged Dockerfile, and puts it into the folder `layout`.

        Raises:
            ImageBuildError: A step failed.
        """
        context = self._root / "pipeline"
        bundle = Path("/", CA_BUNDLE)
        # The base's own bundle is the host's too, but a build on another base would have its own.
        trusted = ["--volume", f"{bundle}:{bundle}:ro"] if bundle.is_file() else []
        dockerfile = str(context / DOCKERFILES[name])
        run([*self._command, "bud", *OPTIONS, *trusted, "--file", dockerfile, "--tag", name, str(context)])
        run([*self._command, "push", "--format", "oci", name, f"oci:{self.layout}:{name}"])
        return read_image(self.layout, name)

    def remove(self) -> None:
        """Removes every image, container and file, but for a layout that was taken elsewhere."""
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
