"""The parts of a pipeline definition: parameters, steps, and a step's members beside its arguments."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal, cast

from pydantic import ConfigDict, Field, TypeAdapter, model_validator

from slipway_sandbox.core.models import Frozen
from slipway_sandbox.sagemaker.pipelines.durations import parse_duration
from slipway_sandbox.sagemaker.pipelines.evaluate import references, split_reference

STEP_TYPES = frozenset(
    {"Processing", "Training", "Transform", "Condition", "RegisterModel", "Model", "Fail", "Callback", "Lambda"}
)
NOT_HERE = frozenset(
    {
        "Athena",
        "AutoML",
        "ClarifyCheck",
        "Cleanup",
        "EMR",
        "EMRServerless",
        "Endpoint",
        "EndpointConfig",
        "ForEach",
        "HubContent",
        "InferenceComponent",
        "Job",
        "Lineage",
        "NotebookJob",
        "QualityCheck",
        "Tuning",
    }
)
"""Types of steps that AWS runs and this sandbox does not."""
INTEGER = re.compile(r"[+-]?\d+")
LONGEST_NAME = 64
DEFAULT_ATTEMPTS = 5
Trigger = Literal["Completed", "Failed", "Stopped", "Any"]


class Parsed(Frozen):
    """A part of a definition. Members that the sandbox does not use are accepted."""

    model_config = ConfigDict(extra="ignore")


ParameterType = Literal["String", "Integer", "Boolean", "Float"]
PARAMETER_TYPES: dict[str, type | tuple[type, ...]] = {"String": str, "Integer": int, "Boolean": bool, "Float": (int, float)}


def fits(value: Any, kind: str) -> bool:
    """Whether a value is of a parameter's type. To Python, a boolean is a number."""
    return isinstance(value, PARAMETER_TYPES[kind]) and (kind == "Boolean" or not isinstance(value, bool))


def read_text(text: str, kind: str) -> Any:
    """A value of a type, as text spells it.

    Raises:
        ValueError: It spells none.
    """
    value: Any = text
    match kind:
        case "Integer":
            value = int(text) if INTEGER.fullmatch(text) else None
        case "Float":
            number = float(text)
            value = number if math.isfinite(number) else None
        case "Boolean":
            value = {"true": True, "false": False}.get(text.lower())
        case _:
            pass
    if value is None:
        raise ValueError(text)
    return value


class Parameter(Parsed):
    """A parameter, which an execution may set."""

    name: Annotated[str, Field(alias="Name", pattern=r"^[A-Za-z0-9\-_]*$", max_length=256)]
    type: Annotated[ParameterType, Field(alias="Type")] = "String"
    default: Annotated[Any, Field(alias="DefaultValue")] = None
    allowed: Annotated[tuple[Any, ...] | None, Field(alias="EnumValues")] = None

    @property
    def problem(self) -> str | None:
        """What is wrong with its default value, if anything."""
        if self.default is None:
            return None
        if fits(self.default, self.type) and (self.allowed is None or self.default in self.allowed):
            return None
        return f"The default value {self.default!r} of the parameter '{self.name}' is not among its values"

    def read(self, text: str) -> Any:
        """A value as StartPipelineExecution gives it, in the parameter's own type.

        Raises:
            ValueError: It is none.
        """
        value = read_text(text, self.type)
        if self.allowed is not None and value not in self.allowed:
            raise ValueError(text)
        return value


class PropertyFile(Parsed):
    """A JSON document among a processing step's outputs."""

    name: Annotated[str, Field(alias="PropertyFileName")]
    output: Annotated[str, Field(alias="OutputName")]
    path: Annotated[str, Field(alias="FilePath")]


class OutputParameter(Parsed):
    """What a Callback or Lambda step gives back."""

    name: Annotated[str, Field(alias="OutputName")]
    type: Annotated[ParameterType, Field(alias="OutputType")] = "String"


class CacheConfig(Parsed):
    """Whether a step's earlier result may take the place of another run."""

    enabled: Annotated[bool, Field(alias="Enabled")] = False
    expire_after: Annotated[str | None, Field(alias="ExpireAfter")] = None

    @model_validator(mode="after")
    def _check(self) -> CacheConfig:
        if self.expire_after is not None:
            parse_duration(self.expire_after)
        return self


