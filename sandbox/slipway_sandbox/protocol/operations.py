"""Which operation a request is, for the services that moto answers: the call log and the faults go by names."""

from __future__ import annotations

import functools
import io
import re
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import parse_qs, unquote_plus
from wsgiref.types import WSGIEnvironment
from xml.sax.saxutils import unescape

from botocore.exceptions import UnknownServiceError
from botocore.model import OperationModel
from botocore.parsers import ResponseParserError, ResponseParserFactory

from slipway_sandbox.protocol import aws_json, documents

CREDENTIAL = re.compile(r"Credential=(?P<key>[^/]+)/\d+/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request")
PRESIGNED_V2 = re.compile(r"(?:^|&)AWSAccessKeyId=(?P<key>[^&]+)")
"""Signature version 2, which boto3 still presigns S3's URLs with unless told otherwise. It names no region."""
BOTO_NAMES = {"monitoring": "cloudwatch"}
"""Services whose signing name is not their name in boto3."""
UNSIGNED = "unsigned"
"""The service of a request without a signature, unless its operation is one of these."""
WITHOUT_SIGNATURE = {"AssumeRoleWithWebIdentity": "sts", "AssumeRoleWithSAML": "sts"}
OBJECT_KEY = re.compile(rb"<Key>([^<]+)</Key>")
LOGGED_BODY = 64 * 1024
"""Bytes of a body up to which the call log keeps what it asks for."""


@dataclass(frozen=True)
class Signature:
    """What a request's signature names."""

    access_key: str
    region: str
    service: str


def signature_of(environ: WSGIEnvironment) -> Signature | None:
    """The signature in the header, or in the query of a presigned URL; None for a request without."""
    query = unquote_plus(environ.get("QUERY_STRING", ""))
    found = CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", "")) or CREDENTIAL.search(query)
    if found:
        return Signature(found["key"], found["region"], found["service"])
    older = PRESIGNED_V2.search(query)
    return Signature(older["key"], "us-east-1", "s3") if older else None


@dataclass(frozen=True)
class Route:
    """How a REST operation looks: its method, its path, and the query keys and headers that it needs."""

    operation: str
    method: str
    path: re.Pattern[str]
    query: frozenset[tuple[str, str | None]]
    headers: frozenset[str]

    def matches(self, environ: WSGIEnvironment, query: dict[str, list[str]]) -> bool:
        """Whether a request can be this operation."""
        return (
            environ["REQUEST_METHOD"] == self.method
            and self.path.fullmatch(environ["PATH_INFO"]) is not None
            and all(key in query and value in (None, query[key][0]) for key, value in self.query)
            and all(header in environ for header in self.headers)
        )


@functools.cache
def routes(service: str) -> list[Route]:
    """A REST service's operations, those with most required parts first."""
    model = aws_json.service_model(service)
    found = [_route(model.operation_model(name)) for name in model.operation_names]
    return sorted(found, key=lambda route: len(route.query) + len(route.headers), reverse=True)


def _route(operation: OperationModel) -> Route:
    path, _, literal = operation.http["requestUri"].partition("?")
    query = {(key, values[0] or None) for key, values in parse_qs(literal, keep_blank_values=True).items()}
    headers: set[str] = set()
    shape = operation.input_shape
    for name in shape.required_members if shape else ():
        member = shape.members[name].serialization  # pyright: ignore[reportOptionalMemberAccess]
        if member.get("location") == "querystring":
            query.add((member["name"], None))
        if member.get("location") == "header":
            headers.add(f"HTTP_{member['name'].upper().replace('-', '_')}")
    pattern = re.sub(r"\\\{[^}]*?(\\\+)?\\\}", lambda part: "(?:.+)" if part[1] else "(?:[^/]+)", re.escape(path.rstrip("/")))
    return Route(
        operation.name, operation.http["method"], re.compile(f"{pattern}/?", re.DOTALL), frozenset(query), frozenset(headers)
    )


def operation_of(environ: WSGIEnvironment, signature: Signature | None) -> tuple[str, str]:
    """Service and operation by boto3's names; method and path where the request has no better name."""
    service = BOTO_NAMES.get(signature.service, signature.service) if signature else UNSIGNED
    target = environ.get("HTTP_X_AMZ_TARGET", "")
    path = environ["PATH_INFO"]
    if target:
        return service, target.rpartition(".")[2]
    if "/operation/" in path and "HTTP_SMITHY_PROTOCOL" in environ:
        return service, path.rpartition("/")[2]
    action = _form(environ).get("Action")
    if action:
        return WITHOUT_SIGNATURE.get(action[0], service) if service == UNSIGNED else service, action[0]
    query = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
    try:
        known = next((route.operation for route in routes(service) if route.matches(environ, query)), None)
    except UnknownServiceError:
        known = None
    return service, known or f"{environ['REQUEST_METHOD']} {path}"


def request_of(environ: WSGIEnvironment) -> dict[str, Any]:
    """A call's parameters, as far as they can be read without its service's model."""
    if "HTTP_X_AMZ_TARGET" in environ:
        try:
            return documents.parsed(_small_body(environ) or b"{}")
        except ValueError:
            return {}
    if environ.get("HTTP_SMITHY_PROTOCOL") == "rpc-v2-cbor":
        return _cbor(_small_body(environ))
    form = {name: values[0] for name, values in _form(environ).items() if name not in ("Action", "Version")}
    asked: dict[str, Any] = {"path": environ["PATH_INFO"], "query": environ.get("QUERY_STRING", "")}
    if environ["REQUEST_METHOD"] == "POST" and asked["query"].startswith("delete"):
        asked["keys"] = [unescape(key.decode()) for key in OBJECT_KEY.findall(_small_body(environ))]
    return form or asked


def _cbor(body: bytes) -> dict[str, Any]:
    try:
        read: Any = ResponseParserFactory().create_parser("smithy-rpc-v2-cbor")
        found: Any = read.parse_data_item(io.BufferedReader(cast(Any, io.BytesIO(body)))) if body else {}
    except (ResponseParserError, ValueError, KeyError):
        return {}
    return cast(dict[str, Any], found) if isinstance(found, dict) else {}


def _form(environ: WSGIEnvironment) -> dict[str, list[str]]:
    if environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
        return parse_qs(_small_body(environ).decode("utf-8", "replace"), keep_blank_values=True)
    return {}


def _small_body(environ: WSGIEnvironment) -> bytes:
    """A body's bytes, which stay readable for the service that answers; empty for a large body."""
    length = environ.get("CONTENT_LENGTH", "")
    if not length.isdecimal() or int(length) > LOGGED_BODY:
        return b""
    body = environ["wsgi.input"].read()
    environ["wsgi.input"] = io.BytesIO(body)
    return body
