"""What is installed where: the wheel holds the command, and the worker runs from a checkout or its image."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Iterator
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

import slipway

ROOT = Path(__file__).parents[1]
WORKER_ONLY = ("boto3", "grpc", "httpx", "pydantic_settings", "structlog")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    """The wheel, built as a release builds it."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("*.whl")
    with zipfile.ZipFile(path) as opened:
        yield opened


def described(wheel: zipfile.ZipFile) -> Message:
    return Parser().parsestr(wheel.read(member(wheel, ".dist-info/METADATA")).decode())


def member(wheel: zipfile.ZipFile, ending: str) -> str:
    (name,) = (name for name in wheel.namelist() if name.endswith(ending))
    return name


def test_given_the_wheel_then_it_claims_one_name_at_top_level(wheel: zipfile.ZipFile) -> None:
    tops = {name.partition("/")[0] for name in wheel.namelist()}
    assert tops == {"slipway", f"slipway_promotions-{slipway.__version__}.dist-info"}


def test_given_the_wheel_then_it_holds_the_command_and_the_schema(wheel: zipfile.ZipFile) -> None:
    assert wheel.read("slipway/promotion.schema.json") == (ROOT / "promotion.schema.json").read_bytes()
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "slipway").rglob("*.py")}
    assert {name for name in wheel.namelist() if name.endswith(".py")} == modules
    assert wheel.read(member(wheel, "entry_points.txt")).decode().split() == [
        "[console_scripts]",
        "slipway",
        "=",
        "slipway.cli:main",
    ]


def test_given_the_wheel_then_what_only_the_worker_needs_is_an_extra(wheel: zipfile.ZipFile) -> None:
    metadata = described(wheel)
    assert (metadata["Name"], metadata["Version"]) == ("slipway-promotions", slipway.__version__)
    always = [each for each in metadata.get_all("Requires-Dist", []) if "extra ==" not in each]
    assert sorted(each.partition(">")[0] for each in always) == [
        "botocore",
        "cyclopts",
        "google-re2",
        "jmespath",
        "jsonschema",
        "pydantic",
        "pydantic-core",
        "pyyaml",
        "referencing",
        "rfc8785",
        "rich",
        "temporalio",
    ]


def without_extras(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command as it is where no extra is installed."""
    absent = f"import sys; sys.modules.update(dict.fromkeys({WORKER_ONLY!r}))"
    program = f"{absent}; from slipway.cli.app import run; sys.exit(run({list(arguments)!r}))"
    return subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)


def test_given_no_extra_when_every_module_of_the_command_is_imported_then_nothing_is_missing() -> None:
    modules = [f"slipway.cli.{path.stem}" for path in (ROOT / "slipway" / "cli").glob("*.py") if path.stem != "tags"]
    absent = f"import importlib, sys; sys.modules.update(dict.fromkeys({WORKER_ONLY!r}))"
    program = f"{absent}; [importlib.import_module(name) for name in {modules!r}]"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_given_no_extra_when_the_sample_is_linted_then_it_works() -> None:
    done = without_extras("lint", "pipecd")
    assert done.returncode == 0, done.stderr


def test_given_no_extra_when_an_image_is_given_by_tag_then_the_error_says_what_to_install() -> None:
    image = "111111111111.dkr.ecr.us-east-1.amazonaws.com/screening-ci:v7"
    done = without_extras("start", "--repository", "https://github.com/acme/apps.git", "--image", image, "--requested-by", "ci")
    assert done.returncode == 2
    assert "install `slipway-promotions[aws]`" in done.stderr
