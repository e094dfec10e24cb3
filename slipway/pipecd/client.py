"""Asks PipeCD's control plane for applications and their deployments, by gRPC and with an API key. It only reads.

What PipeCD answers is the word of another system: identifiers and texts are cut and made harmless here, before anything is done
with them. The key is read anew for each call, so that it can be changed, and is in no error and no log.
"""

from __future__ import annotations

import asyncio
import posixpath
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import TypeVar

from google.protobuf.message import DecodeError, Message
from grpc import StatusCode, ssl_channel_credentials
from grpc.aio import AioRpcError, Channel, UnaryUnaryMultiCallable, insecure_channel, secure_channel

from slipway.errors import NeedsPersonError, SlipwayError, TransientError
from slipway.pipecd import api_pb2
from slipway.pipecd.api_pb2 import (
    ListApplicationsRequest,
    ListApplicationsResponse,
    ListDeploymentsRequest,
    ListDeploymentsResponse,
    ListStageLogsRequest,
    ListStageLogsResponse,
)
from slipway.text import one_line

A = TypeVar("A")

CALL_SECONDS = 5.0
"""Seconds that PipeCD has for an answer."""
ANSWER_LIMIT = 4 * 2**20
"""Bytes of an answer."""
LISTED = 20
"""Deployments of one application that are looked at: those that changed last."""
LISTED_APPLICATIONS = 20
KEY_LIMIT = 4_096
ID_LIMIT = 64
REASON_LIMIT = 300
"""Characters of a reason that are kept."""
INVALID_CONFIG = 4
"""The state of an application whose file piped cannot read."""
ERROR = 2
"""The severity of an error in a stage's log."""
OLD_CONFIG_FILENAME = ".pipe.yaml"
"""The file of an application that names none, from before PipeCD had `app.pipecd.yaml`."""
RECONNECT_MILLISECONDS = 10_000
"""A control plane that was away is found again within this time."""
_SERVICE = "/grpc.service.apiservice.APIService/"
_KEY = re.compile(r"[\x21-\x7e]+")
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


class DeploymentState(IntEnum):
    """How far a deployment is, by PipeCD's numbers and names."""

    PENDING = 0
    PLANNED = 1
    RUNNING = 2
    ROLLING_BACK = 3
    SUCCESS = 4
    FAILURE = 5
    CANCELLED = 6
    UNKNOWN = -1
    """One that a later PipeCD has."""

    @property
    def has_failed(self) -> bool:
        """Whether it has ended, and not well."""
        return self in (DeploymentState.FAILURE, DeploymentState.CANCELLED)

    @property
    def rank(self) -> int:
        """Its place among deployments of one commit, where it is asked which of them ran a task: the likelier, the lower."""
        order = (DeploymentState.SUCCESS, DeploymentState.RUNNING)
        return order.index(self) if self in order else len(order) + self.has_failed

    @property
    def has_run(self) -> bool:
        """Whether its stages were begun, and nothing has gone wrong in them."""
        return self in (DeploymentState.RUNNING, DeploymentState.SUCCESS)


@dataclass(frozen=True)
class PipecdApplication:
    """An application as PipeCD knows it.

    Args:
        id: PipeCD's id.
        remote: Where piped clones the repository from.
        branch: The branch that piped deploys.
        folder: The application's folder, normalised.
        file: The name of its configuration in there.
        is_disabled: Whether PipeCD leaves it alone.
        invalid: Why piped cannot read the configuration; empty where it can.
    """

    id: str
    remote: str
    branch: str
    folder: str
    file: str
    is_disabled: bool = False
    invalid: str = ""


@dataclass(frozen=True)
class PipecdDeployment:
    """A deployment as PipeCD tells it.

    Args:
        id: PipeCD's id.
        commit: The commit that is deployed; empty where it is none.
        state: How far it is.
        reason: Why it is there, in PipeCD's words.
        created_at: Seconds since 1970, by PipeCD's clock.
    """

    id: str
    commit: str
    state: DeploymentState
    reason: str = ""
    created_at: int = 0

    @property
    def line(self) -> str:
        """It, for people."""
        return f"deployment {self.id} {self.state.name} by PipeCD"

    @property
    def sentence(self) -> str:
        """The same with its commit and its reason."""
        reason = f" ({self.reason})" if self.reason else ""
        return f"PipeCD's deployment {self.id} of {self.commit[:12]} is {self.state.name}{reason}"


