"""Names the marks of the tests in this folder."""

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Registers the mark by which the slow builds are left out: `-m "not buildah"`."""
    config.addinivalue_line("markers", "buildah: builds the real Dockerfiles; needs buildah, root and some minutes")
