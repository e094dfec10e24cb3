"""Evaluates a definition's expressions. Pure: look-ups go through the context.

An expression is a JSON object with one member, `Get`, `Std:Join` or `Std:JsonGet`, anywhere in a step's arguments.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol, cast

from slipway_sandbox.sagemaker.pipelines.paths import follow, parse_path

EXECUTION_VARIABLES = frozenset(
    {
        "PipelineExecutionArn",
        "PipelineExecutionId",
        "PipelineName",
        "PipelineArn",
        "StartDateTime",
        "CurrentDateTime",
        "TrainingJobName",
        "ProcessingJobName",
    }
)


class EvaluationError(ValueError):
    """An expression that has no value."""


class Context(Protocol):
    """What an expression may ask for."""

    def parameter(self, name: str) -> Any:
        """A parameter's value, of its own type."""
        ...

    def variable(self, name: str) -> str:
        """An execution variable's value."""
        ...

    def properties(self, step: str) -> Mapping[str, Any]:
        """What a finished step's resource describes itself as."""
        ...

    def property_file(self, step: str, name: str) -> Any:
        """The JSON document that a property file of a finished step has."""
        ...

    def document(self, uri: str) -> Any:
        """The JSON document at an S3 URI."""
        ...


def evaluate(value: Any, context: Context) -> Any:
    """The value with every expression in it evaluated.

    Raises:
        EvaluationError: One has no value.
        PathError: A path leads nowhere.
    """
    if isinstance(value, list):
        return [evaluate(item, context) for item in cast("list[Any]", value)]
    if not isinstance(value, dict):
        return value
    members = cast("dict[str, Any]", value)
    match _expression(members):
        case "Get", str() as reference:
            return _get(reference, context)
        case "Std:Join", {"Values": values, **more}:
            return _join(values, more.get("On", ""), context)
        case "Std:JsonGet", {"Path": path, **source}:
            return _value_at(evaluate(path, context), _document(source, context))
        case _:
            return {name: evaluate(item, context) for name, item in members.items()}


def references(value: Any) -> Iterator[str]:
    """Every `Get` in a value, such as `Parameters.DataUri` or `Steps.Train.ModelArtifacts.S3ModelArtifacts`."""
    if isinstance(value, list):
        for item in cast("list[Any]", value):
            yield from references(item)
    elif isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        match _expression(members):
            case "Get", str() as reference:
                yield reference
            case _:
                for item in members.values():
                    yield from references(item)


def split_reference(reference: str) -> tuple[str, str, str]:
    """A `Get`'s scope, the name in it, and the path that is left: `Steps.A.B['c']` is `("Steps", "A", ".B['c']")`."""
    scope, _, rest = reference.partition(".")
    parts = parse_path(rest)
    name = str(parts[0]) if parts else ""
    return scope, name, rest.removeprefix(name)


def text_of(value: Any) -> str:
    """A value as `Std:Join` writes it.

    Raises:
        EvaluationError: It is neither text, number nor boolean.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise EvaluationError(f"{value!r} is neither text, number nor boolean, so it cannot be joined")


def _expression(members: dict[str, Any]) -> tuple[str, Any] | None:
    if len(members) != 1:
        return None
    return next(iter(members.items()))


def _get(reference: str, context: Context) -> Any:
    scope, name, rest = split_reference(reference)
    match scope:
        case "Parameters":
            return context.parameter(name)
        case "Execution":
            return context.variable(name)
        case "Steps":
            return follow(context.properties(name), parse_path(rest), reference)
        case _:
            raise EvaluationError(f"'{reference}' is not one of Parameters, Steps and Execution")


def _join(values: Any, between: Any, context: Context) -> str:
    parts = evaluate(values, context)
    if not isinstance(parts, list):
        raise EvaluationError(f"Std:Join joins a list of values, not {parts!r}")
    return text_of(evaluate(between, context)).join(text_of(part) for part in cast("list[Any]", parts))


def _value_at(path: Any, document: Any) -> Any:
    if not isinstance(path, str):
        raise EvaluationError(f"the Path of Std:JsonGet is text, not {path!r}")
    return follow(document, parse_path(path), path)


def _document(wanted: dict[str, Any], context: Context) -> Any:
    match wanted:
        case {"PropertyFile": {"Get": str() as reference}}:
            _, step, rest = split_reference(reference)
            parts = parse_path(rest)
            return context.property_file(step, str(parts[-1]) if parts else "")
        case {"S3Uri": uri}:
            return context.document(text_of(evaluate(uri, context)))
        case _:
            raise EvaluationError("Std:JsonGet needs a PropertyFile or an S3Uri")
