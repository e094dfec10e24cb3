"""Pipeline definitions of version 2020-12-01: parsed, and checked before anything runs."""

from __future__ import annotations

import graphlib
import json
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from slipway_sandbox import protocol
from slipway_sandbox.errors import AwsError, validation_error
from slipway_sandbox.sagemaker.pipelines.conditions import problems_of
from slipway_sandbox.sagemaker.pipelines.evaluate import EXECUTION_VARIABLES, references, split_reference
from slipway_sandbox.sagemaker.pipelines.paths import PathError

VERSION = "2020-12-01"
CREATES = {
    "Training": "CreateTrainingJob",
    "Processing": "CreateProcessingJob",
    "RegisterModel": "CreateModelPackage",
    "Model": "CreateModel",
}
"""The operation whose request a step's arguments are."""
NOT_ARGUMENTS = frozenset({"ModelPackageName", "ClientToken"})
"""Members of those requests that AWS does not take from a definition."""


class Parsed(BaseModel):
    """A part of a definition. Members that this sandbox does not use are let pass."""

    model_config = ConfigDict(frozen=True, extra="ignore")


PARAMETER_TYPES: dict[str, type | tuple[type, ...]] = {"String": str, "Integer": int, "Boolean": bool, "Float": (int, float)}


class Parameter(Parsed):
    """A parameter, which an execution may set."""

    name: Annotated[str, Field(alias="Name", pattern=r"^[A-Za-z0-9\-_]*$", max_length=256)]
    type: Annotated[Literal["String", "Integer", "Boolean", "Float"], Field(alias="Type")]
    default: Annotated[Any, Field(alias="DefaultValue")] = None
    allowed: Annotated[tuple[Any, ...] | None, Field(alias="EnumValues")] = None

    @property
    def problem(self) -> str | None:
        """What is wrong with its default value, if anything."""
        if self.default is None:
            return None
        fits = isinstance(self.default, PARAMETER_TYPES[self.type])
        if fits and (self.allowed is None or self.default in self.allowed):
            return None
        return f"The default value {self.default!r} of the parameter '{self.name}' is not among its values"

    def read(self, text: str) -> Any:
        """A value as StartPipelineExecution gives it, in the parameter's own type.

        Raises:
            ValueError: It is none.
        """
        match self.type:
            case "Integer":
                value: Any = int(text)
            case "Float":
                value = float(text)
            case "Boolean":
                value = {"true": True, "false": False}.get(text.lower())
            case _:
                value = text
        if value is None or (self.allowed is not None and value not in self.allowed):
            raise ValueError(text)
        return value


class PropertyFile(Parsed):
    """A JSON document among a processing step's outputs."""

    name: Annotated[str, Field(alias="PropertyFileName")]
    output: Annotated[str, Field(alias="OutputName")]
    path: Annotated[str, Field(alias="FilePath")]


class Step(Parsed):
    """One step, with the steps of its branches where it is a condition."""

    name: Annotated[str, Field(alias="Name", pattern=r"^[A-Za-z0-9\-_]{1,64}$")]
    type: Annotated[Literal["Processing", "Training", "Condition", "RegisterModel", "Model", "Fail"], Field(alias="Type")]
    arguments: Annotated[dict[str, Any], Field(alias="Arguments")] = {}
    depends_on: Annotated[tuple[str, ...], Field(alias="DependsOn")] = ()
    property_files: Annotated[tuple[PropertyFile, ...], Field(alias="PropertyFiles")] = ()
    display_name: Annotated[str | None, Field(alias="DisplayName")] = None
    description: Annotated[str | None, Field(alias="Description")] = None

    @cached_property
    def branches(self) -> dict[bool, tuple[Step, ...]]:
        """The steps that run when the condition is met, and those that run when it is not."""
        if self.type != "Condition":
            return {}
        return {
            True: _BRANCH.validate_python(self.arguments.get("IfSteps") or ()),
            False: _BRANCH.validate_python(self.arguments.get("ElseSteps") or ()),
        }

    @property
    def own_arguments(self) -> dict[str, Any]:
        """The arguments without the steps of the branches."""
        return {name: value for name, value in self.arguments.items() if name not in ("IfSteps", "ElseSteps")}

    @property
    def needs(self) -> frozenset[str]:
        """The steps that come before this one: those it names, and those whose properties it uses."""
        used = (split_reference(reference) for reference in references(self.own_arguments))
        return frozenset(self.depends_on) | {name for scope, name, _ in used if scope == "Steps"}