class PipecdApi:
    """PipeCD's public API, of one project: the key's.

    Args:
        address: Host and port.
        key_file: The file of an API key; READ_ONLY suffices.
        ca_file: The file of the authorities to believe instead of the usual ones, in PEM.
        plaintext: Whether TLS is left out, and the key goes over the network as it is.
        seconds: What PipeCD has for an answer.
    """

    def __init__(
        self,
        address: str,
        key_file: Path,
        ca_file: Path | None = None,
        *,
        plaintext: bool = False,
        seconds: float = CALL_SECONDS,
    ) -> None:
        self.address = address
        self._key_file = key_file
        self._ca_file = ca_file
        self._plaintext = plaintext
        self._seconds = seconds
        self._channel: Channel | None = None

    async def check(self) -> None:
        """See whether PipeCD answers, and takes the key.

        Raises:
            SlipwayError: It does not.
        """
        tried = f"asking PipeCD at {self.address} for an application"
        await self._call(tried, "ListApplications", ListApplicationsRequest(limit=1), ListApplicationsResponse.FromString)

    async def applications(self, name: str, *, disabled: bool = False) -> tuple[PipecdApplication, ...]:
        """The applications of a name.

        Args:
            name: What `spec.name` of their configuration says.
            disabled: Whether those that are disabled are asked for; else those that are not.

        Raises:
            SlipwayError: PipeCD does not answer, or refuses to.
        """
        request = ListApplicationsRequest(name=name, disabled=disabled, limit=LISTED_APPLICATIONS)
        tried = f"asking PipeCD at {self.address} for the application {one_line(name)[:ID_LIMIT]}"
        answer = await self._call(tried, "ListApplications", request, ListApplicationsResponse.FromString)
        return tuple(map(_application, answer.applications[:LISTED_APPLICATIONS]))

    async def deployments(self, application: str) -> tuple[PipecdDeployment, ...]:
        """The deployments of an application, the newest first.

        Args:
            application: PipeCD's id of it.

        Raises:
            SlipwayError: PipeCD does not answer, or refuses to.
        """
        request = ListDeploymentsRequest(application_ids=[application], limit=LISTED)
        tried = f"asking PipeCD at {self.address} for the deployments of the application {application}"
        answer = await self._call(tried, "ListDeployments", request, ListDeploymentsResponse.FromString)
        # An older server might not know the filter.
        found = [_deployment(each) for each in answer.deployments[:LISTED] if _id(each.application_id) == application]
        return tuple(sorted(found, key=lambda each: each.created_at, reverse=True))

    async def last_error(self, deployment: str) -> str:
        """The last error in the logs of a deployment's stages; empty where there is none.

        Args:
            deployment: PipeCD's id of it.

        Raises:
            SlipwayError: PipeCD does not answer, or refuses to.
        """
        tried = f"asking PipeCD at {self.address} for the log of the deployment {deployment}"
        request = ListStageLogsRequest(deployment_id=deployment)
        answer = await self._call(tried, "ListStageLogs", request, ListStageLogsResponse.FromString)
        blocks = (block for stage in answer.stage_logs.values() for block in stage.blocks if block.severity == ERROR)
        last = max(blocks, key=lambda block: block.created_at, default=None)
        return _reason(last.log) if last else ""

    async def close(self) -> None:
        """Close the connection."""
        if self._channel is not None:
            await self._channel.close()
            self._channel = None

    async def _call(self, tried: str, method: str, request: Message, read: Callable[[bytes], A]) -> A:
        """One call.

        Raises:
            TransientError: PipeCD cannot be reached, or takes too long.
            NeedsPersonError: It refuses, or does not answer as PipeCD does.
        """
        key = await asyncio.to_thread(self._key, tried)
        channel = await self._connected(tried)
        call: UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(f"{_SERVICE}{method}")
        metadata = (("authorization", f"API-KEY {key}"),)
        try:
            return read(await call(request.SerializeToString(), timeout=self._seconds, metadata=metadata))
        except AioRpcError as error:
            raise _failure(tried, error.code(), (error.details() or "").replace(key, "<key>"), self._seconds) from None
        except DecodeError as error:
            raise NeedsPersonError(
                tried, "the answer is none of PipeCD's", "see that SLIPWAY_PIPECD_API names its API"
            ) from error

    def _key(self, tried: str) -> str:
        """The key.

        Raises:
            NeedsPersonError: The file cannot be read, or holds no key. What it holds is not repeated.
        """
        remedy = "write an API key of PipeCD into the file that SLIPWAY_PIPECD_API_KEY_FILE names"
        try:
            with self._key_file.open("rb") as file:
                key = file.read(KEY_LIMIT + 1).decode("ascii", "replace").strip()
        except OSError as error:
            raise NeedsPersonError(tried, f"the file of the key cannot be read: {error.strerror or 'error'}", remedy) from error
        if len(key) > KEY_LIMIT or not _KEY.fullmatch(key):
            raise NeedsPersonError(tried, "the file of the key does not hold one", remedy)
        return key

    async def _connected(self, tried: str) -> Channel:
        """The connection, made once: gRPC makes it anew where it breaks.

        Raises:
            NeedsPersonError: The file of the authorities cannot be read.
        """
        if self._channel is not None:
            return self._channel
        options = [
            ("grpc.max_receive_message_length", ANSWER_LIMIT),
            ("grpc.max_reconnect_backoff_ms", RECONNECT_MILLISECONDS),
        ]
        if self._plaintext:
            self._channel = insecure_channel(self.address, options)
            return self._channel
        try:
            authorities = await asyncio.to_thread(self._ca_file.read_bytes) if self._ca_file else None
        except OSError as error:
            remedy = "set SLIPWAY_PIPECD_API_CA_FILE to a file in PEM that the worker can read"
            raise NeedsPersonError(tried, error.strerror or "it cannot be read", remedy) from error
        if self._channel is None:  # another call may have been faster
            self._channel = secure_channel(self.address, ssl_channel_credentials(authorities), options)
        return self._channel


