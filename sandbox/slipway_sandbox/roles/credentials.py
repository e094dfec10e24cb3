"""`/_credentials/`: gives containers the credentials of their role, in place of AWS's metadata services."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from wsgiref.types import StartResponse, WSGIEnvironment

from botocore.exceptions import BotoCoreError, ClientError
from werkzeug.wrappers import Request, Response

from slipway_sandbox.core.calls import Caller
from slipway_sandbox.core.world import World
from slipway_sandbox.iam.trust import may_assume
from slipway_sandbox.protocol.responses import json_response

PREFIX = "/_credentials/"
RENEW_BEFORE = timedelta(minutes=20)
"""AWS SDKs refresh credentials 15 minutes before they expire."""


class RoleCredentials:
    """Credentials of a role, by AssumeRole. They act in the role's account.

    Args:
        world: Gives the STS client.
        caller: Who assumes the role: the service, in the account that runs the container.
        service: The service's principal, which the role has to trust.
        role: The role's ARN.
        session: The session's name, such as the task's id.
    """

    def __init__(self, world: World, caller: Caller, service: str, role: str, session: str) -> None:
        self._world = world
        self._caller = caller
        self._service = service
        self._role = role
        self._session = session
        self._current: dict[str, Any] | None = None
        self._clients: dict[tuple[str, str, str], Any] = {}
        """By access key, service and region."""
        self._lock = threading.Lock()

    def get(self) -> dict[str, Any]:
        """The credentials as the metadata service spells them; renewed in time."""
        with self._lock:
            current = self._current
            if current is None or current["Expiration"] - datetime.now(UTC) < RENEW_BEFORE:
                current = self._current = self._assume_role()
        return {
            "RoleArn": self._role,
            "AccessKeyId": current["AccessKeyId"],
            "SecretAccessKey": current["SecretAccessKey"],
            "Token": current["SessionToken"],
            "Expiration": f"{current['Expiration']:%Y-%m-%dT%H:%M:%SZ}",
        }

    def client(self, service: str, region: str, **how: Any) -> Any:
        """A boto3 client that acts as the role. Its calls are logged and need the role's permissions, unlike the sandbox's own.

        Args:
            service: Its name in boto3.
            region: Where it acts.
            how: How it calls: `attempts` and `user_agent` of `World.role_client`, the same each time.

        Raises:
            ClientError: The role cannot be assumed.
        """
        current = self.get()
        key = (current["AccessKeyId"], service, region)
        with self._lock:
            if key not in self._clients:
                self._clients = {known: client for known, client in self._clients.items() if known[0] == current["AccessKeyId"]}
                keys = {**current, "SessionToken": current["Token"]}
                self._clients[key] = self._world.role_client(service, region, keys, **how)
            return self._clients[key]

    def _assume_role(self) -> dict[str, Any]:
        if not may_assume(self._world, self._service, self._caller, self._role):
            raise refused(self._service, self._role)
        client = self._world.client("sts", self._caller)
        return client.assume_role(RoleArn=self._role, RoleSessionName=self._session)["Credentials"]


class CredentialsEndpoint:
    """Serves the credentials of running containers. The names in its paths cannot be guessed."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._served: dict[str, RoleCredentials] = {}
        self._lock = threading.Lock()

    def add(self, caller: Caller, service: str, role: str, session: str) -> tuple[str, dict[str, str]]:
        """Serve a role's credentials.

        Args:
            caller: The account and region that the container runs in.
            service: The principal of the service that runs it.
            role: The role's ARN.
            session: The session's name; 2 to 64 letters, digits or `=,.@-`.

        Returns:
            The name to take them away by, and the environment variables that lead an AWS SDK to them.
        """
        name = uuid.uuid4().hex
        with self._lock:
            self._served[name] = RoleCredentials(self._world, caller, service, role, session)
        return name, {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{local_endpoint(self._world.endpoint)}{PREFIX}{name}"}

    def remove(self, name: str) -> None:
        """Stop serving these. An unknown name is ignored."""
        with self._lock:
            self._served.pop(name, None)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        request = Request(environ)
        request.get_data()
        with self._lock:
            found = self._served.get(request.path.removeprefix(PREFIX))
        try:
            response = (
                json_response(found.get()) if found else refusal("NotFound", "no running container has these credentials", 404)
            )
        except (ClientError, BotoCoreError) as error:
            response = refusal("RoleNotAssumed", str(error), HTTPStatus.BAD_REQUEST)
        return response(environ, start_response)


def refused(service: str, role: str) -> ClientError:
    """STS's answer to a service that a role does not trust."""
    message = f"User: {service} is not authorized to perform: sts:AssumeRole on resource: {role}"
    answered: Any = {"Error": {"Code": "AccessDenied", "Message": message}, "ResponseMetadata": {"HTTPStatusCode": 403}}
    return ClientError(answered, "AssumeRole")


def local_endpoint(endpoint: str) -> str:
    """The sandbox's address as a container reaches it. SDKs take credentials from a loopback address only."""
    parts = urlsplit(endpoint)
    if parts.hostname in ("0.0.0.0", "::"):  # noqa: S104  (compared, not bound)
        return urlunsplit(parts._replace(netloc=f"127.0.0.1:{parts.port}"))
    return endpoint


def refusal(code: str, message: str, status: int) -> Response:
    """An error as the metadata service says it."""
    return json_response({"code": code, "message": message}, status)
