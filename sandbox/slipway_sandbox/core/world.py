"""What all rooms share, and how a room says which operations it answers."""

from __future__ import annotations

import functools
import secrets
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from slipway_sandbox.core.calls import Caller, CallLog, Guard, OpenDoor
from slipway_sandbox.core.clock import Clock
from slipway_sandbox.core.events import EventBus
from slipway_sandbox.core.faults import Faults

DEFAULT_ACCOUNT = "123456789012"
INTERNAL_USER_AGENT = f"slipway-sandbox/{secrets.token_hex(16)}"
"""Marks the sandbox's own calls to itself, which no policy restricts and the call log leaves out. It is
different in each process, so that no client can send it."""

Handler = Callable[[Any, Caller, dict[str, Any]], dict[str, Any]]
HandlerT = TypeVar("HandlerT", bound=Handler)


@dataclass
class World:
    """The sandbox's clock, folder, log and dials; one of each per process."""

    data: Path
    clock: Clock = field(default_factory=Clock)
    calls: CallLog = field(default_factory=CallLog)
    faults: Faults = field(default_factory=Faults)
    events: EventBus = field(default_factory=EventBus)
    guard: Guard = field(default_factory=OpenDoor)
    strict: dict[str, bool] = field(default_factory=dict[str, bool])
    """Accounts in strict mode: roles may do only what a policy allows; unknown roles cannot be assumed."""
    endpoint: str = ""
    """The base URL this process serves at; set once the port is known."""
    _clients: dict[tuple[str, str, str], Any] = field(default_factory=dict[tuple[str, str, str], Any])
    _locks: dict[str, threading.RLock] = field(default_factory=lambda: defaultdict(threading.RLock))

    def lock(self, service: str) -> threading.RLock:
        """The one lock of a service. All its rooms share it, so that rooms may call each other in any order."""
        return self._locks[service]

    def client(self, service: str, caller: Caller) -> Any:
        """A boto3 client of this sandbox, acting in the caller's account and region. Unlogged, shared and thread-safe."""
        key = (service, caller.account, caller.region)
        with self.lock("boto3"):
            if key not in self._clients:
                self._clients[key] = self._new_client(*key)
            return self._clients[key]

    def drop_clients(self, account: str | None) -> None:
        """Let go of the clients of one account, or of all, with their connections."""
        with self.lock("boto3"):
            gone = [self._clients.pop(key) for key in list(self._clients) if account in (None, key[1])]
        for client in gone:
            client.close()

    def role_client(
        self, service: str, region: str, keys: Mapping[str, Any], attempts: int = 3, user_agent: str | None = None
    ) -> Any:
        """A boto3 client with a role's credentials: its calls are logged and need permission, unlike the sandbox's own.

        Args:
            service: Its name in boto3.
            region: Where it acts.
            keys: `AccessKeyId`, `SecretAccessKey` and `SessionToken`.
            attempts: How many attempts it makes in all.
            user_agent: What is added to boto3's user agent.
        """
        from botocore.config import Config  # noqa: PLC0415

        with self.lock("boto3"):
            return self._session.client(
                service,
                region_name=region,
                endpoint_url=self.endpoint,
                aws_access_key_id=keys["AccessKeyId"],
                aws_secret_access_key=keys["SecretAccessKey"],
                aws_session_token=keys["SessionToken"],
                config=Config(
                    user_agent_extra=user_agent,
                    retries={"mode": "standard", "total_max_attempts": attempts},
                    s3={"addressing_style": "path"},
                ),
            )

    @functools.cached_property
    def _session(self) -> Any:
        """What clients are made by. It reads the service models once for all of them."""
        # boto3 is a third of the start; moto's own thread imports it while the first request is on its way.
        import boto3  # noqa: PLC0415

        return boto3.session.Session()

    def _new_client(self, service: str, account: str, region: str) -> Any:
        from botocore.config import Config  # noqa: PLC0415

        return self._session.client(
            service,
            region_name=region,
            endpoint_url=self.endpoint,
            aws_access_key_id=account,
            aws_secret_access_key="internal",  # noqa: S106  (nothing checks it)
            config=Config(user_agent_extra=INTERNAL_USER_AGENT, retries={"mode": "standard", "total_max_attempts": 3}),
        )


def operation(name: str, *, concurrent: bool = False, differs: str = "") -> Callable[[HandlerT], HandlerT]:
    """Mark a room's method as the answer to one AWS operation.

    Args:
        name: The operation as botocore's service model names it.
        concurrent: The method takes the service's lock itself, because it waits for something slow.
        differs: What a client sees otherwise than on AWS, for COVERAGE.md; empty where nothing is known.
    """

    def mark(handler: HandlerT) -> HandlerT:
        handler.__dict__["aws_operation"] = name
        handler.__dict__["aws_concurrent"] = concurrent
        handler.__dict__["aws_differs"] = differs
        return handler

    return mark


DialHandler = Callable[[Any, dict[str, Any]], dict[str, Any]]
DialT = TypeVar("DialT", bound=DialHandler)


def dial(name: str, method: str = "POST") -> Callable[[DialT], DialT]:
    """Mark a room's method as the answer to `POST /_sandbox/<service>/<name>`: what no AWS call can set, by a JSON object.

    The method runs under the service's lock. It raises ValueError for an invalid body.

    Args:
        name: The dial's.
        method: `GET` shows what is set, and `DELETE` takes it back; the method gets the query in place of a body.
    """

    def mark(handler: DialT) -> DialT:
        handler.__dict__["sandbox_dial"] = (method, name)
        return handler

    return mark


class Room:
    """One part of an AWS service: its state, and the operations on it.

    A handler gets the caller and the parsed, checked request (timestamps as datetimes, blobs as bytes), and returns the members
    of the response; None members are left out. It raises `AwsError` for an error answer. It runs under the service's lock unless
    it is marked concurrent.
    """

    service: ClassVar[str]
    """The service as botocore names it, such as `sagemaker`."""
    over_moto: ClassVar[bool] = False
    """Whether moto answers what no room of this service does."""
    handlers: ClassVar[dict[str, Handler]] = {}
    dials: ClassVar[dict[str, DialHandler]] = {}
    """What can be set, by name."""
    dial_views: ClassVar[dict[tuple[str, str], DialHandler]] = {}
    """What is set, as it is shown and taken back: by method and name."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        own = {value.aws_operation: value for value in vars(cls).values() if hasattr(value, "aws_operation")}
        cls.handlers = {**cls.handlers, **own}
        dials = {value.sandbox_dial: value for value in vars(cls).values() if hasattr(value, "sandbox_dial")}
        cls.dials = {**cls.dials, **{name: value for (method, name), value in dials.items() if method == "POST"}}
        cls.dial_views = {**cls.dial_views, **{key: value for key, value in dials.items() if key[0] != "POST"}}

    def __init__(self, world: World) -> None:
        self.world = world
        self.lock = world.lock(self.service)

    def reset(self, account: str | None) -> None:
        """Forget the state of one account, or of all, and end what runs there."""
        raise NotImplementedError

    def policy_of(self, arn: str) -> str | None:  # noqa: ARG002  (rooms with policies look at it)
        """The resource policy of one of the service's resources; None where it has none."""
        return None
