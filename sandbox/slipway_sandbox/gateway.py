"""The one WSGI application: finds the room for a request, logs the call, and plants the faults."""

from __future__ import annotations

import logging
import re
import socket
import threading
import uuid
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any, cast
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from botocore.model import OperationModel, OperationNotFoundError
from moto.iam.models import get_account_id_from  # pyright: ignore[reportUnknownVariableType]
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.wrappers import Request, Response

from slipway_sandbox import protocol
from slipway_sandbox.calls import Caller
from slipway_sandbox.errors import AwsError
from slipway_sandbox.faults import FaultKind, PlantedFault, error_of
from slipway_sandbox.world import DEFAULT_ACCOUNT, INTERNAL_USER_AGENT, Handler, Room, World

log = logging.getLogger(__name__)

CREDENTIAL = re.compile(r"Credential=(?P<key>[^/]+)/\d+/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request")
JSON_1_1 = "application/x-amz-json-1.1"


class LostConnectionError(Exception):
    """The client is to see its connection cut."""


class Gateway:
    """Routes by the path for what is no AWS call, by `X-Amz-Target` for the own services, and to moto for the rest.

    Args:
        world: What the rooms share.
        rooms: The own services' parts.
        paths: Applications for whole paths, by prefix: the registry, the runtime, the metadata endpoints, the control page.
    """

    def __init__(self, world: World, rooms: Sequence[Room], paths: dict[str, WSGIApplication]) -> None:
        self._world = world
        self._paths = paths
        self._handlers = {(room.service, name): (room, handler) for room in rooms for name, handler in room.handlers.items()}
        self._targets = {
            str(protocol.service_model(name).metadata["targetPrefix"]): name for name in {room.service for room in rooms}
        }
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._moto_lock = threading.RLock()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        for prefix, application in self._paths.items():
            if path.startswith(prefix):
                return application(environ, start_response)
        caller = caller_of(environ)
        prefix, _, name = environ.get("HTTP_X_AMZ_TARGET", "").partition(".")
        service = self._targets.get(prefix)
        try:
            response = self._answer_own(environ, caller, service, name) if service else self._answer_moto(environ, caller)
        except LostConnectionError:
            return cut_connection(environ)
        return response(environ, start_response)

    def _answer_own(self, environ: WSGIEnvironment, caller: Caller, service: str, name: str) -> Response:
        request: dict[str, Any] = {}
        fault = self._strike(environ, caller, service, name)
        error: AwsError | None = None
        body = b""
        try:
            model = operation_model(service, name)
            room, handler = self._find_handler(service, name)
            request = protocol.parse_request(model, Request(environ).get_data())
            refuse_by(fault)
            body = protocol.response_body(model, run(room, handler, caller, request))
        except AwsError as refusal:
            error = refusal
        except LostConnectionError:
            raise
        except Exception:
            log.exception("%s.%s failed", service, name)
            error = AwsError("InternalFailure", "The sandbox made a mistake; its log has the details.", 500)
        status = error.status if error else HTTPStatus.OK
        self._note(environ, caller, service, name, request, status, error.code if error else None)
        lose_answer_by(fault)
        return Response(protocol.error_body(error) if error else body, status, content_type=JSON_1_1, headers=request_id())

    def _find_handler(self, service: str, name: str) -> tuple[Room, Handler]:
        found = self._handlers.get((service, name))
        if found is None:
            raise AwsError("NotImplemented", f"The sandbox does not answer {service}.{name} yet.", 501)
        return found

    def _answer_moto(self, environ: WSGIEnvironment, caller: Caller) -> Response:
        service, name = moto_operation(environ)
        fault = self._strike(environ, caller, service, name)
        environ["HTTP_X_MOTO_ACCOUNT_ID"] = caller.account
        refusal = error_of(fault.fault) if fault else None
        if fault and fault.fault.kind is FaultKind.reset:
            raise LostConnectionError
        if refusal:
            response = Response(protocol.error_body(refusal), refusal.status, content_type=JSON_1_1, headers=request_id())
        else:
            with self._moto_lock:
                response = Response.from_app(cast(Any, self._moto), environ, buffered=True)
        if response.status_code == HTTPStatus.INTERNAL_SERVER_ERROR and (response.content_type or "").startswith("text/html"):
            missing = AwsError("NotImplemented", f"The sandbox does not answer {service}.{name}.", 501)
            response = Response(protocol.error_body(missing), missing.status, content_type=JSON_1_1, headers=request_id())
        status = response.status_code
        failed = status >= HTTPStatus.BAD_REQUEST
        self._note(
            environ, caller, service, name, {"path": environ.get("PATH_INFO", "")}, status, str(status) if failed else None
        )
        lose_answer_by(fault)
        return response

    def _strike(self, environ: WSGIEnvironment, caller: Caller, service: str, name: str) -> PlantedFault | None:
        return None if is_internal(environ) else self._world.faults.strike(service, name, caller.account)

    def _note(
        self,
        environ: WSGIEnvironment,
        caller: Caller,
        service: str,
        name: str,
        request: dict[str, Any],
        status: int,
        error: str | None,
    ) -> None:
        if not is_internal(environ):
            self._world.calls.add(self._world.clock.now(), caller, service, name, request, status, error)