def _failure(tried: str, code: StatusCode, details: str, seconds: float) -> SlipwayError:
    """The error for a call that failed."""
    said = f"{code.name}: {one_line(details)[:REASON_LIMIT]}"
    match code:
        case StatusCode.UNAVAILABLE:
            return TransientError(
                tried, said, "see that SLIPWAY_PIPECD_API names PipeCD's API, and that it can be reached by TLS"
            )
        case StatusCode.DEADLINE_EXCEEDED:
            return TransientError(tried, f"{code.name}: no answer in {seconds:g} s", "see how PipeCD's control plane is")
        case StatusCode.UNAUTHENTICATED | StatusCode.PERMISSION_DENIED:
            remedy = "write a valid API key of the project into the file that SLIPWAY_PIPECD_API_KEY_FILE names"
            return NeedsPersonError(tried, said, remedy)
        case _:
            return NeedsPersonError(tried, said, "see the log of PipeCD's control plane")


def _application(told: api_pb2.Application) -> PipecdApplication:
    path, state = told.git_path, told.sync_state
    reason = _reason(state.short_reason or state.reason) or "no reason given"
    return PipecdApplication(
        id=_id(told.id),
        remote=path.repo.remote,
        branch=path.repo.branch,
        folder=posixpath.normpath(path.path or "."),
        file=path.config_filename or OLD_CONFIG_FILENAME,
        is_disabled=told.disabled,
        invalid=reason if state.status == INVALID_CONFIG else "",
    )


def _deployment(told: api_pb2.Deployment) -> PipecdDeployment:
    commit = told.trigger.commit.hash
    known = told.status in DeploymentState._value2member_map_
    return PipecdDeployment(
        id=_id(told.id),
        commit=commit if _COMMIT.fullmatch(commit) else "",
        state=DeploymentState(told.status) if known else DeploymentState.UNKNOWN,
        reason=_reason(told.status_reason),
        created_at=told.created_at,
    )


def _id(text: str) -> str:
    return one_line(text)[:ID_LIMIT]


def _reason(text: str) -> str:
    line = one_line(text[: 10 * REASON_LIMIT])
    return line if len(line) <= REASON_LIMIT else f"{line[:REASON_LIMIT]}…"
