"""Requests and responses as botocore's own service model describes them (AWS JSON 1.1)."""

from __future__ import annotations

import base64
import functools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from botocore.loaders import Loader
from botocore.model import ListShape, MapShape, OperationModel, ServiceModel, Shape, StructureShape

from slipway_sandbox.core.errors import AwsError
from slipway_sandbox.protocol import documents
from slipway_sandbox.protocol.patterns import Expression, expression

_LOADER = Loader()
WORDS = {"integer": 2**31, "long": 2**63}
"""The upper bounds of Smithy's integer types."""


@functools.cache
def service_model(service: str) -> ServiceModel:
    """The service model that botocore's own clients are made from."""
    return ServiceModel(_LOADER.load_service_model(service, "service-2"), service)


def parse_request(model: OperationModel, body: bytes) -> dict[str, Any]:
    """Parse and check a JSON request.

    Raises:
        AwsError: `SerializationException` for what is not JSON of the right types, `ValidationException` for what breaks the
            model's constraints, in AWS's wording.
    """
    try:
        raw = documents.parsed(body or b"{}")
    except ValueError as error:
        raise AwsError("SerializationException", "Unable to parse the request body as JSON") from error
    shape = model.input_shape
    return checked(model, _parse(shape, {} if raw is None else raw)) if shape else {}


def checked(model: OperationModel, request: dict[str, Any]) -> dict[str, Any]:
    """A parsed request that meets the model's constraints.

    Raises:
        AwsError: It does not.
    """
    problems = list(problems_of(model.input_shape, request, "")) if model.input_shape else []
    if problems:
        raise _invalid(model.service_model, problems)
    return request


@dataclass(frozen=True)
class Problem:
    """One constraint of the model that a request breaks."""

    value: str
    path: str
    rule: str

    def __str__(self) -> str:
        return f"Value {self.value} at '{self.path}' failed to satisfy constraint: {self.rule}"


def _invalid(service: ServiceModel, problems: list[Problem]) -> AwsError:
    """The error for a request that breaks the service's model. ECR names the first problem only, in its own words."""
    if service.service_name == "ecr":
        rule = problems[0].rule.removeprefix("Member ")
        return AwsError(
            "InvalidParameterException", f"Invalid parameter at '{problems[0].path}' failed to satisfy constraint: '{rule}'"
        )
    noun = "error" if len(problems) == 1 else "errors"
    code = "ValidationError" if service.metadata["protocol"] == "query" else "ValidationException"
    return AwsError(code, f"{len(problems)} validation {noun} detected: {'; '.join(map(str, problems))}")


def response_body(model: OperationModel, response: Mapping[str, Any]) -> bytes:
    """The response's members as JSON, by the output shape. Members that the shape does not have are a bug and raise KeyError."""
    shape = model.output_shape
    return json.dumps(_dump(shape, response) if shape else {}).encode()


def _parse(shape: Shape, value: Any) -> Any:
    if value is None:
        return None
    match shape:
        case StructureShape():
            members = _expect(value, dict, shape)
            return {
                name: _parse(member, members[name]) for name, member in shape.members.items() if members.get(name) is not None
            }
        case ListShape():
            return [_parse(shape.member, item) for item in _expect(value, list, shape) if item is not None]
        case MapShape():
            return {key: _parse(shape.value, item) for key, item in _expect(value, dict, shape).items() if item is not None}
        case _:
            return _parse_scalar(shape, value)


def _parse_scalar(shape: Shape, value: Any) -> Any:
    match shape.type_name:
        case "timestamp":
            return _parse_timestamp(shape, value)
        case "blob":
            return _parse_blob(shape, value)
        case "string":
            return _expect(value, str, shape)
        case "boolean":
            return _expect(value, bool, shape)
        case "integer" | "long":
            if isinstance(value, float) and value.is_integer():
                value = int(value)
            if isinstance(value, bool):
                raise _wrong_type(value, shape)
            if not -WORDS[shape.type_name] <= _expect(value, int, shape) < WORDS[shape.type_name]:
                raise _wrong_type(value, shape)
            return value
        case _:
            return float(_expect(value, (int, float), shape))


def _parse_timestamp(shape: Shape, value: Any) -> datetime:
    try:
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value, UTC)
        moment = datetime.fromisoformat(_expect(value, str, shape))
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise _wrong_type(value, shape) from error