def run(room: Room, handler: Handler, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    """Run a handler under its service's lock, unless it takes that itself."""
    if handler.__dict__["aws_concurrent"]:
        return handler(room, caller, request)
    with room.lock:
        return handler(room, caller, request)


def operation_model(service: str, name: str) -> OperationModel:
    """The model of an operation.

    Raises:
        AwsError: `UnknownOperationException`.
    """
    try:
        return protocol.service_model(service).operation_model(name)
    except OperationNotFoundError as error:
        raise AwsError("UnknownOperationException", f"{service} has no operation {name}") from error


def refuse_by(fault: PlantedFault | None) -> None:
    """What a fault does before the effect."""
    if fault is None:
        return
    if fault.fault.kind is FaultKind.reset:
        raise LostConnectionError
    refusal = error_of(fault.fault)
    if refusal:
        raise refusal


def lose_answer_by(fault: PlantedFault | None) -> None:
    """What a fault does after the effect."""
    if fault is None:
        return
    if fault.fault.kind is FaultKind.hold_answer:
        fault.removed.wait()
        raise LostConnectionError
    if fault.fault.kind is FaultKind.lost_answer:
        raise LostConnectionError


def caller_of(environ: WSGIEnvironment) -> Caller:
    """Account and region by the request's signature.

    An access key of twelve digits is the account itself; a key that STS handed out belongs to its role's account; any other
    key is the default account's.
    """
    found = CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
    if not found:
        return Caller(DEFAULT_ACCOUNT, "us-east-1", "")
    key = found["key"]
    account = key if re.fullmatch(r"\d{12}", key) else get_account_id_from(key)
    return Caller(account, found["region"], key)


def is_internal(environ: WSGIEnvironment) -> bool:
    """Whether the sandbox itself makes this call."""
    return INTERNAL_USER_AGENT in environ.get("HTTP_USER_AGENT", "")


def moto_operation(environ: WSGIEnvironment) -> tuple[str, str]:
    """Service and operation of a call that moto answers, as well as its protocol shows them."""
    found = CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
    service = found["service"] if found else "unsigned"
    target = environ.get("HTTP_X_AMZ_TARGET", "")
    path = environ.get("PATH_INFO", "")
    if target:
        return service, target.rpartition(".")[2]
    if "/operation/" in path:
        return service, path.rpartition("/")[2]
    if service == "s3":
        return service, s3_operation(environ.get("REQUEST_METHOD", "GET"), path, environ.get("QUERY_STRING", ""))
    action = Request(environ).form.get("Action") if environ.get("REQUEST_METHOD") == "POST" else None
    return service, action or f"{environ.get('REQUEST_METHOD')} {path}"


def s3_operation(method: str, path: str, query: str) -> str:
    """The S3 operation that a path-style request stands for; uncommon ones by method and path."""
    has_key = "/" in path.strip("/")
    if "uploads" in query or "uploadId" in query:
        return "MultipartUpload"
    if not has_key:
        return {"PUT": "CreateBucket", "GET": "ListObjectsV2", "HEAD": "HeadBucket"}.get(method, f"{method}Bucket")
    return {"PUT": "PutObject", "GET": "GetObject", "HEAD": "HeadObject", "DELETE": "DeleteObject"}.get(method, f"{method}Object")


def request_id() -> dict[str, str]:
    """The header that every AWS answer has."""
    return {"x-amzn-RequestId": str(uuid.uuid4())}


def cut_connection(environ: WSGIEnvironment) -> Iterable[bytes]:
    """End the connection without an answer, as a network fault would."""
    connection: socket.socket = environ["werkzeug.socket"]
    connection.shutdown(socket.SHUT_RDWR)
    # The server notices that its peer is gone, and logs nothing.
    raise ConnectionResetError
