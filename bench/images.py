"""What keeping the SageMaker SDK out of the pipeline image saves: in bytes, and in time until an execution has started."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from slipway_sandbox.testing import SandboxProcess, fresh_account

from demo.images import build_pipeline_image
from demo.oci_layout import BuiltImage

RUNS = 5
PACKAGES = "opt/packages/"
MEGABYTE = 1_000_000
# The same program, by a team that has the SDK at hand and imports what it builds pipelines with.
WITH_SDK = "import sys, runpy; import sagemaker.mlops.workflow.pipeline; runpy.run_path(sys.argv[1], run_name='__main__')"


def sizes(root: Path) -> dict[str, float]:
    """Packages of the shipped image, and of an environment with the SDK, in megabytes."""
    shipped = sum(size for path, size in members(build_pipeline_image(root)).items() if path.startswith(PACKAGES))
    with_sdk = sdk_environment_bytes(root)
    return {
        "image_packages_mb": round(shipped / MEGABYTE, 1),
        "sdk_packages_mb": round(with_sdk / MEGABYTE, 1),
        "image_packages_ratio": round(shipped / with_sdk, 4),
    }


def members(image: BuiltImage) -> dict[str, int]:
    """Path and bytes of every file in an image."""
    found: dict[str, int] = {}
    for layer in image.layers:
        with tarfile.open(image.blob(layer.digest)) as archive:
            found |= {one.name: one.size for one in archive if one.isfile()}
    return found


def sdk_environment_bytes(root: Path) -> int:
    """The bytes of an environment that has what the SDK needs and nothing else, as `pip install sagemaker` makes it."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "packages"
        requirements = root / "pipeline" / "requirements-definition.txt"
        command = ["uv", "pip", "install", "--quiet", "--no-deps", "--target", str(target), "--requirements", str(requirements)]
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        subprocess.run(command, check=True, env={**os.environ, "PATH": path})
        return sum(file.stat().st_size for file in target.rglob("*") if file.is_file())


def start_times(root: Path) -> dict[str, float]:
    """Seconds from start to "execution started": the shipped image's program and packages, and the same with the SDK imported.

    The two take turns, so that whatever else the machine does weighs on both.
    """
    with tempfile.TemporaryDirectory() as folder, SandboxProcess() as sandbox:
        image = Path(folder)
        unpack(build_pipeline_image(root), image)
        program = image / "app" / "run_pipeline.py"
        environment = environment_of(sandbox)
        shipped = [sys.executable, "-S", str(program)]
        with_sdk = [sys.executable, "-c", WITH_SDK, str(program)]
        seconds: dict[str, list[float]] = {"shipped": [], "sdk": []}
        for number in range(RUNS):
            packages = {"PYTHONPATH": str(image / PACKAGES)}
            seconds["shipped"].append(timed(shipped, {**environment, **packages, "SLIPWAY_PROMOTION_ID": f"shipped-{number}"}))
            seconds["sdk"].append(timed(with_sdk, {**environment, "SLIPWAY_PROMOTION_ID": f"sdk-{number}"}))
    fast, slow = statistics.median(seconds["shipped"]), statistics.median(seconds["sdk"])
    return {
        "image_start_seconds": round(fast, 3),
        "sdk_start_seconds": round(slow, 3),
        "image_start_ratio": round(fast / slow, 3),
    }


def unpack(image: BuiltImage, folder: Path) -> None:
    """Unpacks an image's own files and packages; the base stays away, for both programs run on this machine's Python."""
    for layer in image.layers[1:]:
        with tarfile.open(image.blob(layer.digest)) as archive:
            archive.extractall(folder)  # noqa: S202 - our own layers


def environment_of(sandbox: SandboxProcess) -> dict[str, str]:
    """A task's environment, in an account with training data."""
    account = fresh_account()
    bucket = f"screening-{account}"
    s3 = sandbox.client("s3", account)
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="data/cases.csv", Body=b"malignant,mean radius\n1,17.99\n")
    return {
        **sandbox.process_environment(account),
        "PIPELINE_NAME": "screening-training",
        "PIPELINE_ROLE_ARN": f"arn:aws:iam::{account}:role/screening-pipeline",
        "MODEL_PACKAGE_GROUP": "screening",
        "MODEL_IMAGE": f"{account}.dkr.ecr.us-east-1.amazonaws.com/screening-model:1.0.0",
        "DATA_URI": f"s3://{bucket}/data",
        "OUTPUT_URI": f"s3://{bucket}/runs",
    }


def timed(command: list[str], environment: Mapping[str, str]) -> float:
    """Seconds that the command takes to print its execution.

    Raises:
        RuntimeError: It started none.
    """
    begun = time.perf_counter()
    result = subprocess.run(command, env=dict(environment), check=False, capture_output=True, text=True)
    taken = time.perf_counter() - begun
    if result.returncode or "pipelineExecutionArn" not in json.loads(result.stdout.splitlines()[-1]):
        raise RuntimeError(f"{command[-1]} started no execution: {result.stderr.strip()[-500:]}")
    return taken
