"""Builds the sample images from the sources of their Dockerfiles, without a container engine, and pushes them.

Each image has three layers: this machine's Python as a root file system, the packages of its requirements file, and its own
files. Every layer is kept in the user's cache folder, under a key that follows from its sources, so a build without changes reads
a few files, also in a fresh checkout.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import AsyncGenerator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from demo.oci_layout import MANIFEST, BuiltImage, Descriptor, Layout, cache_folder, key_of
from demo.root_filesystem import base_key, stage_base, stage_libraries
from slipway.oci.auth import TokenAuth
from slipway.oci.client import RegistryClient, Upload, verified
from slipway.oci.http import CHUNK

SERVICES = ("sagemaker", "s3", "sts")
ENVIRONMENT = ["PYTHONDONTWRITEBYTECODE=1", "PYTHONUNBUFFERED=1", "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"]
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"
BIND_TO_PORT = "com.amazonaws.sagemaker.capabilities.accept-bind-to-port"
DATA_FILE = "opt/packages/sklearn/datasets/data/breast_cancer.csv"
MEASUREMENTS = (
    "radius", "texture", "perimeter", "area", "smoothness",
    "compactness", "concavity", "concave points", "symmetry", "fractal dimension",
)  # fmt: skip


class ImageBuildError(Exception):
    """An image could not be built; the message says which step failed and what it said."""


def build_model_image(root: Path, name: str = "model") -> BuiltImage:
    """The sample model image: `train`, `serve` and the two processing scripts.

    Args:
        root: The repository's folder.
        name: The image's name in the layout.

    Raises:
        ImageBuildError: A step failed.
    """
    return model_image(root, name, model_packages(image_layout(), root))


def model_image(root: Path, name: str, packages: Descriptor) -> BuiltImage:
    """The sample model's programs on a layer of packages."""
    layout = image_layout()
    source = root / "pipeline" / "model"
    files = {
        f"opt/program/{path.relative_to(source)}": path
        for path in sorted([*source.glob("bin/*"), *source.glob("screening/*.py")])
    }
    layers = [base_layer(layout), packages, app_layer(layout, "model-app", files)]
    config = {
        "Env": [
            f"PATH=/opt/program/bin:{SYSTEM_PATH}",
            "PYTHONPATH=/opt/program:/opt/packages",
            *ENVIRONMENT,
        ],
        "WorkingDir": "/opt/program",
        "Labels": {BIND_TO_PORT: "true"},
    }
    return layout.image(name, layers, config, platform.machine())


def build_pipeline_image(root: Path, settings: Mapping[str, Any] | None = None, name: str = "pipeline") -> BuiltImage:
    """The sample pipeline image: the compiled definition, and what starts an execution of it.

    Args:
        root: The repository's folder.
        settings: What to change in `pipeline/settings.json`, as a commit would; `BAD_ACCURACY` and `BAD_COLUMNS` are two
            bad commits.
        name: The image's name in the layout.

    Raises:
        ImageBuildError: A step failed.
    """
    layout = image_layout()
    definition = compiled_definition(layout, root, settings or {})
    files = {"app/run_pipeline.py": root / "pipeline" / "run_pipeline.py", "app/definition.json": definition}
    packages = package_layer(layout, root, root / "pipeline" / "requirements.txt", SERVICES)
    layers = [base_layer(layout), packages, app_layer(layout, "pipeline-app", files)]
    config = {
        "User": "10001:10001",
        "Env": [f"PATH={SYSTEM_PATH}", "PYTHONPATH=/opt/packages", *ENVIRONMENT],
        "WorkingDir": "/app",
        "Entrypoint": ["python3", "/app/run_pipeline.py"],
    }
    return layout.image(name, layers, config, platform.machine())


BAD_ACCURACY: Mapping[str, Any] = {"regularization": 0.0006}
"""A model so simple that it passes the pipeline's own threshold (0.75) and not a gate of 0.9."""
BAD_COLUMNS: Mapping[str, Any] = {"dropColumns": ["worst area"]}
"""A model that is accurate, and fails on every request with the 30 documented measurements."""


def training_data(root: Path) -> bytes:
    """The sample's data as the pipeline reads it: CSV with a header, `malignant` (1 or 0) first, then 30 measurements.

    Taken from scikit-learn's own copy in the model image, so that the package need not be installed here.

    Raises:
        ImageBuildError: A step failed.
    """
    layout = image_layout()
    packages = model_packages(layout, root)

    def extract(file: Path) -> None:
        with tarfile.open(layout.folder / "blobs" / packages.digest.replace(":", "/"), mode="r:") as members:
            content = members.extractfile(DATA_FILE)
            if content is None:
                raise ImageBuildError(f"scikit-learn no longer has {DATA_FILE}")
            file.write_text(labelled(content.read().decode()), encoding="utf-8")

    return layout.cached(f"data-{packages.digest[7:23]}.csv", extract).read_bytes()


def labelled(table: str) -> str:
    """Scikit-learn's table (target last, 0 is malignant) with a header, and the label first, 1 for malignant."""
    names = [f"mean {name}" for name in MEASUREMENTS] + [f"{name} error" for name in MEASUREMENTS]
    names += [f"worst {name}" for name in MEASUREMENTS]
    lines = [",".join(["malignant", *names])]
    for line in table.splitlines()[1:]:
        *measurements, target = line.split(",")
        lines.append(",".join(["1" if target == "0" else "0", *measurements]))
    return "\n".join(lines) + "\n"


