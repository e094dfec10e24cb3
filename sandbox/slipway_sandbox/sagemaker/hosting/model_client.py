"""Requests to the containers of a variant, one after the other where it is a pipeline."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from urllib3 import BaseHTTPResponse, PoolManager, Retry
from urllib3.exceptions import HTTPError
from urllib3.exceptions import TimeoutError as SlowError

from slipway_sandbox.sagemaker.hosting.requests import invalid
from slipway_sandbox.sagemaker.hosting.routing import Server

MODEL_TIMEOUT = 60.0
"""Real seconds that a model may take to answer at once."""
CONNECTIONS = 100
PASSED_ON = {
    "ContentType": "Content-Type",
    "Accept": "Accept",
    "CustomAttributes": "X-Amzn-SageMaker-Custom-Attributes",
    "TargetModel": "X-Amzn-SageMaker-Target-Model",
    "InferenceId": "X-Amzn-SageMaker-Inference-Id",
}
"""Members of a request that the container gets as headers."""
CUSTOM_ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"


@dataclass(frozen=True)
class Answer:
    """What a container said, the last of a pipeline, or the first that refused."""

    status: int
    body: bytes
    headers: Mapping[str, str]
    container: str
    seconds: float

    @property
    def failed(self) -> bool:
        """Whether it is an error."""
        return self.status >= HTTPStatus.BAD_REQUEST

    @property
    def content_type(self) -> str:
        """What kind of answer it is."""
        return self.headers.get("content-type", "application/octet-stream")


class ModelClient:
    """Speaks to containers. Thread-safe."""

    def __init__(self) -> None:
        # A connection that is refused is tried again: a container that exited is about to be back, and has seen nothing.
        retries = Retry(total=None, connect=2, read=False, redirect=False, status=False, other=False, backoff_factor=0.25)
        self._http = PoolManager(num_pools=CONNECTIONS, maxsize=CONNECTIONS, retries=retries)

    def ask(self, server: Server, request: Mapping[str, Any], body: bytes, timeout: float = MODEL_TIMEOUT) -> Answer:
        """Pass a request through the containers that are to answer it.

        Args:
            server: The variant.
            request: The members of the call.
            body: What to send.
            timeout: Real seconds for each container.

        Raises:
            AwsError: `ValidationError`, where the request has to name a container and does not, or one that is not there.
        """
        headers = headers_of(request)
        started = time.monotonic()
        answer = Answer(HTTPStatus.OK, body, {}, "", 0.0)
        for name, url in chain(server, request):
            answer = self._ask_one(name, url, answer.body, headers, timeout)
            if answer.failed:
                break
            headers["Content-Type"] = answer.content_type
        return Answer(answer.status, answer.body, answer.headers, answer.container, time.monotonic() - started)

    def open(self, url: str, request: Mapping[str, Any], body: bytes) -> BaseHTTPResponse:
        """Begin a request whose answer comes in parts; the caller closes it.

        Raises:
            urllib3.exceptions.HTTPError: The container did not answer.
        """
        headers = headers_of(request)
        return self._http.request(
            "POST", f"{url}/invocations", body=body, headers=headers, timeout=MODEL_TIMEOUT, preload_content=False
        )

    def _ask_one(self, name: str, url: str, body: bytes, headers: Mapping[str, str], timeout: float) -> Answer:
        try:
            response = self._http.request("POST", f"{url}/invocations", body=body, headers=headers, timeout=timeout)
        except SlowError:
            text = f"Your invocation timed out while waiting for a response from container {name}."
            return Answer(HTTPStatus.GATEWAY_TIMEOUT, text.encode(), {}, name, 0.0)
        except HTTPError as error:
            text = f"The container did not answer: {error}"
            return Answer(HTTPStatus.SERVICE_UNAVAILABLE, text.encode(), {}, name, 0.0)
        return Answer(response.status, response.data, response.headers, name, 0.0)


def headers_of(request: Mapping[str, Any]) -> dict[str, str]:
    """The headers that the first container gets."""
    passed = {header: str(request[member]) for member, header in PASSED_ON.items() if request.get(member)}
    return {"Accept": "*/*", **passed}


def chain(server: Server, request: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Name and address of the containers that a request passes.

    Raises:
        AwsError: `ValidationError`.
    """
    wanted = request.get("TargetContainerHostname")
    if server.direct and wanted is None:
        raise invalid("TargetContainerHostname is required to invoke a multi-container endpoint with direct invocation.")
    if wanted is not None and not server.direct:
        raise invalid("TargetContainerHostname can only be used with a multi-container endpoint with direct invocation.")
    found = list(server.urls(wanted))
    if not found:
        raise invalid(f"Could not find a container with the hostname {wanted}.")
    return found
