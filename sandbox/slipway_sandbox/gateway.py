"""The WSGI application: finds the service that answers a request, under planted faults and the call log."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Any, BinaryIO
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from botocore.model import OperationModel, OperationNotFoundError
from werkzeug.wrappers import Response

from slipway_sandbox.core.calls import Caller
from slipway_sandbox.core.errors import AwsError
from slipway_sandbox.core.observed import Incoming, from_inside, observed
from slipway_sandbox.core.world import DEFAULT_ACCOUNT, Handler, Room, World
from slipway_sandbox.iam.principals import Principals
from slipway_sandbox.moto.backend import MotoBackend
from slipway_sandbox.protocol import aws_json, query
from slipway_sandbox.protocol.operations import Signature, operation_of, request_of, signature_of
from slipway_sandbox.protocol.refusals import JSON_1_1, refusal_for, request_id

log = logging.getLogger(__name__)

REGISTRY = "/v2/"
LONGEST_REQUEST = 32 * 1024**2
"""Bytes of a call's body, more than any call of the own services needs."""
PIECE = 64 * 1024
"""Bytes that are read of it at once: for all that it may have, memory would be taken from the system each time."""
ANONYMOUS = "*"
"""The principal of a request without a signature."""


class Gateway:
    """Routes by path what is not an AWS call, by `X-Amz-Target` to the own services, and the rest to moto.

    Args:
        world: What the rooms share.
        rooms: The own services' parts.
        moto: Answers what no room does.
        principals: Who has which access key.
        paths: Applications for whole paths, by prefix: the registry, the runtime, the metadata endpoints, the control page.
    """

    def __init__(
        self,
        world: World,
        rooms: Sequence[Room],
        moto: MotoBackend,
        principals: Principals,
        paths: dict[str, WSGIApplication],
    ) -> None:
        self._world = world
        self._paths = paths
        self._principals = principals
        self._handlers = {(room.service, name): (room, handler) for room in rooms for name, handler in room.handlers.items()}
        self._own = {room.service for room in rooms if not room.over_moto}
        self._services = frozenset(room.service for room in rooms)
        self._moto = moto

    @functools.cached_property
    def targets(self) -> dict[str, str]:
        """The own services by the prefix of `X-Amz-Target`. Their models are long: the start does not wait for them."""
        return {
            str(metadata["targetPrefix"]): name
            for name in self._services
            if "targetPrefix" in (metadata := aws_json.service_model(name).metadata)
        }

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        signature = signature_of(environ)
        application = self._path_application(environ, signature)
        if application:
            return application(environ, start_response)
        caller = self.caller_of(signature)
        if caller.access_key == caller.account and from_inside(environ):
            caller = replace(caller, principal="")
        prefix, _, name = environ.get("HTTP_X_AMZ_TARGET", "").partition(".")
        service = self.targets.get(prefix, "")
        # A service may share its signing name with an own one and speak another protocol. That one is for moto.
        own = service in self._own
        if not service:
            service, name = operation_of(environ, signature)
        call = Incoming(environ, caller, service, name)
        answer = self._answer_own if own or (service, name) in self._handlers else self._answer_moto
        return answer(call)(environ, start_response)

    def caller_of(self, signature: Signature | None) -> Caller:
        """Who calls, and where, by the request's signature.

        An access key of twelve digits is the account itself; a key that STS or IAM handed out belongs to its role's or user's
        account; any other key is the default account's.
        """
        if signature is None:
            return Caller(DEFAULT_ACCOUNT, "us-east-1", "", ANONYMOUS)
        principal = self._principals.of(signature.access_key)
        return Caller(principal.account, signature.region, signature.access_key, principal.arn)

    def ask(self, caller: Caller, service: str, name: str, request: dict[str, Any]) -> dict[str, Any]:
        """What a room answers to an operation, such as the revision of a task definition; empty if it refuses."""
        room, handler = self._handlers.get((service, name), (None, None))
        if room is None or handler is None:
            return {}
        try:
            return handle(room, handler, caller, request)
        except AwsError:
            return {}

    def _path_application(self, environ: WSGIEnvironment, signature: Signature | None) -> WSGIApplication | None:
        path = environ["PATH_INFO"]
        # A bucket may be named like any prefix. And registry clients never sign, while SES and API Gateway have paths under /v2/.
        if signature and (signature.service == "s3" or path.startswith(REGISTRY)):
            return None
        return next((application for prefix, application in self._paths.items() if path.startswith(prefix)), None)

    def _answer_own(self, call: Incoming) -> Response:
        try:
            act = self._prepare(call)
        except AwsError as error:
            act = _raising(error)
        return observed(self._world, call, act, lambda error: refusal_for(call.environ, call.service, error))

    def _prepare(self, call: Incoming) -> Callable[[], Response]:
        model = operation_model(call.service, call.operation)
        found = self._handlers.get((call.service, call.operation))
        if found is None:
            raise AwsError(
                "NotImplemented",
                f"The sandbox does not answer {call.service}.{call.operation} yet.",
                HTTPStatus.NOT_IMPLEMENTED,
            )
        body = whole(call.environ["wsgi.input"])
        call.request = query.parse_request(model, query.form(body)) if is_query(model) else aws_json.parse_request(model, body)
        room, handler = found
        return lambda: run(room, handler, model, call)

    def _answer_moto(self, call: Incoming) -> Response:
        call.request = request_of(call.environ)

        def refuse(error: AwsError) -> Response:
            if call.service == "s3" and error.code == "ThrottlingException":
                error = AwsError("SlowDown", "Please reduce your request rate.", HTTPStatus.SERVICE_UNAVAILABLE)
            return refusal_for(call.environ, call.service, error)

        return observed(self._world, call, lambda: self._moto.answer(call), refuse)


