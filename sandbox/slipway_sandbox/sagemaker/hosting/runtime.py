"""SageMaker's runtime: InvokeEndpoint, answered by the model's own container."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from wsgiref.types import StartResponse, WSGIEnvironment

import httpx
from werkzeug.wrappers import Response

from slipway_sandbox.calls import Caller
from slipway_sandbox.errors import AwsError
from slipway_sandbox.observed import Incoming, observed
from slipway_sandbox.operations import Signature, signature_of
from slipway_sandbox.refusals import request_id
from slipway_sandbox.sagemaker.hosting.endpoint import SERVING, Endpoint
from slipway_sandbox.sagemaker.hosting.metrics import Metrics
from slipway_sandbox.sagemaker.hosting.routing import Route
from slipway_sandbox.sagemaker.resources import Table
from slipway_sandbox.world import World

RUNTIME_PREFIX = "/endpoints/"
PATH = re.compile(r"/endpoints/(?P<name>[^/]+)/(?P<action>[a-z-]+)")
OPERATIONS = {
    "invocations": "InvokeEndpoint",
    "async-invocations": "InvokeEndpointAsync",
    "invocations-response-stream": "InvokeEndpointWithResponseStream",
    "invocations-bidirectional-stream": "InvokeEndpointWithBidirectionalStream",
}
LARGEST_BODY = 6_291_456
"""Bytes of a request, as the service model has it."""
MODEL_TIMEOUT = 60.0
"""Real seconds that a model may take."""
CONNECTIONS = 100
PASSED_ON = {
    "CONTENT_TYPE": "Content-Type",
    "HTTP_ACCEPT": "Accept",
    "HTTP_X_AMZN_SAGEMAKER_CUSTOM_ATTRIBUTES": "X-Amzn-SageMaker-Custom-Attributes",
    "HTTP_X_AMZN_SAGEMAKER_TARGET_MODEL": "X-Amzn-SageMaker-Target-Model",
    "HTTP_X_AMZN_SAGEMAKER_INFERENCE_ID": "X-Amzn-SageMaker-Inference-Id",
}
"""Headers of the request that the container gets, by their name in WSGI."""
TARGET_VARIANT = "HTTP_X_AMZN_SAGEMAKER_TARGET_VARIANT"
LOGGED = {"ContentType": "CONTENT_TYPE", "Accept": "HTTP_ACCEPT", "TargetVariant": TARGET_VARIANT}
"""What the call log keeps of a request, by the API's names. The payload is nobody's business."""


@dataclass(frozen=True)
class Answer:
    """What the container said."""

    status: int
    body: bytes
    headers: httpx.Headers


class Runtime:
    """The application for `/endpoints/…`. It holds no lock while a model computes.

    Args:
        world: What all rooms share.
        endpoints: The endpoints.
        metrics: What CloudWatch is to learn.
        caller_of: Finds account and region by a request's signature.
    """

    def __init__(
        self, world: World, endpoints: Table[Endpoint], metrics: Metrics, caller_of: Callable[[Signature | None], Caller]
    ) -> None:
        self._world = world
        self._endpoints = endpoints
        self._metrics = metrics
        self._caller_of = caller_of
        # A connection that is refused is tried again: a container that exited is about to be back, and has seen nothing.
        transport = httpx.HTTPTransport(retries=2, limits=httpx.Limits(max_connections=CONNECTIONS))
        self._http = httpx.Client(transport=transport, timeout=MODEL_TIMEOUT, trust_env=False)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        found = PATH.fullmatch(environ["PATH_INFO"])
        name, action = (found["name"], found["action"]) if found else ("", "")
        operation = OPERATIONS.get(action, f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}")
        asked = {"EndpointName": name, **{field: environ[key] for field, key in LOGGED.items() if environ.get(key)}}
        call = Incoming(environ, self._caller_of(signature_of(environ)), "sagemaker-runtime", operation, request=asked)
        response = observed(self._world, call, lambda: self._invoke(call), refusal)
        return response(environ, start_response)

    def _invoke(self, call: Incoming) -> Response:
        if call.operation != "InvokeEndpoint":
            raise AwsError("NotImplemented", f"The sandbox does not answer sagemaker-runtime.{call.operation} yet.", 501)
        payload = call.environ["wsgi.input"].read()
        if len(payload) > LARGEST_BODY:
            raise AwsError("ValidationError", f"The request body has {len(payload)} bytes; at most {LARGEST_BODY} are allowed.")
        route = self._route(call)
        try:
            answer = self._ask(call, route, payload)
        finally:
            route.server.leave()
        if answer.status >= HTTPStatus.BAD_REQUEST:
            raise model_error(call, answer)
        headers = {**request_id(), "x-Amzn-Invoked-Production-Variant": route.variant}
        custom = answer.headers.get("X-Amzn-SageMaker-Custom-Attributes")
        if custom:
            headers["X-Amzn-SageMaker-Custom-Attributes"] = custom
        return Response(answer.body, headers=headers, content_type=answer.headers.get("Content-Type", "application/octet-stream"))

    def _route(self, call: Incoming) -> Route:
        name, caller = call.request["EndpointName"], call.caller
        endpoint = self._endpoints.find(caller, name)
        if endpoint is None or endpoint.status not in SERVING:
            raise AwsError("ValidationError", f"Endpoint {name} of account {caller.account} not found.")
        variant = call.request.get("TargetVariant")
        route = endpoint.router.take(variant)
        if route is None and variant:
            raise AwsError("ValidationError", f"Variant {variant} of endpoint {name} not found.")
        if route is None:
            raise AwsError("ServiceUnavailable", "The endpoint has no instance to answer.", HTTPStatus.SERVICE_UNAVAILABLE)
        return route

    def _ask(self, call: Incoming, route: Route, payload: bytes) -> Answer:
        headers = {header: call.environ[key] for key, header in PASSED_ON.items() if call.environ.get(key)}
        started = time.monotonic()
        try:
            response = self._http.post(f"{route.server.url}/invocations", content=payload, headers=headers)
            answer = Answer(response.status_code, response.content, response.headers)
        except httpx.TimeoutException:
            text = "Your invocation timed out while waiting for a response from container primary."
            answer = Answer(HTTPStatus.GATEWAY_TIMEOUT, text.encode(), httpx.Headers())
        except httpx.HTTPError as error:
            answer = Answer(HTTPStatus.SERVICE_UNAVAILABLE, f"The container did not answer: {error}".encode(), httpx.Headers())
        seconds = time.monotonic() - started
        self._metrics.record(call.caller, call.request["EndpointName"], route.variant, route.config, answer.status, seconds)
        return answer


def model_error(call: Incoming, answer: Answer) -> AwsError:
    """AWS's way to say that the model refused."""
    kind = "server" if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR else "client"
    said = answer.body.decode("utf-8", "replace")
    region, account = call.caller.region, call.caller.account
    group = f"/aws/sagemaker/Endpoints/{call.request['EndpointName']}"
    console = f"https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}#logEventViewer:group={group}"
    return AwsError(
        "ModelError",
        f'Received {kind} error ({answer.status}) from primary with message "{said}". '
        f"See {console} in account {account} for more information.",
        HTTPStatus.FAILED_DEPENDENCY,
        OriginalStatusCode=answer.status,
        OriginalMessage=said,
        LogStreamArn=f"arn:aws:logs:{region}:{account}:log-group:{group}",
    )


def refusal(error: AwsError) -> Response:
    """An error answer as the runtime's REST protocol sends it."""
    headers = {**request_id(), "x-amzn-ErrorType": error.code}
    body = json.dumps({"Message": error.message, **error.fields})
    return Response(body, error.status, headers=headers, content_type="application/json")
