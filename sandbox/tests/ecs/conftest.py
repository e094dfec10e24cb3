"""A cluster and an image for each test."""

import pytest
from slipway_sandbox.testing import SandboxProcess

from sandbox.testkit.ecs import TaskDesk


@pytest.fixture
def desk(sandbox: SandboxProcess, account: str) -> TaskDesk:
    """An account with a cluster named `main`."""
    return TaskDesk(sandbox, account)
