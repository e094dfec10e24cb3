"""Error answers in each of AWS's protocols."""

from __future__ import annotations

import json
import uuid
from wsgiref.types import WSGIEnvironment
from xml.sax.saxutils import escape

from werkzeug.wrappers import Response

from slipway_sandbox.errors import AwsError

JSON_1_1 = "application/x-amz-json-1.1"
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
    headers = request_id()
    if "HTTP_X_AMZ_TARGET" in environ:
        return json_refusal(error)
    if environ.get("HTTP_SMITHY_PROTOCOL") == "rpc-v2-cbor":
        headers["smithy-protocol"] = "rpc-v2-cbor"
        body = _cbor_map({"__type": error.code, "message": error.message})
        return Response(body, error.status, headers=headers, content_type="application/cbor")
    code, message = escape(error.code), escape(error.message)
    inner = f"<Code>{code}</Code><Message>{message}</Message>"
    number = headers["x-amzn-RequestId"]
    match service:
        case "s3":
            text = f"<Error>{inner}<RequestId>{number}</RequestId></Error>"
        case "ec2":
            text = f"<Response><Errors><Error>{inner}</Error></Errors><RequestID>{number}</RequestID></Response>"
        case _ if environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
            text = f"<ErrorResponse><Error><Type>Sender</Type>{inner}</Error><RequestId>{number}</RequestId></ErrorResponse>"
        case _:
            headers["x-amzn-ErrorType"] = error.code
            return Response(
                json.dumps({"message": error.message}), error.status, headers=headers, content_type="application/json"
            )
    return Response(f'<?xml version="1.0" encoding="UTF-8"?>\n{text}', error.status, headers=headers, content_type="text/xml")


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