def _parse_blob(shape: Shape, value: Any) -> bytes:
    try:
        return base64.b64decode(_expect(value, str, shape), validate=True)
    except ValueError as error:
        raise _wrong_type(value, shape) from error


def _expect(value: Any, kind: Any, shape: Shape) -> Any:
    if not isinstance(value, kind):
        raise _wrong_type(value, shape)
    return value


def _wrong_type(value: Any, shape: Shape) -> AwsError:
    name = type(value).__name__
    return AwsError("SerializationException", f"{name} can not be converted to {shape.type_name} ({shape.name})")


def problems_of(shape: Shape, value: Any, path: str) -> Iterator[Problem]:
    """Each constraint that the value breaks."""
    match shape:
        case StructureShape() if shape.serialization.get("eventstream"):
            # Its events are yet to come.
            return
        case StructureShape():
            for name in shape.required_members:
                if value.get(name) is None:
                    yield Problem("null", _join(path, name), "Member must not be null")
            for name, member in value.items():
                yield from problems_of(shape.members[name], member, _join(path, name))
        case ListShape():
            yield from _length_problems(shape, value, path)
            for index, item in enumerate(value, 1):
                yield from problems_of(shape.member, item, f"{path}.{index}.member")
        case MapShape():
            yield from _length_problems(shape, value, path)
            for key, item in value.items():
                yield from problems_of(shape.key, key, f"{path}.key")
                yield from problems_of(shape.value, item, f"{path}.{key}.member")
        case _:
            yield from _scalar_problems(shape, value, path)


def _scalar_problems(shape: Shape, value: Any, path: str) -> Iterator[Problem]:
    limits = shape.metadata
    if shape.type_name == "string" and isinstance(value, dict):
        # IAM's clients show the documents of policies as what they spell.
        return
    if shape.type_name == "string":
        yield from _length_problems(shape, value, path)
        if "enum" in limits and value not in limits["enum"]:
            allowed = ", ".join(limits["enum"])
            yield Problem(f"'{value}'", path, f"Member must satisfy enum value set: [{allowed}]")
        pattern = limits.get("pattern")
        if pattern and not _matches(pattern, value):
            yield Problem(f"'{value}'", path, f"Member must satisfy regular expression pattern: {pattern}")
    elif shape.type_name in ("integer", "long", "float", "double"):
        if "min" in limits and value < limits["min"]:
            yield Problem(f"'{value}'", path, f"Member must have value greater than or equal to {limits['min']}")
        if "max" in limits and value > limits["max"]:
            yield Problem(f"'{value}'", path, f"Member must have value less than or equal to {limits['max']}")


def _length_problems(shape: Shape, value: Any, path: str) -> Iterator[Problem]:
    limits = shape.metadata
    shown = f"'[{', '.join(map(str, value))}]'" if shape.type_name == "list" else f"'{value}'"
    if "min" in limits and len(value) < limits["min"]:
        yield Problem(shown, path, f"Member must have length greater than or equal to {limits['min']}")
    if "max" in limits and len(value) > limits["max"]:
        yield Problem(shown, path, f"Member must have length less than or equal to {limits['max']}")


@functools.cache
def _compiled(pattern: str) -> Expression | None:
    try:
        # The model's patterns are Java's; the few that Python cannot read are not enforced.
        return expression(pattern.replace(r"\p{Alnum}", "[A-Za-z0-9]"))
    except ValueError:
        return None


def _matches(pattern: str, value: str) -> bool:
    compiled = _compiled(pattern)
    return compiled is None or compiled.fullmatch(value) is not None


def _join(path: str, member: str) -> str:
    member = member[0].lower() + member[1:]
    return f"{path}.{member}" if path else member


def _dump(shape: Shape, value: Any) -> Any:
    match shape:
        case StructureShape():
            return {name: _dump(shape.members[name], item) for name, item in value.items() if item is not None}
        case ListShape():
            return [_dump(shape.member, item) for item in value]
        case MapShape():
            return {key: _dump(shape.value, item) for key, item in value.items()}
        case _:
            return _dump_scalar(value)


def _dump_scalar(value: Any) -> Any:
    match value:
        case datetime():
            return value.timestamp()
        case bytes():
            return base64.b64encode(value).decode()
        case Decimal():
            return float(value)
        case _:
            return value
