"""Pipeline definitions of version 2020-12-01: parsed, and checked before anything runs."""

from __future__ import annotations

import functools
import graphlib
import json
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from slipway_sandbox.core.errors import AwsError, validation_error
from slipway_sandbox.protocol import aws_json, documents
from slipway_sandbox.sagemaker.pipelines.conditions import problems_of_all
from slipway_sandbox.sagemaker.pipelines.evaluate import EXECUTION_VARIABLES, references, split_reference
from slipway_sandbox.sagemaker.pipelines.parts import NOT_HERE, STEP_TYPES, Parameter, Parsed, Placed, Step
from slipway_sandbox.sagemaker.pipelines.paths import PathError, parse_path

CREATES = {
    "Training": "CreateTrainingJob",
    "Processing": "CreateProcessingJob",
    "Transform": "CreateTransformJob",
    "RegisterModel": "CreateModelPackage",
    "Model": "CreateModel",
}
"""The operation whose request a step's arguments are."""
NOT_ARGUMENTS = frozenset({"ModelPackageName", "ClientToken"})
"""Members of those requests that AWS does not take from a definition."""
REQUIRED = {"Callback": ("SqsQueueUrl", "queue"), "Lambda": ("FunctionArn", "function")}
"""Members that steps of a type need beside their arguments."""
READ_DEFINITIONS = 256
"""Definitions that stay parsed; executions keep their text only."""


class Definition(Parsed):
    """A whole definition. `text` is what it was read from."""

    version: Annotated[Literal["2020-12-01"], Field(alias="Version")]
    parameters: Annotated[tuple[Parameter, ...], Field(alias="Parameters")] = ()
    experiment: Annotated[dict[str, Any] | None, Field(alias="PipelineExperimentConfig")] = None
    steps: Annotated[tuple[Step, ...], Field(alias="Steps")]
    text: str = ""

    @cached_property
    def placed(self) -> dict[str, Placed]:
        """Every step by name, those on branches too, in the definition's order."""
        return {placed.step.name: placed for placed in _placed(self.steps, None, outcome=True)}

    def values(self, given: Sequence[dict[str, str]]) -> dict[str, Any]:
        """The parameters' values in an execution.

        Raises:
            AwsError: One is unknown, missing, empty, of another type, or not among those allowed.
        """
        texts = {item["Name"]: item["Value"] for item in given}
        known = {parameter.name: parameter for parameter in self.parameters}
        if unknown := sorted(texts.keys() - known.keys()):
            raise validation_error(f"Unknown parameter(s) {unknown}: the pipeline has {sorted(known)}.")
        if "" in texts.values():
            raise validation_error('[string "" is too short (length: 0, required minimum: 1)]')
        missing = [name for name, parameter in known.items() if name not in texts and parameter.default is None]
        if missing:
            raise validation_error(f"Parameter(s) {missing} have no default value, so the execution has to give them.")
        return {name: _value(known[name], texts[name]) if name in texts else known[name].default for name in known}


def parse_definition(text: str) -> Definition:
    """Read and check a definition.

    Raises:
        AwsError: `Unable to parse pipeline definition. …`, or `NotImplemented` for a type of step that the sandbox does not run.
    """
    try:
        raw = documents.parsed(text)
    except ValueError as error:
        raise _unreadable("It is not valid JSON") from error
    if not isinstance(raw, dict):
        raise _unreadable("Expecting start of Json Object")
    try:
        definition = Definition.model_validate({**raw, "text": text})
        everything = list(_placed(definition.steps, None, outcome=True))
        _refuse_types(everything)
        problems = [parameter.problem for parameter in definition.parameters if parameter.problem]
        problems += [*_doubles(everything), *(problem for placed in everything for problem in _problems(placed, definition))]
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise _unreadable(f"{where}: {first['msg']}" if where else first["msg"]) from error
    except PathError as error:
        raise _unreadable(str(error)) from error
    if problems:
        raise _unreadable(problems[0])
    _refuse_cycles(definition)
    return definition