class RetryPolicy(Parsed):
    """When a step is tried again by itself. Bounds and defaults are those of AWS's documentation."""

    exceptions: Annotated[
        tuple[
            Literal[
                "Step.SERVICE_FAULT",
                "Step.THROTTLING",
                "SageMaker.JOB_INTERNAL_ERROR",
                "SageMaker.CAPACITY_ERROR",
                "SageMaker.RESOURCE_LIMIT",
            ],
            ...,
        ],
        Field(alias="ExceptionType"),
    ]
    interval: Annotated[int, Field(alias="IntervalSeconds", ge=0, le=43200)] = 1
    backoff: Annotated[float, Field(alias="BackoffRate", ge=0)] = 2.0
    attempts: Annotated[int | None, Field(alias="MaxAttempts", ge=0, le=20)] = None
    expire_minutes: Annotated[int | None, Field(alias="ExpireAfterMin", ge=0, le=14400)] = None

    @model_validator(mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        members = cast("dict[str, Any]", value)
        only = members.get("ExceptionType")
        return {**members, "ExceptionType": (only,)} if isinstance(only, str) else members

    @model_validator(mode="after")
    def _check(self) -> RetryPolicy:
        if self.attempts is not None and self.expire_minutes is not None:
            raise ValueError("only one of MaxAttempts and ExpireAfterMin can be given")
        return self

    def wait(self, attempt: int, elapsed: float) -> float | None:
        """Simulated seconds until the next attempt; None when there is to be none.

        Args:
            attempt: Which attempt has failed; the first is 1.
            elapsed: Simulated seconds since the first attempt began.
        """
        if self.expire_minutes is not None:
            going_on = elapsed < self.expire_minutes * 60
        else:
            going_on = attempt <= (DEFAULT_ATTEMPTS if self.attempts is None else self.attempts)
        return self.interval * self.backoff ** (attempt - 1) if going_on else None


class Dependency(Parsed):
    """A step that comes before, and how it has to have ended."""

    step: Annotated[str, Field(alias="Step")]
    trigger: Annotated[Trigger, Field(alias="Trigger")] = "Completed"


class Step(Parsed):
    """One step, with the steps of its branches where it is a condition."""

    name: Annotated[str, Field(alias="Name", pattern=r"^[A-Za-z0-9\-_]{1,64}$")]
    type: Annotated[str, Field(alias="Type")]
    arguments: dict[str, Any] = Field(alias="Arguments", default_factory=dict[str, Any])
    depends_on: Annotated[tuple[str | Dependency, ...], Field(alias="DependsOn")] = ()
    property_files: Annotated[tuple[PropertyFile, ...], Field(alias="PropertyFiles")] = ()
    outputs: Annotated[tuple[OutputParameter, ...], Field(alias="OutputParameters")] = ()
    cache: CacheConfig = Field(alias="CacheConfig", default_factory=CacheConfig)
    retries: Annotated[tuple[RetryPolicy, ...], Field(alias="RetryPolicies")] = ()
    queue: Annotated[Any, Field(alias="SqsQueueUrl")] = None
    function: Annotated[Any, Field(alias="FunctionArn")] = None
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
    def expressions(self) -> list[Any]:
        """Its parts that may refer to something else."""
        return [self.own_arguments if self.type == "Condition" else self.arguments, self.queue, self.function]

    @property
    def needs(self) -> Mapping[str, Trigger]:
        """The steps that come before this one, named or by their properties, and how each has to end."""
        used = (split_reference(reference) for reference in references(self.expressions))
        named = [Dependency.model_validate({"Step": entry}) if isinstance(entry, str) else entry for entry in self.depends_on]
        from_use: dict[str, Trigger] = {name: "Completed" for scope, name, _ in used if scope == "Steps"}
        return {**from_use, **{dependency.step: dependency.trigger for dependency in named}}


_BRANCH = TypeAdapter(tuple[Step, ...], config=ConfigDict(defer_build=True))


class Placed(Parsed):
    """A step, and the branch that it stands on."""

    step: Step
    parent: str | None = None
    outcome: bool = True

    @property
    def needs(self) -> Mapping[str, Trigger]:
        """The steps that come before it, its branch's condition among them."""
        by_branch: dict[str, Trigger] = {self.parent: "Completed"} if self.parent else {}
        return {**self.step.needs, **by_branch}
