"""Reads `promotion.yaml`, and says of each mistake where it is, what was found, and what is allowed."""

from __future__ import annotations

import ast
import difflib
import functools
import inspect
import json
import types
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from slipway.app.problems import FileError, Problem, SpecError
from slipway.app.rules import READING
from slipway.app.spec import SPEC_FILE, ModelPromotion
from slipway.app.yaml_source import SIZE_LIMIT, Document, Path, load_document

M = TypeVar("M", bound=BaseModel)
_NAME = "use letters, digits and hyphens, up to 63, beginning and ending with a letter or digit"
_REPOSITORY = "write <account>.dkr.ecr.<region>.amazonaws.com/<repository>, without a tag"
_ROLE = "write arn:aws:iam::<12 digits>:role/<name>"
_S3 = "write s3://<bucket>/<prefix>"
_HINTS = {
    "endpoint": _NAME,
    "packageGroup": f"{_NAME}; or write the ARN of a group in another account",
    "source": _REPOSITORY,
    "target": _REPOSITORY,
    "roleArn": _ROLE,
    "executionRoleArn": _ROLE,
    "region": "write a region such as us-east-1",
    "instanceType": "write an instance type such as ml.m5.large",
    "subnets": "write the ids of subnets, such as subnet-0a1b2c3d",
    "securityGroups": "write the ids of security groups, such as sg-0a1b2c3d",
    "destination": _S3,
    "output": _S3,
    "failures": _S3,
    "name": "use letters, digits and hyphens, beginning and ending with a letter or digit",
}


def parse_spec(text: str, file: str = SPEC_FILE) -> ModelPromotion:
    """Reads a spec that a person wrote.

    Args:
        text: The file's content.
        file: The file's name as problems should show it.

    Raises:
        SpecError: Everything that is wrong, each with line, column, path, what was found and what is allowed.
    """
    try:
        return parse_model(ModelPromotion, text, file)
    except FileError as error:
        raise SpecError(f"reading {file}", error.problems) from error


def spec_of(document: Document) -> ModelPromotion:
    """The spec of a document that was read already.

    Raises:
        SpecError: Everything that is wrong.
    """
    try:
        return model_of(ModelPromotion, document)
    except FileError as error:
        raise SpecError(f"reading {document.file}", error.problems) from error


def parse_model(model: type[M], text: str, file: str, limit: int = SIZE_LIMIT) -> M:
    """Reads a YAML file that a person wrote as a model.

    Args:
        model: What the file holds.
        text: The file's content.
        file: The file's name as problems should show it.
        limit: The most bytes that it may have.

    Raises:
        FileError: Everything that is wrong, each with line, column, path, what was found and what is allowed.
    """
    return model_of(model, load_document(text, file, limit))


def model_of(model: type[M], document: Document) -> M:
    """The model of a document that was read already.

    Raises:
        FileError: Everything that is wrong.
    """
    try:
        # JSON's rules are the strict ones that YAML's lists and numbers fit; names of attributes are not keys of the file.
        return model.model_validate_json(
            json.dumps(document.data), strict=True, extra="forbid", context=READING, by_alias=True, by_name=False
        )
    except ValidationError as error:
        problems = _each_once(_problem(model, document, detail) for detail in error.errors(include_url=False))
        problems.sort(key=lambda problem: (problem.line, problem.column))
        raise FileError(f"reading {document.file}", problems) from error


def _each_once(problems: Iterable[Problem]) -> list[Problem]:
    """The problems, with one for a value that is none of several forms."""
    found: dict[tuple[int, int, str, str], Problem] = {}
    for problem in problems:
        key = (problem.line, problem.column, problem.path, problem.message)
        first = found.setdefault(key, problem)
        if first is not problem:
            found[key] = first.model_copy(update={"help": f"{first.help}, or {problem.help.removeprefix('allowed: ')}"})
    return list(found.values())


def _problem(root: type[BaseModel], document: Document, detail: ErrorDetails) -> Problem:
    path = _written_part(document.data, detail["loc"])
    match detail["type"]:
        case "extra_forbidden":
            return document.problem(path, f"unknown key {path[-1]!r}", _near_key(root, path), at_key=True)
        case "missing":
            return document.problem(path, "is required and absent", _meaning(root, path))
        case "value_error" if isinstance(_look_up(document.data, path), dict):
            return document.problem(path, str(detail.get("ctx", {})["error"]), "correct these keys together")
        case _ if detail["loc"][-1:] == ("[key]",):
            return document.problem(path, f"found the name {path[-1]!r}", f"allowed: {_allowed(path, detail)}", at_key=True)
        case "string_type" | "model_type" if _reads_as_no_text(document, path, detail["type"]):
            said = f"found {_short(document.words[path])} without quotes, which YAML reads as no text"
            return document.problem(path, said, "put quotes around a text")
        case _:
            found = _short(_look_up(document.data, path))
            return document.problem(path, f"found {found}", f"allowed: {_allowed(path, detail)}")


