"""The JSON Schema that the answer to a smoke request is held against. Both are written by strangers.

The library would load remote references, match with Python's expressions and follow references without an end. Here nothing is
loaded, expressions are RE2's, which take linear time, and the whole comparison has a number of steps.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn, Self, cast

from slipway.app.expressions import compiled
from slipway.app.schema_keywords import guarded, library
from slipway.errors import cap
from slipway.text import one_line

SCHEMA_LIMIT = 64_000
"""Bytes of the file."""
DEPTH_LIMIT = 64
"""Objects and lists within each other in the file."""
_ERRORS_COMPARED = 100
_SHOWN = 100
"""Characters of a value that are told."""
_DIALECTS = {
    "https://json-schema.org/draft/2020-12/schema": "Draft202012Validator",
    "http://json-schema.org/draft-07/schema": "Draft7Validator",
}
_REFUSED = {
    "$id": "gives a part of the schema an address of its own",
    "$schema": "is for the top of the file",
    "$dynamicRef": "is followed by no fixed rule",
    "$recursiveRef": "is followed by no fixed rule",
    "unevaluatedItems": "is not supported; write items",
    "unevaluatedProperties": "is not supported; write additionalProperties",
}
_SCHEMAS_BY_NAME = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies"})
"""Keywords whose value has names of the team's as keys."""
_DATA = frozenset({"enum", "const", "default", "examples"})
_SAYS_IT_BETTER = frozenset({"required", "additionalProperties", "dependentRequired", "contains", None})
"""Keywords whose own words name what is missing or too much."""


class AnswerSchema:
    """A schema that may be used.

    Args:
        schema: What the file holds, but for `$schema`.
        dialect: The name of the library's class for its draft.
    """

    def __init__(self, schema: Mapping[str, Any], dialect: str) -> None:
        self._schema = schema
        self._dialect = dialect

    @classmethod
    def parse(cls, content: bytes) -> Self:
        """Reads a file.

        Raises:
            ValueError: It is no schema, or one that is not taken; as the end of a sentence about the file.
        """
        if len(content) > SCHEMA_LIMIT:
            raise ValueError(f"has {len(content):,} bytes; at most {SCHEMA_LIMIT:,} are read")
        try:
            document: Any = json.loads(content, parse_constant=_no_number)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"is not JSON: {one_line(str(error))}") from error
        if not isinstance(document, dict):
            raise ValueError("is not a JSON object")  # noqa: TRY004 -- a rule on what people write
        schema = dict(cast("dict[str, Any]", document))
        named = str(schema.pop("$schema", next(iter(_DIALECTS))))
        dialect = _DIALECTS.get(named.rstrip("#"))
        if dialect is None:
            raise ValueError(f"is of the draft {cap(one_line(named), _SHOWN)}; taken are {' and '.join(_DIALECTS)}")
        made = cls(schema, dialect)
        _check(schema, schema)
        made._check_schema()
        return made

    def objection(self, answer: Any) -> str:
        """Where an answer is not what the schema says, with what is wanted there; empty where it is.

        Args:
            answer: A JSON document.
        """
        best_match = library().exceptions.best_match
        validator = guarded(getattr(library(), self._dialect))(self._schema, registry=_registry())
        try:
            worst = best_match(itertools.islice(validator.iter_errors(answer), _ERRORS_COMPARED))
            return _said(worst) if worst else ""
        except Exception as error:  # noqa: BLE001 -- whatever a stranger's schema makes the library raise, the answer is not right
            return f"the answer cannot be held against the schema: {cap(one_line(_words(error)), _SHOWN)}"

    def _check_schema(self) -> None:
        """Hold the schema against the schema of schemas, and look for what it refers to."""
        of_draft = getattr(library(), self._dialect)
        try:
            of_draft.check_schema(self._schema, format_checker=library().FormatChecker(formats=()))
        except library().exceptions.SchemaError as error:
            raise ValueError(f"is no JSON Schema: {_said(error)}") from error
        except RecursionError as error:
            raise ValueError("is nested too deeply") from error


def _check(root: Mapping[str, Any], part: Any, depth: int = 0) -> None:
    """What the schema of schemas does not forbid, but cannot be used here.

    Raises:
        ValueError: Something is there.
    """
    if depth > DEPTH_LIMIT:
        raise ValueError(f"is nested more than {DEPTH_LIMIT} deep")
    if isinstance(part, dict):
        for keyword, value in cast("dict[str, Any]", part).items():
            _check_keyword(root, keyword, value, is_top=not depth)
    for inner in _schemas_in(part):
        _check(root, inner, depth + 1)


def _check_keyword(root: Mapping[str, Any], keyword: str, value: Any, *, is_top: bool) -> None:
    if keyword in _REFUSED and not (is_top and keyword == "$id"):
        raise ValueError(f"has {keyword}, which {_REFUSED[keyword]}")
    match keyword, value:
        case "$ref", _:
            _check_reference(root, value)
        case "pattern", str():
            _check_expression(value)
        case "patternProperties", dict():
            for pattern in cast("dict[str, Any]", value):
                _check_expression(pattern)
        case _:
            pass


def _schemas_in(part: Any) -> Iterator[Any]:
    """What may be a schema in a part of one."""
    if isinstance(part, list):
        yield from cast("list[Any]", part)
    elif isinstance(part, dict):
        for keyword, value in cast("dict[str, Any]", part).items():
            if keyword in _SCHEMAS_BY_NAME and isinstance(value, dict):
                yield from cast("dict[str, Any]", value).values()
            elif keyword not in _DATA:
                yield value


def _check_reference(root: Mapping[str, Any], reference: Any) -> None:
    """A reference leads to a part of the same file: nothing is loaded."""
    from referencing.exceptions import Unresolvable  # noqa: PLC0415
    from referencing.jsonschema import DRAFT202012  # noqa: PLC0415

    shown = cap(one_line(repr(reference)), _SHOWN)
    if not isinstance(reference, str) or not reference.startswith("#"):
        raise ValueError(f"refers to {shown}; only parts of the same file are taken, as #/$defs/name")
    inner = {name: value for name, value in root.items() if name != "$id"}
    try:
        _registry().resolver_with_root(DRAFT202012.create_resource(inner)).lookup(reference)
    except (Unresolvable, ValueError, TypeError) as error:
        raise ValueError(f"refers to {shown}, which is not there") from error


def _check_expression(pattern: str) -> None:
    try:
        compiled(pattern)
    except ValueError as error:
        raise ValueError(f"has the expression {cap(one_line(repr(pattern)), _SHOWN)}, which {error}") from error


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number of JSON")


def _registry() -> Any:
    """One that knows nothing and loads nothing."""
    from referencing import Registry  # noqa: PLC0415 -- commands that check no schema start without it

    made: Any = Registry
    return made()


def _words(error: Exception) -> str:
    return "it refers to itself without an end, or is nested too deeply" if isinstance(error, RecursionError) else str(error)


def _said(error: Any) -> str:
    """What is wrong, with its place and what is wanted there."""
    place = _path(error)
    if error.validator in _SAYS_IT_BETTER:
        return f"{place}: {cap(one_line(error.message), 2 * _SHOWN)}"
    found, wanted = cap(one_line(_json(error.instance)), _SHOWN), cap(one_line(_json(error.validator_value)), _SHOWN)
    return f"{place} is {found}, and {error.validator}: {wanted} is wanted"


def _path(error: Any) -> str:
    steps = [f"[{step}]" if isinstance(step, int) else f".{one_line(str(step))}" for step in error.absolute_path]
    return cap("".join(steps).removeprefix("."), 2 * _SHOWN) or "the top level"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
