"""Reads `taskdef.yaml` as PipeCD does, and makes the request of ECS's RegisterTaskDefinition from it.

PipeCD reads keys without regard to case, accepts numbers where the API wants text, takes the first of several documents, and
forwards a fixed list of fields. The API's own model (botocore's) says how each key is spelled and of which type its value is.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

import botocore.model

from slipway.app.ecs_api import request_shape, service, wrong_words
from slipway.app.go_scalars import as_text, resolve
from slipway.app.problems import FileError, Problem, Severity, shown
from slipway.app.yaml_source import DIGITS_LIMIT, TASKDEF_LIMIT, TEMPLATE, Document, Path, load_document, template_near

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
_LARGEST_EXACT = 2**53
_INT32 = 2**31 - 1
_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
_NAMES = "allowed: up to 255 letters, digits, hyphens and underscores"
_FARGATE = "FARGATE"
_NOT_RENDERED = (
    "have PipeCD attach a file (spec.attachment, with this file among its targets), or write the value out; "
    "a secret goes into secrets:, from Secrets Manager or Parameter Store"
)


@dataclass(frozen=True)
class TaskdefReading:
    """A task definition, and what people should know of it."""

    request: TaskDefinition
    warnings: tuple[Problem, ...] = ()
    """Keys that are left out, and values that piped reads as other ones."""


def parse_taskdef(text: str, file: str = "taskdef.yaml") -> TaskDefinition:
    """The request that registers the task definition of a file; JSON is YAML, too.

    Raises:
        FileError: The file has no task definition in it, or a value that the API cannot take.
    """
    return taskdef_of(load_taskdef(text, file)).request


def load_taskdef(text: str, file: str) -> Document:
    """The first document of a task definition's file.

    Raises:
        FileError: It is not YAML; where a template is the cause, the error says so.
    """
    try:
        return load_document(text, file, TASKDEF_LIMIT, first=True)
    except FileError as error:
        problem = error.problems[0]
        template = template_near(text, problem.line)
        if template is None:
            raise
        said = f"holds the template {template}, which nothing renders"
        raise FileError(error.report.tried, [problem.model_copy(update={"message": said, "help": _NOT_RENDERED})]) from error


def taskdef_of(document: Document) -> TaskdefReading:
    """The request that registers the task definition of a document.

    Raises:
        FileError: There is no task definition in it, or a value that the API cannot take.
    """
    reader = _Reader(document)
    request = reader.value(document.data, request_shape("RegisterTaskDefinition"), ())
    if not isinstance(document.data, dict) or not isinstance(request, dict):
        problem = document.problem((), "holds no task definition", "write family and containerDefinitions")
        raise FileError(f"reading {document.file}", [problem])
    if ("taskDefinition",) in document.keys:
        help_ = "keep what is in it, as `aws ecs describe-task-definition --query taskDefinition` prints it"
        problem = document.problem(("taskDefinition",), "is what ECS answers, with a task definition in it", help_, at_key=True)
        raise FileError(f"reading {document.file}", [problem])
    forwarded: TaskDefinition = {key: value for key, value in request.items() if key in FORWARDED}  # pyright: ignore[reportUnknownVariableType]
    told = {problem.path for problem in reader.problems}
    missing = [key for key in ("family", "containerDefinitions") if not forwarded.get(key) and key not in told]
    problems = [*reader.problems, *(document.problem((key,), "is required and absent", "add it") for key in missing)]
    problems += [*_container_problems(document, forwarded), *_task_problems(document, forwarded)] if not problems else []
    if problems:
        raise FileError(f"reading {document.file}", problems)
    warnings = [*reader.warnings, *_unknown_words(document, forwarded)]
    return TaskdefReading(forwarded, tuple(sorted(warnings, key=lambda warning: (warning.line, warning.column))))


def _container_problems(document: Document, request: TaskDefinition) -> Iterator[Problem]:
    """What ECS refuses of containers, and what would make it unclear whose image is written."""
    names: set[str] = set()
    for index, container in enumerate(request["containerDefinitions"]):
        for key in ("name", "image"):
            if not container.get(key):
                yield document.problem(("containerDefinitions", index, key), "is required and absent", "add it")
        name = container.get("name")
        if name and not _NAME.fullmatch(name):
            yield document.problem(("containerDefinitions", index, "name"), f"found {shown(name)}", _NAMES)
        if name in names:
            yield document.problem(
                ("containerDefinitions", index, "name"), f"is the name of two containers: {name}", "rename one"
            )
        names.add(name)


def _task_problems(document: Document, request: TaskDefinition) -> Iterator[Problem]:
    """What ECS refuses of the task as a whole."""
    if not _NAME.fullmatch(request["family"]):
        yield document.problem(("family",), f"found {shown(request['family'])}", _NAMES)
    if _FARGATE not in request.get("requiresCompatibilities", ()):
        return
    if (mode := request.get("networkMode")) != "awsvpc":
        found = f"found {shown(mode)}" if mode else "is required and absent"
        yield document.problem(("networkMode",), found, f"allowed with requiresCompatibilities {_FARGATE}: awsvpc")
    for key in ("cpu", "memory"):
        if not request.get(key):
            help_ = f"add it: requiresCompatibilities {_FARGATE} needs it for the task as a whole"
            yield document.problem((key,), "is required and absent", help_)


def _unknown_words(document: Document, request: TaskDefinition) -> Iterator[Problem]:
    """Words that ECS did not know when this release was made. A newer one is passed on all the same."""
    for path, word, known in wrong_words(request, "RegisterTaskDefinition"):
        help_ = f"known are {known}: correct it if it is none that is new"
        problem = document.problem(path, f"found {shown(word)}, which ECS may not know", help_)
        yield problem.model_copy(update={"severity": Severity.warning})


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
        self.warnings: list[Problem] = []
        self._document = document

    def value(self, value: Any, shape: botocore.model.Shape, path: Path) -> Any:
        match shape:
            case botocore.model.StructureShape():
                return self._structure(value, shape, path)
            case botocore.model.ListShape():
                return self._list(value, shape, path)
            case botocore.model.MapShape():
                return self._map(value, shape, path)
            case _ if shape.type_name == "string":
                return self._text(value, path)
            case _:
                return self._other(value, shape.type_name, path)

    def _structure(self, value: Any, shape: botocore.model.StructureShape, path: Path) -> Any:
        if not isinstance(value, dict):
            return self._wrong(value, "a mapping", path)
        spelled = {name.casefold(): name for name in shape.members}
        result: dict[str, Any] = {}
        pairs = cast("dict[str, Any]", value)
        for key, inner in pairs.items():
            name = spelled.get(key.casefold())
            if name is None:
                self._unknown(key, shape, path)
            elif name in result:
                self._problem((*path, key), f"is {name} once more, in another case of its letters", "keep one of them")
            elif inner is not None and not _is_left_out(inner, shape.members[name]):
                result[name] = self.value(inner, shape.members[name], (*path, key))
            if name and not path and name not in FORWARDED:
                self._warn((*path, key), "is left out: PipeCD does not pass it on to ECS", "remove it, or set it otherwise")
        self._require(shape.required_members if path else (), result, path)
        return result

    def _require(self, names: Sequence[str], found: Mapping[str, Any], path: Path) -> None:
        """What the API requires of a structure: neither AWS's SDK for Go nor the one for Python would send it without."""
        for name in names:
            if name not in found:
                self._problem((*path, name), "is required and absent", "add it, or remove what it belongs to")

    def _list(self, value: Any, shape: botocore.model.ListShape, path: Path) -> Any:
        if not isinstance(value, list):
            return self._wrong(value, "a list", path)
        items = cast("list[Any]", value)
        return [self.value(item, shape.member, (*path, index)) for index, item in enumerate(items)]

    def _map(self, value: Any, shape: botocore.model.MapShape, path: Path) -> Any:
        if not isinstance(value, dict):
            return self._wrong(value, "a mapping", path)
        pairs = cast("dict[str, Any]", value)
        return {self._rendered(key, (*path, key)): self.value(inner, shape.value, (*path, key)) for key, inner in pairs.items()}

    def _text(self, value: Any, path: Path) -> Any:
        """The text as it is written, which is what people mean; piped makes a number or a truth value of some first."""
        if value is None:
            return ""
        if not isinstance(value, str | bool | int | float):
            return self._wrong(value, "a text", path)
        written = self._document.words.get(path)
        text = value if isinstance(value, str) else str(written)
        if written is not None and (pipeds := as_text(resolve(written))) != text:
            self._warn(path, f"is registered as {shown(text)}; piped would register {shown(pipeds)}", "put quotes around it")
        return self._rendered(text, path)

    def _rendered(self, text: str, path: Path) -> str:
        if template := TEMPLATE.search(text):
            self._problem(path, f"holds the template {template[0]}, which nothing renders", _NOT_RENDERED)
        return text

    def _other(self, value: Any, kind: str, path: Path) -> Any:
        """A number or a truth value, as piped reads it."""
        written = self._document.words.get(path)
        read = value if written is None else resolve(written)
        match kind, read:
            case "boolean", bool():
                return read
            case "integer", int() | float() if abs(read) > _INT32:
                return self._wrong(value, f"a number up to {_INT32:,}", path)
            case "integer" | "long", int() if not isinstance(read, bool):
                return read
            case "integer" | "long", float() if read.is_integer() and abs(read) < _LARGEST_EXACT:
                return int(read)
            case "integer" | "long", str() if read.strip().lstrip("-").isdecimal() and len(read) <= DIGITS_LIMIT:
                return int(read)
            case "double" | "float", int() | float() if not isinstance(read, bool):
                return float(read)
            case _:
                if isinstance(value, str) and TEMPLATE.search(value):
                    return self._rendered(value, path)
                return self._wrong(value, "true or false" if kind == "boolean" else "a number", path)

    def _unknown(self, key: str, shape: botocore.model.StructureShape, path: Path) -> None:
        if not path and key.startswith("x-"):
            return  # a place for anchors, by custom
        if not path and key.casefold() in _described():
            self._warn((*path, key), "is left out: it describes a revision that is registered already", "remove it")
            return
        near = difflib.get_close_matches(key, shape.members, n=1)
        help_ = f"did you mean {near[0]!r}?" if near else "remove it, or correct its name"
        self._warn((*path, key), "is left out: ECS's RegisterTaskDefinition has no such key", help_)

    def _wrong(self, value: Any, wanted: str, path: Path) -> None:
        self._problem(path, f"found {shown(value)}", f"allowed: {wanted}")

    def _problem(self, path: Path, message: str, help_: str) -> None:
        self.problems.append(self._document.problem(path, message, help_))

    def _warn(self, path: Path, message: str, help_: str) -> None:
        problem = self._document.problem(path, message, help_, at_key=path in self._document.keys)
        self.warnings.append(problem.model_copy(update={"severity": Severity.warning}))


def _is_left_out(value: Any, shape: botocore.model.Shape) -> bool:
    """Whether the value is an empty text for one of several words. AWS refuses it, and piped's SDK does not send it."""
    return value == "" and isinstance(shape, botocore.model.StringShape) and bool(shape.enum)


@cache
def _described() -> frozenset[str]:
    """Keys that ECS tells of a revision, in lower case."""
    shape = service().shape_for("TaskDefinition")
    assert isinstance(shape, botocore.model.StructureShape)  # noqa: S101 -- botocore's model of ECS has it; the types do not know
    return frozenset(name.casefold() for name in shape.members)
