"""One sandbox per test process, one account per test."""

from collections.abc import Iterator

import pytest
from slipway_sandbox.testing import SandboxProcess, fresh_account


@pytest.fixture(scope="session")
def sandbox() -> Iterator[SandboxProcess]:
    """A running sandbox in which a minute passes in a second."""
    with SandboxProcess(time_scale=60) as process:
        yield process


@pytest.fixture
def account() -> str:
    """An account that no other test uses."""
    return fresh_account()
