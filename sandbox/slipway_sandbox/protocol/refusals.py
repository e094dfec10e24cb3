"""Error answers in each of AWS's protocols."""

from __future__ import annotations

import json
import uuid
from http import HTTPStatus
from wsgiref.types import WSGIEnvironment
from xml.sax.saxutils import escape

from botocore.exceptions import UnknownServiceError
from werkzeug.wrappers import Response

from slipway_sandbox.core.errors import AwsError
from slipway_sandbox.protocol.aws_json import service_model

JSON_1_1 = "application/x-amz-json-1.1"
ONCE_QUERY = frozenset({"sqs", "cloudwatch"})
_CBOR_SHORT = 24
_CBOR_BYTE = 256


def request_id() -> dict[str, str]:
    """The header that every AWS answer has."""
    return {"x-amzn-RequestId": str(uuid.uuid4())}


def json_refusal(error: AwsError) -> Response:
    """An error answer as AWS JSON 1.1 sends it. Both spellings of `message` are in use."""
    body = {"__type": error.code, "message": error.message, "Message": error.message, **error.fields}
    return Response(json.dumps(body), error.status, headers=request_id(), content_type=JSON_1_1)


def refusal_for(environ: WSGIEnvironment, service: str, error: AwsError) -> Response:
    """An error answer in the protocol that the request speaks."""
    if "HTTP_X_AMZ_TARGET" in environ:
        response = json_refusal(error)
    elif environ.get("HTTP_SMITHY_PROTOCOL") == "rpc-v2-cbor":
        body = _cbor_map({"__type": error.code, "message": error.message})
        headers = {**request_id(), "smithy-protocol": "rpc-v2-cbor"}
        response = Response(body, error.status, headers=headers, content_type="application/cbor")
    elif environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded") or speaks_xml(service):
        return _xml_refusal(environ, service, error)
    else:
        headers = {**request_id(), "x-amzn-ErrorType": error.code}
        response = Response(
            json.dumps({"message": error.message}), error.status, headers=headers, content_type="application/json"
        )
    if service in ONCE_QUERY:
        # Clients of services that came from the query protocol take the code from here.
        fault = "Sender" if error.status < HTTPStatus.INTERNAL_SERVER_ERROR else "Receiver"
        response.headers["x-amzn-query-error"] = f"{error.code};{fault}"
    return response


def speaks_xml(service: str) -> bool:
    """Whether a service answers in XML to a request that does not show its protocol by its own form."""
    try:
        return service_model(service).metadata["protocol"] in ("rest-xml", "query", "ec2")
    except UnknownServiceError:
        return False


def _xml_refusal(environ: WSGIEnvironment, service: str, error: AwsError) -> Response:
    headers = request_id()
    number = headers["x-amzn-RequestId"]
    inner = f"<Code>{escape(error.code)}</Code><Message>{escape(error.message)}</Message>"
    match service:
        case "s3":
            text = f"<Error>{inner}<RequestId>{number}</RequestId></Error>"
        case "ec2":
            text = f"<Response><Errors><Error>{inner}</Error></Errors><RequestID>{number}</RequestID></Response>"
        case _:
            text = f"<ErrorResponse><Error><Type>Sender</Type>{inner}</Error><RequestId>{number}</RequestId></ErrorResponse>"
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'
    if environ["REQUEST_METHOD"] == "HEAD":
        body = ""
    return Response(body, error.status, headers=headers, content_type="text/xml")


def _cbor_map(members: dict[str, str]) -> bytes:
    """A small map of texts (RFC 8949 §3)."""
    return bytes([0xA0 + len(members)]) + b"".join(_cbor_text(text) for member in members.items() for text in member)


def _cbor_text(text: str) -> bytes:
    data = text.encode()
    if len(data) < _CBOR_SHORT:
        return bytes([0x60 + len(data)]) + data
    if len(data) < _CBOR_BYTE:
        return bytes([0x78, len(data)]) + data
    return b"\x79" + len(data).to_bytes(2, "big") + data