def _reads_as_no_text(document: Document, path: Path, kind: str) -> bool:
    """Whether a text is wanted, or could stand there as an event's name, and what is there was meant as one."""
    found = _look_up(document.data, path)
    wanted = kind == "string_type" or path[-1:] == ("event",)
    return wanted and path in document.words and found is not None and not isinstance(found, str)


def _written_part(data: Any, path: Path) -> Path:
    """The path to a value that stands alone, rather than to one of the forms that it could have had."""
    inner = [part for position, part in enumerate(path) if not isinstance(_look_up(data, path[:position]), str | int | float)]
    return tuple(inner)


def _near_key(root: type[BaseModel], path: Path) -> str:
    parent = _model_at(root, path[:-1])
    keys = _keys(parent) if parent else []
    near = difflib.get_close_matches(str(path[-1]), keys, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{hint}allowed: {', '.join(keys)}"


def _meaning(root: type[BaseModel], path: Path) -> str:
    parent = _model_at(root, path[:-1])
    meanings: Mapping[str, str] = meanings_of(parent) if parent else {}
    names = {field.alias: name for name, field in parent.model_fields.items()} if parent else {}
    description = meanings.get(names.get(str(path[-1]), ""), "")
    return f"add it: {' '.join(description.split())}" if description else "add it"


@functools.cache
def meanings_of(model: type[BaseModel]) -> Mapping[str, str]:
    """The text under each field.

    Read here, and not by pydantic's `use_attribute_docstrings`: that would read the sources each time a command starts.
    """
    [definition] = ast.parse(inspect.getsource(model)).body
    assert isinstance(definition, ast.ClassDef)  # noqa: S101 -- for the type checker: it is the source of a class
    return {
        field.target.id: inspect.cleandoc(text.value.value)
        for field, text in pairwise(definition.body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant) and isinstance(text.value.value, str)
    }


def _allowed(path: Path, detail: ErrorDetails) -> str:
    context: dict[str, Any] = detail.get("ctx", {})
    match detail["type"]:
        case "literal_error":
            return str(context["expected"])
        case "value_error":
            return str(context["error"]).removeprefix("must be ")
        case "string_pattern_mismatch":
            name = next((part for part in reversed(path) if isinstance(part, str)), "")
            return _HINTS.get(name, f"a text that matches {context['pattern']}")
        case "model_type" | "model_attributes_type" | "dict_type":
            return "a mapping of keys and values"
        case "too_long" | "too_short":
            most = "max_length" in context
            limit = f"{'at most' if most else 'at least'} {context['max_length' if most else 'min_length']}"
            return f"{limit}, and there are {context['actual_length']}"
        case _:
            return detail["msg"].removeprefix("Input should be ").removeprefix("Input should ")


def _keys(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_at(root: type[BaseModel], path: Path) -> type[BaseModel] | None:
    """The model that describes the mapping at a path."""
    current: Any = root
    for part in path:
        if isinstance(part, int):
            continue  # an item has the model of its list
        field = next((field for field in current.model_fields.values() if field.alias == part), None) if current else None
        current = model_in(field.annotation) if field else None
    return current


def model_in(annotation: Any) -> type[BaseModel] | None:
    """The one model inside `X | None`, `tuple[X, ...]` and `Annotated[X, …]`."""
    if isinstance(annotation, type) and not get_args(annotation):
        return annotation if issubclass(annotation, BaseModel) else None
    if get_origin(annotation) in (Union, types.UnionType, tuple) or get_args(annotation):
        return next((found for part in get_args(annotation) if (found := model_in(part))), None)
    return None


def _look_up(data: Any, path: Path) -> Any:
    for part in path:
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            return None
    return data


def _short(value: Any) -> str:
    """A value, short enough for one line."""
    match value:
        case None:
            return "nothing"
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case str() if "PRIVATE KEY" in value:
            return "a private key, which is not shown"
        case _:
            text = json.dumps(value, ensure_ascii=False)
            return text if len(text) <= 120 else f"{text[:117]}…"  # noqa: PLR2004 -- a line of a terminal
