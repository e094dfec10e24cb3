"""The one WSGI application: finds who answers a request, and lets faults and call log see it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from http import HTTPStatus
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from botocore.model import OperationModel, OperationNotFoundError
from werkzeug.wrappers import Response

from slipway_sandbox import protocol
from slipway_sandbox.calls import Caller
from slipway_sandbox.errors import AwsError
from slipway_sandbox.moto_backend import ACCOUNT, MotoBackend
from slipway_sandbox.observed import Incoming, observed
from slipway_sandbox.operations import Signature, operation_of, request_of, signature_of
from slipway_sandbox.refusals import JSON_1_1, json_refusal, refusal_for, request_id
from slipway_sandbox.world import DEFAULT_ACCOUNT, Handler, Room, World

log = logging.getLogger(__name__)

REGISTRY = "/v2/"


class Gateway:
    """Routes by the path for what is no AWS call, by `X-Amz-Target` for the own services, and to moto for the rest.

    Args:
        world: What the rooms share.
        rooms: The own services' parts.
        moto: Answers for the other services.
        paths: Applications for whole paths, by prefix: the registry, the runtime, the metadata endpoints, the control page.
    """

    def __init__(self, world: World, rooms: Sequence[Room], moto: MotoBackend, paths: dict[str, WSGIApplication]) -> None:
        self._world = world
        self._paths = paths
        self._handlers = {(room.service, name): (room, handler) for room in rooms for name, handler in room.handlers.items()}
        self._targets = {
            str(protocol.service_model(name).metadata["targetPrefix"]): name for name in {room.service for room in rooms}
        }
        self._moto = moto

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        signature = signature_of(environ)
        application = self._path_application(environ, signature)
        if application:
            return application(environ, start_response)
        prefix, _, name = environ.get("HTTP_X_AMZ_TARGET", "").partition(".")
        service = self._targets.get(prefix)
        caller = self.caller_of(signature)
        response = (
            self._answer_own(Incoming(environ, caller, service, name))
            if service
            else self._answer_moto(Incoming(environ, caller, *operation_of(environ, signature), request=request_of(environ)))
        )
        return response(environ, start_response)

    def caller_of(self, signature: Signature | None) -> Caller:
        """Account and region by the request's signature.

        An access key of twelve digits is the account itself; a key that STS handed out belongs to its role's account; any other
        key is the default account's.
        """
        if signature is None:
            return Caller(DEFAULT_ACCOUNT, "us-east-1", "")
        key = signature.access_key
        return Caller(key if ACCOUNT.fullmatch(key) else self._moto.account_of(key), signature.region, key)

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
        return observed(self._world, call, act, json_refusal)

    def _prepare(self, call: Incoming) -> Callable[[], Response]:
        model = operation_model(call.service, call.operation)
        found = self._handlers.get((call.service, call.operation))
        if found is None:
            raise AwsError(
                "NotImplemented",
                f"The sandbox does not answer {call.service}.{call.operation} yet.",
                HTTPStatus.NOT_IMPLEMENTED,
            )
        call.request = protocol.parse_request(model, call.environ["wsgi.input"].read())
        room, handler = found
        return lambda: run(room, handler, model, call)

    def _answer_moto(self, call: Incoming) -> Response:
        def refuse(error: AwsError) -> Response:
            if call.service == "s3" and error.code == "ThrottlingException":
                error = AwsError("SlowDown", "Please reduce your request rate.", HTTPStatus.SERVICE_UNAVAILABLE)
            return refusal_for(call.environ, call.service, error)

        return observed(self._world, call, lambda: self._moto.answer(call), refuse)


def run(room: Room, handler: Handler, model: OperationModel, call: Incoming) -> Response:
    """Run a handler under its service's lock, unless it takes that itself.

    Raises:
        AwsError: What the handler refuses with; `InternalFailure` for a mistake of its own.
    """
    try:
        if handler.__dict__["aws_concurrent"]:
            result: dict[str, Any] = handler(room, call.caller, call.request)
        else:
            with room.lock:
                result = handler(room, call.caller, call.request)
        return Response(protocol.response_body(model, result), headers=request_id(), content_type=JSON_1_1)
    except AwsError:
        raise
    except Exception as error:
        log.exception("%s.%s failed", call.service, call.operation)
        raise AwsError(
            "InternalFailure", "The sandbox made a mistake; its log has the details.", HTTPStatus.INTERNAL_SERVER_ERROR
        ) from error


def operation_model(service: str, name: str) -> OperationModel:
    """The model of an operation.

    Raises:
        AwsError: `UnknownOperationException`.
    """
    try:
        return protocol.service_model(service).operation_model(name)
    except OperationNotFoundError as error:
        raise AwsError("UnknownOperationException", f"{service} has no operation {name}") from error


def _raising(error: AwsError) -> Callable[[], Response]:
    def act() -> Response:
        raise error

    return act
