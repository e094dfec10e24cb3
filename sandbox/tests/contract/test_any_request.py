"""Requests that no client would send, and some would: each is answered or refused, and never stumbled over."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from typing import Any, NoReturn

import httpx
import pytest
from botocore.model import ListShape, MapShape, Shape, StructureShape
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from slipway_sandbox.protocol import aws_json
from slipway_sandbox.testing import SandboxProcess, fresh_account

from sandbox.testkit import coverage

SERVICES = sorted(
    service
    for service in {service for service, _ in coverage.answered()}
    if aws_json.service_model(service).metadata["protocol"] == "json"
)
TEXTS = [
    *("", "a", "app", "default", "latest", "x" * 300, "é", "\u0000", "../../etc", "%00", "a:b", "a/b", "*", "$.a", "None"),
    *("arn:aws:", "arn:aws:iam::111111111111:role/r", "arn:aws:ecs:us-east-1:111111111111:cluster/default", "s3://b/k", "s3://"),
    *("sha256:" + "0" * 64, "111111111111.dkr.ecr.us-east-1.amazonaws.com/app:v1", "2026-01-01", "{}", "[]", '{"Version": 1}'),
]
ODD: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, False, 0, -1, 2**31, 2**64, 0.5, 1e300, "", "x" * 5000, [], {}, [None], [[]], [{}], {"": ""}, {"a": [{}]}]
)
FEW = 3
"""Items of a list or members of a map, at most."""
DEEP = 5


@functools.cache
def values_of(shape: Shape, depth: int = 0) -> st.SearchStrategy[Any]:
    """Values of a shape; now and then something else."""
    return st.one_of(*[_fitting(shape, depth)] * 12, ODD)


def _fitting(shape: Shape, depth: int) -> st.SearchStrategy[Any]:
    if depth > DEEP and isinstance(shape, StructureShape | ListShape | MapShape):
        return ODD
    match shape:
        case StructureShape():
            required = {name: values_of(shape.members[name], depth + 1) for name in shape.required_members}
            optional = {name: values_of(shape.members[name], depth + 1) for name in shape.members if name not in required}
            return st.fixed_dictionaries(required, optional=optional)
        case ListShape():
            return st.lists(values_of(shape.member, depth + 1), max_size=FEW)
        case MapShape():
            return st.dictionaries(st.sampled_from(TEXTS), values_of(shape.value, depth + 1), max_size=FEW)
        case _:
            return _scalars(shape)


def _scalars(shape: Shape) -> st.SearchStrategy[Any]:
    limits = shape.metadata
    match shape.type_name:
        case "string":
            return st.sampled_from(limits.get("enum", TEXTS))
        case "boolean":
            return st.booleans()
        case "timestamp":
            return st.sampled_from([0, 1.7e9, "2026-01-01", "2026-01-01T00:00:00+14:00", "0001-01-01T00:00:00+14:00"])
        case "blob":
            return st.sampled_from(["", "YWJj", "a"])
        case _:
            return st.sampled_from([limits.get("min", 0), limits.get("max", 5), 1, 0.5])


def requests_of(service: str) -> st.SearchStrategy[tuple[str, Any]]:
    """An operation that is there, and a request for it."""
    names: Sequence[str] = sorted(name for of, name in coverage.answered() if of == service)
    model = aws_json.service_model(service)
    shapes = {name: model.operation_model(name).input_shape for name in names}
    return st.sampled_from(names).flatmap(
        lambda name: st.tuples(st.just(name), values_of(shape) if (shape := shapes[name]) else st.just({}))
    )


def send(client: httpx.Client, account: str, service: str, operation: str, body: str) -> httpx.Response:
    """A request as it is, without any client's help."""
    metadata = aws_json.service_model(service).metadata
    signer = metadata.get("signingName", metadata["endpointPrefix"])
    headers = {
        "Authorization": f"AWS4-HMAC-SHA256 Credential={account}/20260101/us-east-1/{signer}/aws4_request, Signature=0",
        "X-Amz-Target": f"{metadata['targetPrefix']}.{operation}",
        "Content-Type": "application/x-amz-json-1.1",
    }
    return client.post("/", content=body, headers=headers)


def refuse(constant: str) -> NoReturn:
    raise AssertionError(f"the answer has {constant}, which is no JSON")


@pytest.mark.timeout(240)
@pytest.mark.parametrize("service", SERVICES)
def test_given_any_request_when_it_is_sent_then_it_is_answered_or_refused_as_aws_does(
    sandbox: SandboxProcess, service: str
) -> None:
    account = fresh_account()

    @settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
    @given(requests_of(service))
    def ask(request: tuple[str, Any]) -> None:
        operation, body = request
        answer = send(client, account, service, operation, json.dumps(body))
        said = json.loads(answer.content, parse_constant=refuse)
        assert answer.status_code < 500 or answer.status_code == 501, said
        assert answer.is_success or said["__type"], said

    with httpx.Client(base_url=sandbox.endpoint, trust_env=False, timeout=30) as client:
        ask()
