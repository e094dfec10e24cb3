"""Definitions, and what it takes to run them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from slipway_sandbox.testing import SandboxProcess, build_image, push_image, shell_layer

from sandbox.testkit.jobs import JobDesk
from sandbox.testkit.pipelines import PipelineDesk

STORED = Path(__file__).parent / "training.json"


@pytest.fixture
def desk(sandbox: SandboxProcess, account: str) -> PipelineDesk:
    """An account without pipelines."""
    return PipelineDesk(sandbox, account)


@pytest.fixture
def stored() -> dict[str, Any]:
    """A definition as the sagemaker SDK compiles it, whose jobs are shell scripts."""
    return json.loads(STORED.read_text())


@pytest.fixture
def job_parameters(sandbox: SandboxProcess, account: str, desk: PipelineDesk) -> dict[str, str]:
    """What the stored definition has no default for: an image with a shell, a bucket, a role."""
    sandbox.client("s3", account).create_bucket(Bucket=f"data-{account}")
    image = push_image(sandbox, account, "shell", "v1", build_image([shell_layer()]))
    return {"Image": image, "RoleArn": desk.role, "OutputUri": f"s3://data-{account}/runs"}


def compiled(name: str) -> dict[str, Any]:
    """A definition that the SDK made (see `compile_definitions.py`)."""
    return json.loads((STORED.parent / "sdk" / f"{name}.json").read_text())


@pytest.fixture
def compiled_parameters(sandbox: SandboxProcess, account: str) -> dict[str, str]:
    """What the compiled definitions of jobs have no default for: an image that trains, and a folder with data in it."""
    jobs = JobDesk(sandbox, account)
    jobs.put("runs/data/rows.csv", "1,2\n3,4\n")
    script = "cat /opt/ml/input/config/hyperparameters.json /opt/ml/input/data/train/rows.csv > /opt/ml/model/model.txt"
    return {"Image": jobs.image(script), "OutputUri": jobs.uri("runs")}
