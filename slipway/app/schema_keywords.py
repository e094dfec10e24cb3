"""The keywords of JSON Schema as they are applied to what strangers write: counted, and matched in linear time."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NoReturn, cast

from slipway.app.expressions import compiled

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError
    from jsonschema.protocols import Validator

STEPS_LIMIT = 100_000
"""Keywords that are applied, and values that they go through, in one comparison: a few seconds."""
NOT_APPLIED = frozenset({"$dynamicRef", "$recursiveRef", "unevaluatedItems", "unevaluatedProperties"})
"""Keywords that the library applies by functions that nothing counts."""
_LOOPS = frozenset({"contains", "propertyNames", "patternProperties", "additionalProperties", "uniqueItems"})
"""Keywords that go through a value by themselves. What they descend into is counted where it is applied."""
_REFERENCE_STEPS = 3
"""What a reference costs, which is looked up each time."""
_EXPRESSIONS_KEPT = 256
_NAMES_SHOWN = 5

Keyword = Callable[["Validator", Any, Any, Mapping[str, Any]], "Iterator[ValidationError] | None"]


class NotComparedError(Exception):
    """The comparison takes more steps than it may, or uses what is not applied."""


class _Steps:
    """Counts the steps of one comparison."""

    def __init__(self) -> None:
        self._left = STEPS_LIMIT

    def take(self, number: int) -> None:
        self._left -= number
        if self._left < 0:
            raise NotComparedError(f"it takes more than {STEPS_LIMIT:,} steps")


def library() -> Any:
    """The library, which has no complete types. Commands that check no schema start without it."""
    import jsonschema  # noqa: PLC0415

    return jsonschema


def guarded(of_draft: Any) -> Any:
    """A class of the library for one comparison, whose keywords are counted and match by RE2.

    Args:
        of_draft: The library's class for a draft.
    """
    steps = _Steps()
    found: Mapping[str, Keyword] = of_draft.VALIDATORS
    own: dict[str, Keyword] = {
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
        "additionalProperties": _additional_properties,
        "uniqueItems": _unique_items,
        "multipleOf": _multiple_of,
        **dict.fromkeys(found.keys() & NOT_APPLIED, _refused),
    }
    counted = {keyword: _counted(keyword, function, steps) for keyword, function in {**found, **own}.items()}
    return library().validators.extend(of_draft, counted)


def _counted(keyword: str, function: Keyword, steps: _Steps) -> Keyword:
    def apply(validator: Validator, value: Any, instance: Any, schema: Mapping[str, Any]) -> Iterator[ValidationError] | None:
        width = len(cast("Any", value)) if isinstance(value, dict | list) else 1
        loops = len(cast("Any", instance)) if keyword in _LOOPS and isinstance(instance, dict | list) else 1
        steps.take(_REFERENCE_STEPS if keyword == "$ref" else width * loops)
        return function(validator, value, instance, schema)

    return apply


def _refused(validator: Validator, value: Any, instance: Any, schema: Mapping[str, Any]) -> NoReturn:
    del validator, value, instance, schema
    raise NotComparedError("it uses a keyword that is not supported")


@functools.lru_cache(_EXPRESSIONS_KEPT)
def _expression(pattern: str) -> Any:
    return compiled(pattern)


def _matches(pattern: str, text: str) -> bool:
    return _expression(pattern).search(text.encode(errors="replace")) is not None


def _pattern(validator: Validator, value: Any, instance: Any, schema: Mapping[str, Any]) -> Iterator[ValidationError]:
    from jsonschema.exceptions import ValidationError  # noqa: PLC0415

    del schema
    if validator.is_type(instance, "string") and not _matches(value, instance):
        yield ValidationError("does not match")


def _pattern_properties(validator: Any, value: Any, instance: Any, schema: Mapping[str, Any]) -> Iterator[ValidationError]:
    del schema
    if validator.is_type(instance, "object"):
        for pattern, inner in value.items():
            for name, each in instance.items():
                if _matches(pattern, name):
                    yield from validator.descend(each, inner, path=name, schema_path=pattern)


def _additional_properties(validator: Any, value: Any, instance: Any, schema: Mapping[str, Any]) -> Iterator[ValidationError]:
    from jsonschema.exceptions import ValidationError  # noqa: PLC0415

    if not validator.is_type(instance, "object"):
        return
    named, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    extra = [name for name in instance if name not in named and not any(_matches(pattern, name) for pattern in patterns)]
    if value is False:
        if extra:
            yield ValidationError(f"has {', '.join(map(repr, extra[:_NAMES_SHOWN]))}, which the schema does not name")
        return
    for name in extra:
        yield from validator.descend(instance[name], value, path=name)


def _unique_items(validator: Any, value: Any, instance: Any, schema: Mapping[str, Any]) -> Iterator[ValidationError]:
    """The library compares each item with each where they cannot be sorted."""
    from jsonschema.exceptions import ValidationError  # noqa: PLC0415

    del schema
    if not value or not validator.is_type(instance, "array"):
        return
    if len({json.dumps(each, sort_keys=True) for each in instance}) < len(instance):
        yield ValidationError("has an item twice")


def _multiple_of(validator: Validator, value: Any, instance: Any, schema: Mapping[str, Any]) -> Iterator[ValidationError]:
    """By the digits as they are written: the library divides binary fractions, and 19.99 is no multiple of 0.01 for it."""
    from jsonschema.exceptions import ValidationError  # noqa: PLC0415

    del schema
    if validator.is_type(instance, "number") and not _is_multiple(repr(instance), repr(value)):
        yield ValidationError("is no multiple")


def _is_multiple(number: str, of: str) -> bool:
    try:
        return Fraction(number) % Fraction(of) == 0
    except ValueError:  # NaN, and 1e999
        return False
