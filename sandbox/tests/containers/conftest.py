"""A registry of files, a runtime, and an image with a shell."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from slipway_sandbox.containers.container import Mount
from slipway_sandbox.containers.images import Image
from slipway_sandbox.containers.runtime import ContainerRuntime
from slipway_sandbox.testing import build_image, shell_layer
from slipway_sandbox.testing.images import ImageFolder

PATIENCE = 45.0
Until = Callable[[Callable[[], bool], str], None]


@pytest.fixture
def registry(tmp_path: Path) -> ImageFolder:
    return ImageFolder(tmp_path / "registry")


@pytest.fixture
def runtime(tmp_path: Path, registry: ImageFolder) -> Iterator[ContainerRuntime]:
    made = ContainerRuntime(tmp_path / "data", registry, size_limit=64 << 20)
    yield made
    made.close()


@pytest.fixture
def shell(runtime: ContainerRuntime, registry: ImageFolder) -> Image:
    """An image with a shell."""
    image = build_image([shell_layer()], user="1000:1000", env=["FROM=image", "BOTH=image"], working_directory="/work")
    return runtime.pull(registry.add("shell", "v1", image))


@pytest.fixture
def python() -> list[Mount]:
    """This machine's Python, to be seen in a container at its own path."""
    folders = {Path(folder).resolve() for folder in ("/usr", sys.base_prefix)}
    links = [Mount(Path(folder), folder, read_only=True) for folder in ("/lib", "/lib64") if Path(folder).exists()]
    return [Mount(folder, str(folder), read_only=True) for folder in sorted(folders)] + links


@pytest.fixture
def until() -> Until:
    """Waits for a condition, and fails where it does not come true."""

    def wait_for(condition: Callable[[], bool], wanted: str) -> None:
        end = time.monotonic() + PATIENCE
        pause = threading.Event()
        while not condition():
            if time.monotonic() > end:
                pytest.fail(f"timeout after {PATIENCE} s waiting for {wanted}")
            pause.wait(0.01)

    return wait_for
