"""AWS as the execution role of a job or an endpoint sees it."""

from __future__ import annotations

from botocore.exceptions import BotoCoreError, ClientError

from slipway_sandbox.containers.awslogs import DiscardedLog, Log, LogDriverError, LogStream
from slipway_sandbox.core.calls import Caller
from slipway_sandbox.core.errors import validation_error
from slipway_sandbox.core.world import World
from slipway_sandbox.iam.trust import SAGEMAKER, may_assume
from slipway_sandbox.roles.acting import ActingRole
from slipway_sandbox.roles.registry_access import PullDeniedError, RegistryAccess, parsed

SESSION = "SageMaker"
"""The session's name in the ARN under which SageMaker acts."""


def check_role(world: World, caller: Caller, arn: str | None) -> None:
    """Refuse a role that SageMaker may not assume.

    Raises:
        AwsError: `ValidationException`.
    """
    if arn is not None and not may_assume(world, SAGEMAKER, caller, arn):
        raise validation_error(
            f"Could not assume role {arn}. Please ensure that the role exists and allows principal '{SAGEMAKER}' to assume the "
            "role."
        )


class SageMakerRole(ActingRole):
    """The role of a job or an endpoint.

    Args:
        world: The sandbox.
        caller: The account and region of the job or endpoint.
        role: The role's ARN; None where there is none.
    """

    def __init__(self, world: World, caller: Caller, role: str | None) -> None:
        super().__init__(world, caller, SAGEMAKER, role, SESSION)
        self._endpoint = world.endpoint

    def open_log(self, group: str, name: str) -> Log:
        """A new stream in a log group of SageMaker's; one that drops all where the role may not make it."""
        options = {"awslogs-group": group, "awslogs-create-group": "true"}
        try:
            return LogStream(lambda: self.client("logs"), options, name)
        except LogDriverError:
            return DiscardedLog()

    def check_pull(self, image: str) -> None:
        """Find out whether the role may pull an image.

        Raises:
            PullDeniedError: It may not.
        """
        uri = parsed(image)
        if self.credentials is None or uri is None:
            return
        registry = RegistryAccess(self._endpoint, self.credentials)
        try:
            registry.authorize(uri)
        except (ClientError, BotoCoreError) as error:
            raise PullDeniedError("GetAuthorizationToken") from error
        registry.check(uri)
