"""AWS as the pipeline's role sees it."""

from __future__ import annotations

import threading
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


class Sessions:
    """Makes clients from temporary credentials, all from one boto3 session, which loads each service's model once."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._lock = threading.Lock()

    @cached_property
    def _session(self) -> Any:
        # boto3 is a third of the sandbox's start; by now it is there.
        import boto3  # noqa: PLC0415

        return boto3.session.Session()

    def client(self, service: str, region: str, keys: dict[str, Any]) -> Any:
        """A client that acts by these credentials, and tries once: who calls has a retry policy of its own.

        Its calls are the role's, not the sandbox's: policies bind them, faults strike them and the call log has them.
        """
        from botocore.config import Config  # noqa: PLC0415

        with self._lock:
            return self._session.client(
                service,
                region_name=region,
                endpoint_url=self._world.endpoint,
                aws_access_key_id=keys["AccessKeyId"],
                aws_secret_access_key=keys["SecretAccessKey"],
                aws_session_token=keys["SessionToken"],
                config=Config(user_agent_extra=USER_AGENT, retries={"mode": "standard", "total_max_attempts": 1}),
            )


class RoleAccess:
    """Clients that act as a role. A role that IAM does not know can have no policies: then its account acts, unless it is strict.

    Args:
        world: The sandbox.
        sessions: Makes the clients.
        caller: The account and region of the execution.
        service: The service's principal, which the role has to trust.
        role: The role's ARN.
    """

    def __init__(self, world: World, sessions: Sessions, caller: Caller, service: str, role: str) -> None:
        self._world = world
        self._service = service
        self._sessions = sessions
        self._caller = caller
        self._role = role
        self._clients: dict[str, Any] = {}

    def client(self, service: str) -> Any:
        """A client of a service.

        Raises:
            ClientError: The role may not be assumed.
        """
        if service not in self._clients:
            keys = self.keys
            self._clients[service] = (
                self._sessions.client(service, self._caller.region, keys) if keys else self._world.client(service, self._caller)
            )
        return self._clients[service]

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
