"""Requests to a model's serving container, as batch transform makes them."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, cast

from urllib3 import PoolManager
from urllib3.exceptions import HTTPError

from slipway_sandbox.containers.container import Container

PING_EVERY = 0.05
PING_TIMEOUT = 2.0
DEFAULT_TIMEOUT = 600
DEFAULT_RETRIES = 3
CONNECTIONS = 100


class ModelFaultError(Exception):
    """The model answered something else than 200.

    Args:
        status: The answer's status; None where none came.
        text: What it said.
    """

    def __init__(self, status: int | None, text: str) -> None:
        super().__init__(f"{status}: {text}")
        self.status = status
        self.text = text

    @property
    def is_clients(self) -> bool:
        """Whether the model blames the data."""
        return self.status is not None and HTTPStatus.BAD_REQUEST <= self.status < HTTPStatus.INTERNAL_SERVER_ERROR


@dataclass(frozen=True)
class Terms:
    """How the model is to be called."""

    headers: dict[str, str]
    timeout: int = DEFAULT_TIMEOUT
    retries: int = DEFAULT_RETRIES


@dataclass
class ModelServer:
    """A serving container on a port of this machine. Safe to call from many threads.

    Args:
        url: Where it listens.
        terms: How to call it.
    """

    url: str
    terms: Terms
    _client: PoolManager = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._client = PoolManager(timeout=self.terms.timeout, retries=False, maxsize=CONNECTIONS)

    def close(self) -> None:
        """Give the connections back."""
        self._client.clear()

    def wait_until_healthy(self, container: Container, stopping: threading.Event, seconds: float) -> bool:
        """Whether it answers `/ping` with 200 before it ends, the job ends, or `seconds` of real time have passed."""
        deadline = time.monotonic() + seconds
        while container.running and time.monotonic() < deadline and not stopping.is_set():
            if self._is_healthy():
                return True
            stopping.wait(PING_EVERY)
        return False

    def parameters(self) -> dict[str, Any]:
        """What the container answers to `/execution-parameters`; empty where it has no answer."""
        try:
            answer = self._client.request("GET", f"{self.url}/execution-parameters", timeout=PING_TIMEOUT)
            said: Any = answer.json() if answer.status == HTTPStatus.OK else None
        except (HTTPError, ValueError):
            return {}
        return cast("dict[str, Any]", said) if isinstance(said, dict) else {}

    def invoke(self, body: bytes) -> bytes:
        """The model's answer. Its own faults are tried again, as often as the terms say.

        Raises:
            ModelFaultError: It was never 200.
        """
        for left in range(self.terms.retries, -1, -1):
            try:
                return self._invoke_once(body)
            except ModelFaultError as error:
                if error.is_clients or not left:
                    raise
        raise ModelFaultError(None, "")

    def _invoke_once(self, body: bytes) -> bytes:
        try:
            answer = self._client.request(
                "POST", f"{self.url}/invocations", body=body, headers={"Accept": "*/*", **self.terms.headers}
            )
        except HTTPError as error:
            raise ModelFaultError(None, str(error)) from error
        if answer.status != HTTPStatus.OK:
            raise ModelFaultError(answer.status, answer.data.decode("utf-8", "replace"))
        return answer.data

    def _is_healthy(self) -> bool:
        try:
            return self._client.request("GET", f"{self.url}/ping", timeout=PING_TIMEOUT).status == HTTPStatus.OK
        except HTTPError:
            return False