_BRANCH = TypeAdapter(tuple[Step, ...])


class Placed(Parsed):
    """A step, and the branch that it stands on."""

    step: Step
    parent: str | None = None
    outcome: bool = True

    @property
    def needs(self) -> frozenset[str]:
        """The steps that come before it, its branch's condition among them."""
        return self.step.needs | ({self.parent} if self.parent else frozenset[str]())


class Definition(Parsed):
    """A whole definition. `text` is what it was read from."""

    version: Annotated[Literal["2020-12-01"], Field(alias="Version")]
    parameters: Annotated[tuple[Parameter, ...], Field(alias="Parameters")] = ()
    steps: Annotated[tuple[Step, ...], Field(alias="Steps")]
    text: str = ""

    @cached_property
    def placed(self) -> dict[str, Placed]:
        """Every step by name, those on branches too, in the definition's order."""
        return {placed.step.name: placed for placed in _placed(self.steps, None, outcome=True)}

    def values(self, given: Sequence[dict[str, str]]) -> dict[str, Any]:
        """The parameters' values in an execution.

        Raises:
            AwsError: One is unknown, missing, of another type, or not among those allowed.
        """
        texts = {item["Name"]: item["Value"] for item in given}
        known = {parameter.name: parameter for parameter in self.parameters}
        if unknown := sorted(texts.keys() - known.keys()):
            raise validation_error(f"Unknown parameter(s) {unknown}: the pipeline has {sorted(known)}.")
        missing = [name for name, parameter in known.items() if name not in texts and parameter.default is None]
        if missing:
            raise validation_error(f"Parameter(s) {missing} have no default value, so the execution has to give them.")
        return {name: _value(known[name], texts[name]) if name in texts else known[name].default for name in known}


def parse_definition(text: str) -> Definition:
    """Read and check a definition.

    Raises:
        AwsError: `Unable to parse pipeline definition. …`.
    """
    try:
        raw = json.loads(text)
    except ValueError as error:
        raise _unreadable("It is not valid JSON") from error
    if not isinstance(raw, dict):
        raise _unreadable("Expecting start of Json Object")
    try:
        definition = Definition.model_validate({**raw, "text": text})
        everything = list(_placed(definition.steps, None, outcome=True))
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


def _doubles(everything: Sequence[Placed]) -> Iterator[str]:
    names = [placed.step.name for placed in everything]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"Step names must be unique: '{name}' is there more than once"


def _problems(placed: Placed, definition: Definition) -> Iterator[str]:
    step = placed.step
    yield from _argument_problems(step)
    for name in sorted(step.needs - definition.placed.keys()):
        yield f"Step '{step.name}' depends on the step '{name}', which is not there"
    parameters = {parameter.name for parameter in definition.parameters}
    for reference in references(step.own_arguments):
        scope, name, _ = split_reference(reference)
        if scope == "Parameters" and name not in parameters:
            yield f"Step '{step.name}' uses the parameter '{name}', which is not there"
        if scope == "Execution" and name not in EXECUTION_VARIABLES:
            yield f"Step '{step.name}' uses the execution variable '{name}', which is not there"
        if scope not in ("Parameters", "Execution", "Steps"):
            yield f"Step '{step.name}' gets '{reference}', which is none of Parameters, Steps and Execution"


def _argument_problems(step: Step) -> Iterator[str]:
    if step.type == "Condition":
        for condition in step.arguments.get("Conditions", ()):
            for problem in problems_of(condition):
                yield f"Step '{step.name}': {problem}"
    elif operation := CREATES.get(step.type):
        shape = protocol.service_model("sagemaker").operation_model(operation).input_shape
        members = set(shape.members) if shape else set[str]()
        for name in step.arguments:
            if name not in members or name in NOT_ARGUMENTS:
                yield f"Unknown Argument member '{name}'"


def _refuse_cycles(definition: Definition) -> None:
    graph = {name: placed.needs for name, placed in definition.placed.items()}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        raise _unreadable(f"The steps {error.args[1]} depend on each other in a circle") from error