def image_layout() -> Layout:
    """Where images are kept."""
    return Layout(cache_folder() / "images")


def base_layer(layout: Layout) -> Descriptor:
    """This machine's Python as a root file system."""
    return layout.layer("base", base_key(), stage_base)


def model_packages(layout: Layout, root: Path) -> Descriptor:
    """The model image's packages."""
    return package_layer(layout, root, root / "pipeline" / "model" / "requirements.txt", ())


def package_layer(layout: Layout, root: Path, requirements: Path, services: Sequence[str]) -> Descriptor:
    """The packages of a requirements file at `/opt/packages`, trimmed as in the Dockerfile, with the libraries that they need."""
    trim = root / "pipeline" / "trim.py"

    def stage(folder: Path) -> None:
        packages = folder / "opt" / "packages"
        install = ["pip", "install", "--quiet", "--python", sys.executable, "--target", str(packages), "--link-mode", "copy"]
        run([uv(), *install, "--no-deps", "--require-hashes", "--requirements", str(requirements)])
        run([sys.executable, str(trim), str(packages), "--services", *services])
        stage_libraries(folder, packages)

    key = key_of(requirements.read_bytes(), trim.read_bytes(), tuple(services), base_key())
    return layout.layer(f"packages-{requirements.parent.name}", key, stage)


def app_layer(layout: Layout, name: str, files: Mapping[str, Path]) -> Descriptor:
    """The image's own files, by their path in the image."""

    def stage(folder: Path) -> None:
        for target, source in files.items():
            (folder / target).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, folder / target)

    contents = [(target, os.access(source, os.X_OK), source.read_bytes()) for target, source in sorted(files.items())]
    return layout.layer(name, key_of(contents), stage)


def compiled_definition(layout: Layout, root: Path, changes: Mapping[str, Any]) -> Path:
    """The pipeline's definition; the SDK runs only if its sources, its version or the settings changed."""
    folder = root / "pipeline"
    settings = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
    unknown = sorted(set(changes) - set(settings))
    if unknown:
        raise ImageBuildError(f"pipeline/settings.json has no {', '.join(unknown)}")
    content = json.dumps({**settings, **changes}, sort_keys=True)
    sources = [(folder / name).read_bytes() for name in ("definition.py", "requirements-definition.txt")]

    def compile_into(file: Path) -> None:
        with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as changed:
            changed.write(content)
            changed.flush()
            command = [str(folder / "definition.py"), "--settings", changed.name, "--output", str(file)]
            run([*sdk_interpreter(root), *command])

    return layout.cached(f"definition-{key_of(content, *sources)[:16]}.json", compile_into)


def sdk_interpreter(root: Path) -> list[str]:
    """The command of a Python that has the SageMaker SDK: this one, or one that uv makes from the lock for the occasion."""
    if find_spec("sagemaker"):
        return [sys.executable]
    return [uv(), "run", "--quiet", "--project", str(root), "--frozen", "--isolated", "--only-group", "pipeline", "python"]


def uv() -> str:
    """The `uv` beside this interpreter, or on PATH.

    Raises:
        ImageBuildError: There is none.
    """
    found = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if found is None:
        raise ImageBuildError("uv is neither beside this Python nor on PATH; run make setup")
    return found


def run(command: Sequence[str]) -> None:
    """Runs one step of a build.

    Raises:
        ImageBuildError: It failed; with the end of what it printed.
    """
    result = subprocess.run(command, check=False, capture_output=True, text=True)
    if result.returncode:
        said = "\n".join((result.stdout + result.stderr).strip().splitlines()[-15:])
        raise ImageBuildError(f"{' '.join(command[:3])} … failed with exit code {result.returncode}:\n{said}")


def push(image: BuiltImage, registry_url: str, username: str, password: str, repository: str, tag: str) -> str:
    """Pushes an image, and returns its digest. What the repository holds already is not sent again.

    Args:
        image: What a build function returned.
        registry_url: The registry's address, such as the `proxyEndpoint` of ECR's GetAuthorizationToken.
        username: `AWS` for ECR.
        password: The token's second half.
        repository: The repository's name, without the registry's host.
        tag: The tag that the image gets.

    Raises:
        SlipwayError: The registry did not take it.
    """
    return asyncio.run(_push(image, registry_url, base64.b64encode(f"{username}:{password}".encode()).decode(), repository, tag))


async def upload_file(registry: RegistryClient, repository: str, digest: str, path: Path) -> Upload:
    """Brings a file into a repository as a blob, unless it is there."""
    size = (await asyncio.to_thread(path.stat)).st_size
    return await registry.upload_blob(repository, digest, size, lambda: verified(_chunks(path), digest, f"reading {path.name}"))


async def _chunks(path: Path) -> AsyncGenerator[bytes]:
    with path.open("rb") as file:
        while chunk := await asyncio.to_thread(file.read, CHUNK):
            yield chunk


async def _push(image: BuiltImage, registry_url: str, token: str, repository: str, tag: str) -> str:
    async def current(_turned_down: bool) -> str:
        return token

    async with RegistryClient(registry_url, TokenAuth(current)) as registry:
        for blob in (image.config, *image.layers):
            await upload_file(registry, repository, blob.digest, image.blob(blob.digest))
        return await registry.put_manifest(repository, tag, image.manifest, MANIFEST)
