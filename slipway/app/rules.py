"""Rules on values that people write in files. They hold when a file is read, and nowhere else.

A running promotion keeps what it has read in its history, and later releases load it from there. A rule that is stricter by then
must not break that promotion. So bounds and rules between keys are checked only where a reader asks for them by the context
`READING`; types and required keys are checked always.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from pydantic import AfterValidator, BaseModel, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationInfo, model_validator
from pydantic_core import CoreSchema, PydanticKnownError, core_schema

from slipway.git.rules import check_path

READING = {"rules": True}
"""The validation context of a reader of people's files."""
M = TypeVar("M", bound=BaseModel)
V = TypeVar("V")


def when_reading(check: Callable[[V], V], words: str = "") -> AfterValidator:
    """A check of one value.

    Args:
        check: Returns the value, or raises a ValueError that says what it must be.
        words: What the reference page says of it.
    """

    def validate(value: V, info: ValidationInfo) -> V:
        return check(value) if info.context == READING else value

    validate.__doc__ = words
    return AfterValidator(validate)


def rule(check: Callable[[M], None]) -> Any:
    """A check of several keys of a model against each other; it raises a ValueError. Its docstring is on the reference page."""

    def validate(model: M, info: ValidationInfo) -> M:
        if info.context == READING:
            check(model)
        return model

    validate.__doc__ = check.__doc__
    return model_validator(mode="after")(validate)


def file_of_the_app(example: str) -> AfterValidator:
    """The rule that a path stays in the application's folder. The path is normalised.

    Args:
        example: A path as it may be.
    """

    def check(path: str) -> str:
        try:
            return check_path(path)
        except ValueError as error:
            raise ValueError(f"must be a path inside the application's folder, as {example}") from error

    return when_reading(check)


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """Bounds of one value, with the names and the errors of pydantic's own."""

    ge: float | None = None
    le: float | None = None
    min_length: int | None = None
    max_length: int | None = None
    pattern: str | None = None

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        found = handler(schema)
        unit = {"array": "Items", "object": "Properties"}.get(str(found.get("type")), "Length")
        names = {"ge": "minimum", "le": "maximum", "min_length": f"min{unit}", "max_length": f"max{unit}", "pattern": "pattern"}
        return found | {names[name]: bound for name, bound in asdict(self).items() if bound is not None}

    def _check(self, value: Any, info: ValidationInfo) -> Any:
        if info.context == READING:
            self._check_number(value)
            if self.min_length is not None or self.max_length is not None:
                self._check_length(value)
            self._check_pattern(value)
        return value

    def _check_number(self, value: Any) -> None:
        if self.ge is not None and not value >= self.ge:
            raise PydanticKnownError("greater_than_equal", {"ge": self.ge})
        if self.le is not None and not value <= self.le:
            raise PydanticKnownError("less_than_equal", {"le": self.le})

    def _check_length(self, value: Any) -> None:
        size: dict[str, Any] = {} if isinstance(value, str) else {"field_type": "Tuple", "actual_length": len(value)}
        if self.min_length is not None and len(value) < self.min_length:
            raise PydanticKnownError("too_short" if size else "string_too_short", {"min_length": self.min_length, **size})
        if self.max_length is not None and len(value) > self.max_length:
            raise PydanticKnownError("too_long" if size else "string_too_long", {"max_length": self.max_length, **size})

    def _check_pattern(self, value: Any) -> None:
        if self.pattern is not None and not re.fullmatch(self.pattern, value):
            raise PydanticKnownError("string_pattern_mismatch", {"pattern": self.pattern})
