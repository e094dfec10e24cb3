"""SageMaker's runtime: the three InvokeEndpoint operations, answered by the model's own containers."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from wsgiref.types import StartResponse, WSGIEnvironment

from urllib3 import BaseHTTPResponse
from urllib3.exceptions import HTTPError
from werkzeug.wrappers import Response

from slipway_sandbox.core.calls import Caller
from slipway_sandbox.core.errors import AwsError
from slipway_sandbox.core.observed import Incoming, observed
from slipway_sandbox.core.world import World
from slipway_sandbox.protocol.operations import Signature, signature_of
from slipway_sandbox.protocol.refusals import request_id
from slipway_sandbox.sagemaker.hosting import eventstream
from slipway_sandbox.sagemaker.hosting.async_requests import AsyncRequests
from slipway_sandbox.sagemaker.hosting.endpoint import SERVING, Endpoint
from slipway_sandbox.sagemaker.hosting.metrics import Invocation, Metrics, Place
from slipway_sandbox.sagemaker.hosting.model_client import CUSTOM_ATTRIBUTES, Answer, ModelClient, chain
from slipway_sandbox.sagemaker.hosting.requests import LARGEST_BODY, SERVICE, check, invalid, members, named
from slipway_sandbox.sagemaker.hosting.routing import BusyError, Route, Shadow
from slipway_sandbox.sagemaker.hosting.workers import Workers
from slipway_sandbox.sagemaker.resources import Table

RUNTIME_PREFIX = "/endpoints/"
SHADOW_THREADS, SHADOWS_WAITING = 8, 1000
INVOKED_VARIANT = "x-Amzn-Invoked-Production-Variant"
CHUNK = 64 * 1024
INVOCATIONS = {
    "InvokeEndpoint": "the split is exact, not by chance: four requests on a canary of 25 % are three and one; no multi-model "
    "endpoints, explainers or sessions",
    "InvokeEndpointAsync": "wording of refusals and of failure reasons is not verified on AWS; requests that wait are lost when "
    "the sandbox ends",
    "InvokeEndpointWithResponseStream": "wording of refusals is not verified on AWS",
}
"""What is answered, and how it differs from AWS."""


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
        self._models = ModelClient()
        self._later = AsyncRequests(world, self._models, metrics)
        self._shadows = Workers("shadow", SHADOW_THREADS, SHADOWS_WAITING)
        self._acts = {
            "InvokeEndpoint": self._invoke,
            "InvokeEndpointAsync": self._invoke_later,
            "InvokeEndpointWithResponseStream": self._invoke_in_parts,
        }

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        operation, name = named(environ)
        caller = self._caller_of(signature_of(environ))
        call = Incoming(environ, caller, SERVICE, operation, request=members(operation, name, environ))
        response = observed(self._world, call, lambda: self._act(call), refusal)
        return response(environ, start_response)

    def _act(self, call: Incoming) -> Response:
        act = self._acts.get(call.operation)
        if act is None:
            raise AwsError("NotImplemented", f"The sandbox does not answer {SERVICE}.{call.operation} yet.", 501)
        # One byte more than may come, which tells those that are too long without holding them.
        body = call.environ["wsgi.input"].read(LARGEST_BODY + 1)
        check(call.operation, call.request, body)
        return act(call, self._endpoint(call), body)

    def _invoke(self, call: Incoming, endpoint: Endpoint, body: bytes) -> Response:
        began = time.monotonic()
        refuse_async(endpoint)
        route = self._route(endpoint, call)
        try:
            self._copy(call, endpoint, route, body)
            answer = self._models.ask(route.server, call.request, body)
        finally:
            route.server.leave()
        overhead = time.monotonic() - began - answer.seconds
        self._record(endpoint, route, answer.status, answer.seconds, overhead)
        if answer.failed:
            raise model_error(call, answer)
        headers = {**request_id(), INVOKED_VARIANT: route.variant, **custom_attributes(answer.headers.get(CUSTOM_ATTRIBUTES))}
        return Response(answer.body, headers=headers, content_type=answer.content_type)

    def _invoke_later(self, call: Incoming, endpoint: Endpoint, body: bytes) -> Response:
        job = self._later.accept(endpoint, call.request, body)
        headers = {**request_id(), "X-Amzn-SageMaker-OutputLocation": job.output}
        if job.failure:
            headers["X-Amzn-SageMaker-FailureLocation"] = job.failure
        said = json.dumps({"InferenceId": job.id})
        return Response(said, HTTPStatus.ACCEPTED, headers=headers, content_type="application/json")

    def _invoke_in_parts(self, call: Incoming, endpoint: Endpoint, body: bytes) -> Response:
        refuse_async(endpoint)
        route = self._route(endpoint, call)
        if route.server.limit is not None:
            route.server.leave()
            raise invalid(f"Endpoint {endpoint.name} is serverless, which does not stream responses.")
        parts = Parts(self._models, route, lambda status, seconds: self._record(endpoint, route, status, seconds, 0.0))
        answer = parts.begin(call, body)
        if answer:
            raise model_error(call, answer)
        headers = {
            **request_id(),
            INVOKED_VARIANT: route.variant,
            "X-Amzn-SageMaker-Content-Type": parts.content_type,
            **custom_attributes(parts.custom_attributes),
        }
        response = Response(parts, headers=headers, content_type=eventstream.CONTENT_TYPE)
        response.call_on_close(parts.close)
        return response

    def _endpoint(self, call: Incoming) -> Endpoint:
        name, caller = call.request["EndpointName"], call.caller
        endpoint = self._endpoints.find(caller, name)
        if endpoint is None or endpoint.status not in SERVING:
            raise invalid(f"Endpoint {name} of account {caller.account} not found.")
        return endpoint

    @staticmethod
    def _route(endpoint: Endpoint, call: Incoming) -> Route:
        variant = call.request.get("TargetVariant")
        try:
            route = endpoint.router.take(variant)
        except BusyError as error:
            raise AwsError("ThrottlingException", "Rate exceeded", HTTPStatus.TOO_MANY_REQUESTS) from error
        if route is None and variant:
            raise invalid(f"Variant {variant} of endpoint {endpoint.name} not found.")
        if route is None:
            raise AwsError("ServiceUnavailable", "The endpoint has no instance to answer.", HTTPStatus.SERVICE_UNAVAILABLE)
        return route

    def _record(self, endpoint: Endpoint, route: Route, status: int, seconds: float, overhead: float) -> None:
        place = Place(endpoint.name, route.variant, route.config)
        self._metrics.record(endpoint.caller, Invocation(place, status, seconds, overhead, route.instances))

    def _copy(self, call: Incoming, endpoint: Endpoint, route: Route, body: bytes) -> None:
        """Send a copy to the shadow variant, if it is to get this one."""
        shadow = route.shadow
        if shadow and shadow.sampler.take() and shadow.server.enter():
            work = Copy(self._models, self._metrics, endpoint, shadow, route.config)
            if not self._shadows.submit(lambda: work.send(dict(call.request), body)):
                shadow.server.leave()


class Copy:
    """A request's copy on its way to a shadow variant. It counts in that variant's metrics, and its answer is thrown away."""

    def __init__(self, models: ModelClient, metrics: Metrics, endpoint: Endpoint, shadow: Shadow, config: str) -> None:
        self._models = models
        self._metrics = metrics
        self._endpoint = endpoint
        self._shadow = shadow
        self._config = config

    def send(self, request: dict[str, object], body: bytes) -> None:
        """Send it."""
        try:
            answer = self._models.ask(self._shadow.server, request, body)
        finally:
            self._shadow.server.leave()
        place = Place(self._endpoint.name, self._shadow.variant, self._config)
        self._metrics.record(self._endpoint.caller, Invocation(place, answer.status, answer.seconds, 0.0, self._shadow.instances))


class Parts:
    """A model's answer in the parts in which it comes, as events.

    Args:
        models: Speaks to the containers.
        route: Who answers; it is left at the end.
        record: Called once with the model's status and the seconds that it took.
    """

    def __init__(self, models: ModelClient, route: Route, record: Callable[[int, float], None]) -> None:
        self._models = models
        self._route = route
        self._record = record
        self._began = time.monotonic()
        self._response: BaseHTTPResponse | None = None
        self._status = int(HTTPStatus.SERVICE_UNAVAILABLE)
        self._closed = False

    def begin(self, call: Incoming, body: bytes) -> Answer | None:
        """Send the request; returns an error's whole answer, or None where parts follow."""
        try:
            *earlier, (name, url) = chain(self._route.server, call.request)
            if earlier:
                raise invalid("InvokeEndpointWithResponseStream is not supported by inference pipelines.")
            self._response = self._models.open(url, call.request, body)
            self._status = self._response.status
            if self._status < HTTPStatus.BAD_REQUEST:
                return None
            said = self._response.data
        except HTTPError as error:
            name, said = "primary", f"The container did not answer: {error}".encode()
        except AwsError:
            self.close()
            raise
        self.close()
        return Answer(self._status, said, {}, name, 0.0)

    @property
    def content_type(self) -> str:
        """What kind of answer it is."""
        return self._response.headers.get("content-type", "application/octet-stream") if self._response else ""

    @property
    def custom_attributes(self) -> str | None:
        """The model's custom attributes."""
        return self._response.headers.get(CUSTOM_ATTRIBUTES) if self._response else None

    def __iter__(self) -> Iterator[bytes]:
        if self._response is None:
            return
        try:
            while chunk := self._response.read1(CHUNK, decode_content=False):
                yield eventstream.event("PayloadPart", chunk)
        except HTTPError as error:
            self._status = int(HTTPStatus.INTERNAL_SERVER_ERROR)
            said = {"Message": f"The model's response ended early: {error}", "ErrorCode": "StreamBroken"}
            yield eventstream.exception("ModelStreamError", json.dumps(said).encode())

    def close(self) -> None:
        """Close the request to the model, and record it."""
        if not self._closed:
            self._closed = True
            if self._response:
                self._response.close()
            self._route.server.leave()
            self._record(self._status, time.monotonic() - self._began)


def refuse_async(endpoint: Endpoint) -> None:
    """Refuse an immediate answer of an endpoint that answers later.

    Raises:
        AwsError: `ValidationError`.
    """
    if endpoint.served.config.is_async:
        raise invalid(f"Endpoint {endpoint.name} is an asynchronous endpoint. Use InvokeEndpointAsync to invoke it.")


def custom_attributes(said: str | None) -> dict[str, str]:
    """The header that passes a model's own attributes on."""
    return {CUSTOM_ATTRIBUTES: said} if said else {}


def model_error(call: Incoming, answer: Answer) -> AwsError:
    """AWS's way to say that the model refused."""
    kind = "server" if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR else "client"
    said = answer.body.decode("utf-8", "replace")
    region, account = call.caller.region, call.caller.account
    group = f"/aws/sagemaker/Endpoints/{call.request['EndpointName']}"
    console = f"https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}#logEventViewer:group={group}"
    return AwsError(
        "ModelError",
        f'Received {kind} error ({answer.status}) from {answer.container} with message "{said}". '
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