def run(room: Room, handler: Handler, model: OperationModel, call: Incoming) -> Response:
    """Run a handler under its service's lock, unless it takes that itself.

    Raises:
        AwsError: What the handler refuses with; `InternalFailure` for a bug in it.
    """
    try:
        result = handle(room, handler, call.caller, call.request)
        headers = request_id()
        if is_query(model):
            body = query.response_body(model, result, headers["x-amzn-RequestId"])
            return Response(body, headers=headers, content_type="text/xml")
        return Response(aws_json.response_body(model, result), headers=headers, content_type=JSON_1_1)
    except AwsError:
        raise
    except Exception as error:
        log.exception("%s.%s failed", call.service, call.operation)
        raise AwsError(
            "InternalFailure", "The sandbox failed; its log has the details.", HTTPStatus.INTERNAL_SERVER_ERROR
        ) from error


def handle(room: Room, handler: Handler, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    """Call a handler under its service's lock, unless it takes that itself."""
    if handler.__dict__["aws_concurrent"]:
        return handler(room, caller, request)
    with room.lock:
        return handler(room, caller, request)


def is_query(model: OperationModel) -> bool:
    """Whether an operation uses the query protocol: a form in, XML out."""
    return model.service_model.metadata["protocol"] == "query"


def operation_model(service: str, name: str) -> OperationModel:
    """The model of an operation.

    Raises:
        AwsError: `UnknownOperationException`.
    """
    try:
        return aws_json.service_model(service).operation_model(name)
    except OperationNotFoundError as error:
        raise AwsError("UnknownOperationException", f"{service} has no operation {name}") from error


def whole(body: BinaryIO) -> bytes:
    """A call's whole body.

    Raises:
        AwsError: It is longer than `LONGEST_REQUEST`.
    """
    read = bytearray()
    while piece := body.read(PIECE):
        read += piece
        if len(read) > LONGEST_REQUEST:
            text = f"The request is longer than {LONGEST_REQUEST} bytes."
            raise AwsError("RequestEntityTooLargeException", text, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    return bytes(read)


def _raising(error: AwsError) -> Callable[[], Response]:
    def act() -> Response:
        raise error

    return act
