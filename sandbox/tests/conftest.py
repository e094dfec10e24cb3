"""One sandbox per test process, one account per test."""

from collections.abc import Iterator

import pytest
from slipway_sandbox.testing import SandboxProcess

from sandbox.testkit.client_classes import share_client_classes
from sandbox.testkit.contract import Aws, Contract, declarations_of, real_client, region_on_aws

share_client_classes()


@pytest.fixture(scope="session")
def sandbox() -> Iterator[SandboxProcess]:
    """A running sandbox in which a minute passes in a second."""
    with SandboxProcess(time_scale=60) as process:
        yield process


@pytest.fixture
def account(sandbox: SandboxProcess) -> Iterator[str]:
    """An account that no other test uses. What runs in it ends with the test."""
    with sandbox.own_account() as account:
        yield account


@pytest.fixture
def aws(request: pytest.FixtureRequest) -> Iterator[Aws]:
    """What a contract test talks to: a sandbox or, where the environment says so, AWS itself.

    At the end it looks whether the test covered what it is marked with.
    """
    contracts = [each for each in declarations_of(request.function) if isinstance(each, Contract)]
    region = region_on_aws()
    if region is None:
        used = Aws(request.getfixturevalue("sandbox"), request.getfixturevalue("account"))
    else:
        used = Aws(None, real_client("sts", region).get_caller_identity()["Account"], region)
    yield used
    used.check(contracts)
