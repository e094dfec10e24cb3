"""What the sample's tests share: the data, and a local AWS."""

import importlib.util
import sys
from collections.abc import Generator
from pathlib import Path

import pytest
from slipway_sandbox.testing import SandboxProcess

from demo.images import labelled

PIPELINE = Path(__file__).parents[1]
# The model's modules import each other as they do in the image, where this folder is on the path.
sys.path.insert(0, str(PIPELINE / "model"))


@pytest.fixture(scope="session")
def cases() -> str:
    """The training data, as the demo uploads it."""
    package = importlib.util.find_spec("sklearn")
    if package is None or package.origin is None:
        pytest.skip("scikit-learn is not installed; run uv sync --group model")
    return labelled((Path(package.origin).parent / "datasets" / "data" / "breast_cancer.csv").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def sandbox() -> Generator[SandboxProcess]:
    """A local AWS."""
    with SandboxProcess() as process:
        yield process
