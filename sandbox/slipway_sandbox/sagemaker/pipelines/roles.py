"""AWS as the pipeline's role sees it."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from slipway_sandbox.calls import Caller
from slipway_sandbox.credentials import refused
from slipway_sandbox.iam import stored
from slipway_sandbox.iam.trust import may_assume
from slipway_sandbox.world import World

SESSION = "SageMakerPipelines"
"""The session's name in the ARN of whoever acts for a pipeline."""
USER_AGENT = "sagemaker-pipelines"


class RoleAccess:
    """Clients that act as a role. A role that IAM does not know can have no policies: then its account acts, unless it is strict.

    Args:
        world: The sandbox.
        caller: The account and region of the execution.
        service: The service's principal, which the role has to trust.
        role: The role's ARN.
    """

    def __init__(self, world: World, caller: Caller, service: str, role: str) -> None:
        self._world = world
        self._service = service
        self._caller = caller
        self._role = role
        self._clients: dict[str, Any] = {}

    def client(self, service: str) -> Any:
        """A client of a service.

        Raises:
            ClientError: The role may not be assumed.
        """
        if service not in self._clients:
            self._clients[service] = self._new_client(service)
        return self._clients[service]

    def _new_client(self, service: str) -> Any:
        if self.keys is None:
            return self._world.client(service, self._caller)
        # It tries once: whoever calls has a retry policy of its own.
        return self._world.role_client(service, self._caller.region, self.keys, attempts=1, user_agent=USER_AGENT)

    @cached_property
    def keys(self) -> dict[str, Any] | None:
        """The role's credentials, as AssumeRole gives them; None for a role that is not there.

        Raises:
            ClientError: The role may not be assumed.
        """
        if not may_assume(self._world, self._service, self._caller, self._role):
            raise refused(self._service, self._role)
        if stored.role(self._role) is None:
            return None
        sts = self._world.client("sts", self._caller)
        return sts.assume_role(RoleArn=self._role, RoleSessionName=SESSION)["Credentials"]
