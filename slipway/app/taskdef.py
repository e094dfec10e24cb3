"""Reads `taskdef.yaml` as PipeCD does, and makes the request of ECS's RegisterTaskDefinition from it.

PipeCD reads keys without regard to case, accepts numbers where the API wants text, and forwards a fixed list of fields. The API's
own model (botocore's) says how each key is spelled and of which type its value is.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from typing import Any, cast

import botocore.loaders
import botocore.model

from slipway.app.problems import FileError, Problem, shown
from slipway.app.yaml_source import TASKDEF_LIMIT, Document, Path, load_document

FORWARDED = frozenset(
    {
        "family",
        "containerDefinitions",
        "requiresCompatibilities",
        "executionRoleArn",
        "taskRoleArn",
        "networkMode",
        "volumes",
        "runtimePlatform",
        "ephemeralStorage",
        "cpu",
        "memory",
        "inferenceAccelerators",
        "ipcMode",
        "pidMode",
        "placementConstraints",
        "proxyConfiguration",
    }
)
"""What PipeCD passes on to ECS; anything else in the file has no effect."""

TaskDefinition = dict[str, Any]
"""The arguments of `ecs.register_task_definition`, without tags."""


def parse_taskdef(text: str, file: str = "taskdef.yaml") -> TaskDefinition:
    """The request that registers the task definition of a file; JSON is YAML, too.

    Raises:
        FileError: The file has no task definition in it, or a value that the API cannot take.
    """
    return taskdef_of(load_document(text, file, TASKDEF_LIMIT))


def taskdef_of(document: Document) -> TaskDefinition:
    """The request that registers the task definition of a document.

    Raises:
        FileError: There is no task definition in it, or a value that the API cannot take.
    """
    file = document.file
    reader = _Reader(document)
    shape = _request_shape()
    request = reader.value(document.data, shape, ())
    if not isinstance(document.data, dict) or not isinstance(request, dict):
        raise FileError(
            f"reading {file}", [document.problem((), "holds no task definition", "write family and containerDefinitions")]
        )
    forwarded: TaskDefinition = {key: value for key, value in request.items() if key in FORWARDED}  # pyright: ignore[reportUnknownVariableType]
    missing = [key for key in ("family", "containerDefinitions") if not forwarded.get(key)]
    problems = [*reader.problems, *(document.problem((key,), "is required and absent", "add it") for key in missing)]
    if problems:
        raise FileError(f"reading {file}", problems)
    return forwarded


def taskdef_hash(request: TaskDefinition) -> str:
    """A hash of what is registered: the same for files that differ in layout, comments or the case of keys alone."""
    normal = json.dumps(request, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(normal.encode()).hexdigest()


def container_images(request: TaskDefinition) -> dict[str, str]:
    """The image of each container, by the container's name."""
    return {container.get("name", ""): container.get("image", "") for container in request["containerDefinitions"]}


class _Reader:
    """Folds keys to the API's spelling and values to its types."""

    def __init__(self, document: Document) -> None:
        self.problems: list[Problem] = []
        self._document = document

    def value(self, value: Any, shape: botocore.model.Shape, path: Path) -> Any:
        match shape:
            case botocore.model.StructureShape():
                return self._structure(value, shape, path)
            case botocore.model.ListShape():
                return self._list(value, shape, path)
            case botocore.model.MapShape():
                return self._map(value, shape, path)
            case _:
                return self._scalar(value, shape.type_name, path)

    def _structure(self, value: Any, shape: botocore.model.StructureShape, path: Path) -> Any:
        if not isinstance(value, dict):
            return self._wrong(value, "a mapping", path)
        spelled = {name.casefold(): name for name in shape.members}
        result: dict[str, Any] = {}
        pairs = cast("dict[str, Any]", value)
        for key, inner in pairs.items():
            name = spelled.get(key.casefold())
            if name is None or inner is None:
                continue  # PipeCD drops keys that the API does not have
            result[name] = self.value(inner, shape.members[name], (*path, key))
        return result

    def _list(self, value: Any, shape: botocore.model.ListShape, path: Path) -> Any:
        if not isinstance(value, list):
            return self._wrong(value, "a list", path)
        items = cast("list[Any]", value)
        return [self.value(item, shape.member, (*path, index)) for index, item in enumerate(items)]

    def _map(self, value: Any, shape: botocore.model.MapShape, path: Path) -> Any:
        if not isinstance(value, dict):
            return self._wrong(value, "a mapping", path)
        pairs = cast("dict[str, Any]", value)
        return {key: self.value(inner, shape.value, (*path, key)) for key, inner in pairs.items()}

    def _scalar(self, value: Any, kind: str, path: Path) -> Any:
        match kind, value:
            case "string", str():
                return value
            case "string", bool() | int() | float():
                return self._document.words[path]
            case "boolean", bool():
                return value
            case "integer" | "long", int() if not isinstance(value, bool):
                return value
            case "integer" | "long", str() if value.strip().lstrip("-").isdecimal():
                return int(value)
            case "double" | "float", int() | float() if not isinstance(value, bool):
                return float(value)
            case _:
                return self._wrong(value, {"string": "a text", "boolean": "true or false"}.get(kind, "a number"), path)

    def _wrong(self, value: Any, wanted: str, path: Path) -> None:
        self.problems.append(self._document.problem(path, f"found {shown(value)}", f"allowed: {wanted}"))


@cache
def _request_shape() -> botocore.model.StructureShape:
    # The service's description alone: a client would want a region and credentials, which reading a file needs not.
    description = botocore.loaders.Loader().load_service_model("ecs", "service-2")
    shape = botocore.model.ServiceModel(description).operation_model("RegisterTaskDefinition").input_shape
    assert shape is not None  # noqa: S101 -- botocore's model of ECS has it; the types do not know
    return shape
