"""Roles with policies, and clients that act as them."""

from collections.abc import Callable

import pytest
from slipway_sandbox.testing import SandboxProcess
from slipway_sandbox.testing.iam import Acting, RoleMaker


@pytest.fixture
def role(sandbox: SandboxProcess, account: str) -> RoleMaker:
    """Makes a role of the test's account, and acts as it."""
    return RoleMaker(sandbox, account)


@pytest.fixture
def act(role: RoleMaker) -> Callable[..., Acting]:
    """Acts as a new role with one inline policy of the statements given."""
    return lambda *statements: role.make(list(statements))
