"""AWS as a role sees it: what services do with the role that they were given."""

from __future__ import annotations

from typing import Any

from slipway_sandbox.core.calls import Caller
from slipway_sandbox.core.world import World
from slipway_sandbox.iam import stored
from slipway_sandbox.iam.trust import account_of
from slipway_sandbox.roles.credentials import RoleCredentials, refused


class ActingRole:
    """Acts as a role, so that its policies decide. For a role that IAM does not know the account acts, unless it is strict.

    Args:
        world: The sandbox.
        caller: The account and region of what the role was given to.
        service: The principal of the service that acts, which the role has to trust.
        role: The role's ARN; None where there is none.
        session: The session's name in the ARN of the role's session; 2 to 64 letters, digits or `=,.@-`.
    """

    def __init__(self, world: World, caller: Caller, service: str, role: str | None, session: str) -> None:
        self._world = world
        self._caller = caller
        self._service = service
        self._role = role
        self.credentials: RoleCredentials | None = None
        """The credentials of a role that IAM knows."""
        if role and stored.role(role):
            self.credentials = RoleCredentials(world, caller, service, role, session)

    def client(self, service: str, region: str | None = None, **how: Any) -> Any:
        """A client of a service.

        Args:
            service: Its name in boto3.
            region: Where it acts; None for the region of what the role was given to.
            how: How it calls as the role; see `RoleCredentials.client`.

        Raises:
            ClientError: The role may not be assumed.
        """
        region = region or self._caller.region
        if self.credentials:
            return self.credentials.client(service, region, **how)
        self._check()
        return self._world.client(service, Caller(self._caller.account, region, self._caller.access_key))

    def keys(self) -> dict[str, Any] | None:
        """The role's credentials as the metadata service spells them; None for a role that IAM does not know.

        Raises:
            ClientError: The role may not be assumed.
        """
        self._check()
        return self.credentials.get() if self.credentials else None

    def _check(self) -> None:
        if self._role and not self.credentials and account_of(self._role) in self._world.strict:
            raise refused(self._service, self._role)
