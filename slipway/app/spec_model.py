"""The base of the models of files that people write."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict
from pydantic.alias_generators import to_camel

_EXPONENT = re.compile(r"[-+]?[0-9]+[eE][-+]?[0-9]+")


def _with_exponent(value: Any) -> Any:
    """YAML 1.1 takes `1e-3` for a text, as it has no point; JSON and YAML 1.2 take it for a number."""
    return float(value) if isinstance(value, str) and _EXPONENT.fullmatch(value) else value


Number = Annotated[float, BeforeValidator(_with_exponent)]
"""A number that people write, as `0.9` or `1e-3`."""


class SpecModel(BaseModel):
    """Base of all parts of the spec."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        json_schema_extra={"additionalProperties": False},
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        allow_inf_nan=False,
        defer_build=True,
    )
