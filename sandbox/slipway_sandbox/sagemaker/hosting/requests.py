"""The runtime's REST requests, parsed and checked by botocore's own service model."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any
from wsgiref.types import WSGIEnvironment

from slipway_sandbox.core.errors import AwsError
from slipway_sandbox.protocol import aws_json

SERVICE = "sagemaker-runtime"
PATH = re.compile(r"/endpoints/(?P<name>[^/]+)/(?P<action>[a-z-]+)")
OPERATIONS = {
    "invocations": "InvokeEndpoint",
    "async-invocations": "InvokeEndpointAsync",
    "invocations-response-stream": "InvokeEndpointWithResponseStream",
    "invocations-bidirectional-stream": "InvokeEndpointWithBidirectionalStream",
}
LARGEST_BODY = 6_291_456
"""Bytes of a request that is answered at once, as the service model has it."""
LARGEST_ASYNC_BODY = 128_000


def named(environ: WSGIEnvironment) -> tuple[str, str]:
    """Operation and endpoint of a request; method and path where it is not one of the runtime's."""
    found = PATH.fullmatch(environ["PATH_INFO"])
    name, action = (found["name"], found["action"]) if found else ("", "")
    return OPERATIONS.get(action, f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}"), name


def members(operation: str, endpoint: str, environ: WSGIEnvironment) -> dict[str, Any]:
    """What the path and the headers of a request say, by the API's names; without the body."""
    shape = aws_json.service_model(SERVICE).operation_model(operation).input_shape if operation in OPERATIONS.values() else None
    found: dict[str, Any] = {"EndpointName": endpoint}
    for name, member in shape.members.items() if shape else ():
        if member.serialization.get("location") != "header":
            continue
        header = str(member.serialization["name"]).upper().replace("-", "_")
        value = environ.get("CONTENT_TYPE" if header == "CONTENT_TYPE" else f"HTTP_{header}")
        if value:
            found[name] = int(value) if member.type_name == "integer" and value.isdecimal() else value
    return found


def check(operation: str, request: dict[str, Any], body: bytes) -> None:
    """Refuse what breaks the service model's constraints.

    Raises:
        AwsError: `ValidationError`, in the words of AWS.
    """
    shape = aws_json.service_model(SERVICE).operation_model(operation).input_shape
    problems = list(aws_json.problems_of(shape, {**request, "Body": body}, "")) if shape else []
    if problems:
        noun = "error" if len(problems) == 1 else "errors"
        raise invalid(f"{len(problems)} validation {noun} detected: {'; '.join(map(str, problems))}")
    most = LARGEST_ASYNC_BODY if operation == "InvokeEndpointAsync" else LARGEST_BODY
    if len(body) > most:
        raise AwsError(
            "ValidationError",
            f"1 validation error detected: Value at 'body' failed to satisfy constraint: "
            f"Member must have length less than or equal to {most}",
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE if most == LARGEST_BODY else HTTPStatus.BAD_REQUEST,
        )


def invalid(message: str) -> AwsError:
    """The runtime's way to say that a request makes no sense."""
    return AwsError("ValidationError", message)
