"""The sample's real Dockerfiles, built with buildah."""

import json
import tarfile
from collections.abc import Generator
from pathlib import Path

import pytest

from demo.buildah import Buildah, why_not
from demo.oci_layout import BuiltImage

ROOT = Path(__file__).parents[2]
# The build of the definition downloads the SDK, which takes some minutes.
pytestmark = [pytest.mark.buildah, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def buildah(tmp_path_factory: pytest.TempPathFactory) -> Generator[Buildah]:
    if reason := why_not():
        pytest.skip(reason)
    builder = Buildah(ROOT, tmp_path_factory.mktemp("buildah"))
    try:
        builder.build_base()
        yield builder
    finally:
        builder.remove()


@pytest.fixture(scope="module")
def pipeline(buildah: Buildah) -> BuiltImage:
    return buildah.build("pipeline")


def files_of(image: BuiltImage, below: str) -> dict[str, int]:
    """Path and size of every file below a folder of an image."""
    found: dict[str, int] = {}
    for layer in image.layers:
        with tarfile.open(image.blob(layer.digest)) as members:
            found |= {one.name: one.size for one in members if one.isfile() and one.name.startswith(below)}
    return found


def test_given_the_pipeline_image_when_measured_then_its_packages_are_small_and_without_the_sdk(pipeline: BuiltImage) -> None:
    packages = files_of(pipeline, "opt/packages/")
    assert sum(packages.values()) <= 15_000_000
    assert not any("/sagemaker/" in path and "botocore/data" not in path for path in packages)


def test_given_the_pipeline_image_when_inspected_then_it_is_no_roots_and_has_its_definition(pipeline: BuiltImage) -> None:
    config = json.loads(pipeline.blob(pipeline.config.digest).read_text())["config"]
    assert (config["User"], config["Entrypoint"]) == ("10001:10001", ["python3", "/app/run_pipeline.py"])
    assert set(files_of(pipeline, "app/")) == {"app/definition.json", "app/run_pipeline.py"}


def test_given_the_model_image_when_inspected_then_it_keeps_sagemakers_contract(buildah: Buildah) -> None:
    image = buildah.build("model")
    config = json.loads(image.blob(image.config.digest).read_text())["config"]
    assert config["Labels"]["com.amazonaws.sagemaker.capabilities.accept-bind-to-port"] == "true"
    assert {"opt/program/bin/train", "opt/program/bin/serve"} <= set(files_of(image, "opt/program/"))
