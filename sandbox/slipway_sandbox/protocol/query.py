"""Requests and responses of AWS's query protocol (STS, IAM), as botocore's own service model describes them."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from botocore.model import ListShape, MapShape, OperationModel, Shape, StructureShape

from slipway_sandbox.core.errors import AwsError
from slipway_sandbox.protocol.aws_json import checked


def form(body: bytes) -> dict[str, str]:
    """The fields of a request's body."""
    return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))


def parse_request(model: OperationModel, form: Mapping[str, str]) -> dict[str, Any]:
    """Parse and check the fields of a form.

    Raises:
        AwsError: `ValidationError`, for what breaks the model's constraints.
    """
    shape = model.input_shape
    return checked(model, (_parse(shape, form, "") or {}) if shape else {})


def response_body(model: OperationModel, response: Mapping[str, Any], request_id: str) -> bytes:
    """The response's members as XML, by the output shape. Members that the shape does not have are a bug and raise KeyError."""
    shape = model.output_shape
    inner = "".join(_members(shape, response)) if isinstance(shape, StructureShape) else ""
    wrapper = shape.serialization.get("resultWrapper") if shape else None
    result = f"<{wrapper}>{inner}</{wrapper}>" if wrapper else inner
    namespace = model.service_model.metadata.get("xmlNamespace", "")
    name = f"{model.name}Response"
    meta = f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>"
    return f'<{name} xmlns="{escape(namespace)}">{result}{meta}</{name}>'.encode()


def _parse(shape: Shape, form: Mapping[str, str], prefix: str) -> Any:
    """The value at a prefix, or None if the form has none."""
    match shape:
        case StructureShape():
            found = {name: _parse(member, form, _join(prefix, _name(member, name))) for name, member in shape.members.items()}
            return {name: value for name, value in found.items() if value is not None} or None
        case ListShape():
            item = prefix if shape.serialization.get("flattened") else f"{prefix}.{_name(shape.member, 'member')}"
            return list(_items(shape.member, form, item)) or None
        case MapShape():
            entry = prefix if shape.serialization.get("flattened") else f"{prefix}.entry"
            keys = _items(shape.key, form, entry, f".{_name(shape.key, 'key')}")
            values = _items(shape.value, form, entry, f".{_name(shape.value, 'value')}")
            return dict(zip(keys, values, strict=False)) or None
        case _:
            return _scalar(shape, form[prefix]) if prefix in form else None


def _items(shape: Shape, form: Mapping[str, str], prefix: str, suffix: str = "") -> Iterator[Any]:
    number = 1
    while (value := _parse(shape, form, f"{prefix}.{number}{suffix}")) is not None:
        yield value
        number += 1


def _scalar(shape: Shape, text: str) -> Any:
    match shape.type_name:
        case "boolean":
            return text == "true"
        case "integer" | "long":
            return _number(text)
        case "timestamp":
            return datetime.fromisoformat(text)
        case "blob":
            return base64.b64decode(text)
        case _:
            return text


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise AwsError("MalformedInput", f"'{text}' is no number") from error


def _members(shape: StructureShape, value: Mapping[str, Any]) -> Iterator[str]:
    for name, item in value.items():
        if item is not None:
            member = shape.members[name]
            yield _element(_name(member, name), member, item)


def _element(name: str, shape: Shape, value: Any) -> str:
    match shape:
        case StructureShape():
            inner = "".join(_members(shape, value))
        case ListShape():
            inner = "".join(_element(_name(shape.member, "member"), shape.member, item) for item in value)
        case MapShape():
            inner = "".join(
                f"<entry>{_element('key', shape.key, key)}{_element('value', shape.value, item)}</entry>"
                for key, item in value.items()
            )
        case _:
            inner = escape(_text(value))
    return f"<{name}>{inner}</{name}>"


def _text(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case datetime():
            return f"{value:%Y-%m-%dT%H:%M:%SZ}"
        case bytes():
            return base64.b64encode(value).decode()
        case _:
            return str(value)


def _name(shape: Shape, default: str) -> str:
    return str(shape.serialization.get("name", default))


def _join(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name
