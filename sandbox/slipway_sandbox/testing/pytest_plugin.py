"""Fixtures for pytest, there as soon as this package is installed: `sandbox`, and `sandbox_account`.

A project that wants another sandbox (its time scale, its data folder) has a fixture `sandbox` of its own in its conftest.py.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from slipway_sandbox.testing.process import SandboxProcess

TIME_SCALE = 60.0


@pytest.fixture(scope="session")
def sandbox() -> Iterator[SandboxProcess]:
    """A local AWS for the whole test process, in which a minute of waiting takes a second."""
    with SandboxProcess(time_scale=TIME_SCALE) as process:
        yield process


@pytest.fixture
def sandbox_account(sandbox: SandboxProcess) -> Iterator[str]:
    """An AWS account that no other test uses: twelve digits, which are its access key, too. It ends with the test."""
    with sandbox.own_account() as account:
        yield account
