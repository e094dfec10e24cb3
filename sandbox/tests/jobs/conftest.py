"""A fresh account for each test."""

import pytest
from slipway_sandbox.testing import SandboxProcess

from sandbox.testkit.jobs import JobDesk


@pytest.fixture
def jobs(sandbox: SandboxProcess, account: str) -> JobDesk:
    """An account with a bucket."""
    return JobDesk(sandbox, account)