@functools.lru_cache(READ_DEFINITIONS)
def definition_of(text: str) -> Definition:
    """A definition that was checked before."""
    return Definition.model_validate({**json.loads(text), "text": text})


def _unreadable(what: str) -> AwsError:
    return validation_error(f"Unable to parse pipeline definition. {what}.")


def _placed(steps: Iterable[Step], parent: str | None, *, outcome: bool) -> Iterator[Placed]:
    for step in steps:
        yield Placed(step=step, parent=parent, outcome=outcome)
        for branch, inner in step.branches.items():
            yield from _placed(inner, step.name, outcome=branch)


def _value(parameter: Parameter, text: str) -> Any:
    try:
        return parameter.read(text)
    except ValueError as error:
        allowed = f" among {list(parameter.allowed)}" if parameter.allowed is not None else ""
        raise validation_error(f"Parameter {parameter.name}: '{text}' is not a {parameter.type}{allowed}.") from error


def _refuse_types(everything: Sequence[Placed]) -> None:
    for step in (placed.step for placed in everything):
        if step.type in NOT_HERE:
            raise AwsError("NotImplemented", f"The sandbox runs no steps of type {step.type}, which step '{step.name}' is.", 501)
        if step.type not in STEP_TYPES:
            raise _unreadable(f"Unknown type '{step.type}' of step '{step.name}'")


def _doubles(everything: Sequence[Placed]) -> Iterator[str]:
    names = [placed.step.name for placed in everything]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"Step names must be unique: '{name}' is there more than once"


def _problems(placed: Placed, definition: Definition) -> Iterator[str]:
    step = placed.step
    yield from _argument_problems(step)
    for name in sorted(step.needs.keys() - definition.placed.keys()):
        yield f"Step '{step.name}' depends on the step '{name}', which is not there"
    for reference in references(step.expressions):
        problem = _reference_problem(reference, definition)
        if problem:
            yield f"Step '{step.name}' {problem}"


def _reference_problem(reference: str, definition: Definition) -> str | None:
    scope, name, rest = split_reference(reference)
    match scope:
        case "Parameters" if name not in {parameter.name for parameter in definition.parameters}:
            return f"uses the parameter '{name}', which is not there"
        case "Execution" if name not in EXECUTION_VARIABLES:
            return f"uses the execution variable '{name}', which is not there"
        case "Steps":
            return _property_file_problem(name, parse_path(rest), definition)
        case "Parameters" | "Execution":
            return None
        case _:
            return f"gets '{reference}', which is not one of Parameters, Steps and Execution"


def _property_file_problem(step: str, path: tuple[str | int, ...], definition: Definition) -> str | None:
    if len(path) < 2 or path[0] != "PropertyFiles" or step not in definition.placed:  # noqa: PLR2004  (the word, and a name)
        return None
    files = {file.name for file in definition.placed[step].step.property_files}
    return None if path[1] in files else f"uses the property file '{path[1]}', which the step '{step}' does not have"


def _argument_problems(step: Step) -> Iterator[str]:
    if step.type == "Condition":
        for problem in problems_of_all(step.arguments.get("Conditions", [])):
            yield f"Step '{step.name}': {problem}"
    elif operation := CREATES.get(step.type):
        shape = aws_json.service_model("sagemaker").operation_model(operation).input_shape
        members = set(shape.members) if shape else set[str]()
        for name in step.arguments:
            if name not in members or name in NOT_ARGUMENTS:
                yield f"Unknown Argument member '{name}'"
    elif step.type in REQUIRED:
        member, attribute = REQUIRED[step.type]
        if not getattr(step, attribute):
            yield f"Step '{step.name}' needs a {member}"


def _refuse_cycles(definition: Definition) -> None:
    graph = {name: placed.needs.keys() for name, placed in definition.placed.items()}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        raise _unreadable(f"The steps {error.args[1]} depend on each other in a circle") from error
