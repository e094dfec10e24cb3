"""Writes the spec's reference and its JSON Schema from the models: `python -m slipway.app.spec_docs`."""

from __future__ import annotations

import ast
import inspect
import json
import types
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from slipway.app.durations import format_duration
from slipway.app.spec import ModelPromotion

ROOT = Path(__file__).parents[2]
SCHEMA_FILE = ROOT / "promotion.schema.json"
REFERENCE_FILE = ROOT / "docs" / "spec.md"
_HEAD = """# The spec: `promotion.yaml`

Beside `app.pipecd.yaml`, on the deployment branch. What counts is the file there, at the commit that a promotion pins, never one
that a sender brings.

Unknown keys are errors. Durations are a whole number and a unit: `30s`, `10m`, `72h`, `2d`. `slipway lint` checks the file, and
holds it against `app.pipecd.yaml` and `taskdef.yaml`. Editors that know JSON Schema complete and check it with this first line:

```yaml
# yaml-language-server: $schema=<path or address of promotion.schema.json>
```

This page is made from the models in `slipway/app/spec.py` by `python -m slipway.app.spec_docs`.
"""


def schema() -> str:
    """The JSON Schema of the file."""
    document = ModelPromotion.model_json_schema(by_alias=True, mode="validation")
    for model in _models(ModelPromotion):
        place = document if model is ModelPromotion else document["$defs"][model.__name__]
        _describe(place["properties"], model)
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return json.dumps({**dialect, **document}, indent=2, ensure_ascii=False) + "\n"


def _describe(properties: dict[str, Any], model: type[BaseModel]) -> None:
    meanings = _meanings(model)
    for name, field in model.model_fields.items():
        key = field.alias or name
        if name in meanings:
            properties[key] = dict(sorted({**properties[key], "description": meanings[name]}.items()))


def _meanings(model: type[BaseModel]) -> dict[str, str]:
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


def _models(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    yield model
    for field in model.model_fields.values():
        if inner := _model_in(field.annotation):
            yield from _models(inner)


def reference() -> str:
    """The reference as Markdown."""
    return "\n".join([_HEAD, *_sections(ModelPromotion, "", set())])


def main() -> None:
    """Writes both files."""
    SCHEMA_FILE.write_text(schema())
    REFERENCE_FILE.parent.mkdir(exist_ok=True)
    REFERENCE_FILE.write_text(reference())


def _sections(model: type[BaseModel], path: str, seen: set[type[BaseModel]]) -> Iterator[str]:
    seen.add(model)
    yield f"## {f'`{path}`' if path else 'The file'}\n"
    yield f"{_paragraph(model.__doc__)}\n"
    yield "| Key | Type | Default | Meaning |\n|---|---|---|---|"
    meanings = _meanings(model)
    for name, field in model.model_fields.items():
        yield f"| `{field.alias or name}` | {_type(field)} | {_default(field)} | {_paragraph(meanings.get(name))} |"
    yield from _rules(model)
    yield ""
    for name, field in model.model_fields.items():
        inner = _model_in(field.annotation)
        if inner and inner not in seen:
            suffix = "[]" if get_origin(field.annotation) is tuple else ""
            yield from _sections(inner, f"{path}.{field.alias or name}{suffix}".lstrip("."), seen)


def _rules(model: type[BaseModel]) -> Iterator[str]:
    for validator in model.__pydantic_decorators__.model_validators.values():
        yield f"\n{_paragraph(validator.func.__doc__)}"


def _paragraph(text: str | None) -> str:
    return " ".join((text or "").split())


def _type(field: FieldInfo) -> str:
    words = _named(field.annotation)
    rules = [rule for item in field.metadata if (rule := _rule(item))]
    return f"{words}, {', '.join(rules)}" if rules else words


def _named(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return " or ".join(f"`{value}`" for value in get_args(annotation))
    if get_origin(annotation) in (Union, types.UnionType):
        return " or ".join(_named(part) for part in get_args(annotation) if part is not type(None))
    if get_origin(annotation) is tuple:
        item = _named(get_args(annotation)[0])
        return f"list of ({item})" if "," in item else f"list of {item}"
    if hasattr(annotation, "__metadata__"):
        return _with_rules(annotation)
    return {"str": "text", "int": "whole number", "float": "number", "bool": "true or false", "timedelta": "duration"}.get(
        annotation.__name__, "mapping"
    )


def _with_rules(annotation: Any) -> str:
    rules = [rule for item in annotation.__metadata__ for part in _parts(item) if (rule := _rule(part))]
    return ", ".join([_named(annotation.__origin__), *rules])


def _parts(item: Any) -> list[Any]:
    return list(item.metadata) if isinstance(item, FieldInfo) else [item]


def _rule(item: Any) -> str:
    """A bound in words; a pattern is told by the key's meaning, and in full by the schema."""
    names = {"ge": "at least {}", "le": "at most {}", "max_length": "at most {} long", "min_length": "at least {} long"}
    for name, words in names.items():
        if (value := getattr(item, name, None)) is not None:
            return words.format(value)
    check = getattr(item, "func", None)
    bounds = getattr(check, "__doc__", "") or ""
    return bounds if " to " in bounds and len(bounds.split()) == 3 else ""  # noqa: PLR2004 -- "10s to 24h"


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return "required"
    match field.default:
        case None | ():
            return ""
        case BaseModel():
            return "as below"
        case bool() as value:
            return f"`{str(value).lower()}`"
        case str() | int() | float() as value:
            return f"`{value}`"
        case value:
            return f"`{format_duration(value)}`"


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part))), None)


if __name__ == "__main__":
    main()
