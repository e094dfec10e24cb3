"""AWS as a job's role sees it."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from slipway_sandbox.calls import Caller
from slipway_sandbox.world import World

USER_AGENT = "sagemaker.amazonaws.com"
"""Not the sandbox's own: these are the role's calls, which its policies decide on and the log shows."""
SESSION = "SageMaker"
"""The session's name in the ARN of whoever acts for SageMaker."""


class RoleAccess:
    """Clients that act as a role, so that its policies decide. A role that IAM does not know has none: its account acts.

    Args:
        world: The sandbox.
        caller: The account and region of the job.
        role: The role's ARN; None where there is none.
    """

    def __init__(self, world: World, caller: Caller, role: str | None) -> None:
        self._world = world
        self._caller = caller
        self.role = role

    def client(self, service: str) -> Any:
        """A client of a service in the job's region.

        Raises:
            ClientError: The role may not be assumed.
        """
        if not self._is_known:
            return self._world.client(service, self._caller)
        sts = self._world.client("sts", self._caller)
        keys = sts.assume_role(RoleArn=self.role, RoleSessionName=SESSION)["Credentials"]
        # boto3 is a third of the sandbox's start; by now it is there.
        import boto3  # noqa: PLC0415

        return boto3.session.Session().client(  # pyright: ignore[reportUnknownMemberType, reportCallIssue, reportUnknownVariableType]
            service,  # pyright: ignore[reportArgumentType]
            region_name=self._caller.region,
            endpoint_url=self._world.endpoint,
            aws_access_key_id=keys["AccessKeyId"],
            aws_secret_access_key=keys["SecretAccessKey"],
            aws_session_token=keys["SessionToken"],
            config=Config(user_agent_extra=USER_AGENT, retries={"mode": "standard", "total_max_attempts": 3}),
        )

    @cached_property
    def _is_known(self) -> bool:
        if self.role is None:
            return False
        _, _, _, _, account, path = self.role.split(":", 5)
        if account != self._caller.account:
            return False
        try:
            self._world.client("iam", self._caller).get_role(RoleName=path.rpartition("/")[2])
        except (ClientError, BotoCoreError):
            return False
        return True
