"""ECS's API as botocore describes it: what a request may hold, without a client, which would want a region and credentials."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, cast

import botocore.loaders
import botocore.model

from slipway.app.yaml_source import Path


@cache
def request_shape(operation: str) -> botocore.model.StructureShape:
    """What an operation of ECS is asked by."""
    shape = service().operation_model(operation).input_shape
    assert shape is not None  # noqa: S101 -- botocore's model of ECS has it; the types do not know
    return shape


@cache
def service() -> botocore.model.ServiceModel:
    """The description of ECS."""
    return botocore.model.ServiceModel(botocore.loaders.Loader().load_service_model("ecs", "service-2"))


def wrong_words(request: Mapping[str, Any], operation: str) -> Iterator[tuple[Path, str, str]]:
    """Each text of a request that is none of the words that ECS knows there: its path, itself, and those words."""
    yield from _wrong(request, request_shape(operation), ())


def _wrong(value: Any, shape: botocore.model.Shape, path: Path) -> Iterator[tuple[Path, str, str]]:
    if isinstance(shape, botocore.model.StructureShape) and isinstance(value, Mapping):
        for key, inner in cast("Mapping[str, Any]", value).items():
            yield from _wrong(inner, shape.members[key], (*path, key)) if key in shape.members else ()
    elif isinstance(shape, botocore.model.ListShape) and isinstance(value, list):
        for index, inner in enumerate(cast("list[Any]", value)):
            yield from _wrong(inner, shape.member, (*path, index))
    elif isinstance(shape, botocore.model.StringShape) and shape.enum and value not in shape.enum:
        yield path, str(value), ", ".join(shape.enum)
