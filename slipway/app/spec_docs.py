"""Writes the spec's reference and its JSON Schema from the models: `python -m slipway.app.spec_docs`."""

from __future__ import annotations

import json
import types
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import AfterValidator, BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from slipway.app.durations import format_duration
from slipway.app.rules import Bounds
from slipway.app.spec import ModelPromotion
from slipway.app.spec_reader import meanings_of, model_in

ROOT = Path(__file__).parents[2]
SCHEMA_FILE = ROOT / "promotion.schema.json"
REFERENCE_FILE = ROOT / "docs" / "spec.md"
_HEAD = """# The spec: `promotion.yaml`

Beside `app.pipecd.yaml`, on the deployment branch. What counts is the file there, at the commit that a promotion pins, never one
that a sender brings.

Unknown keys are errors. Durations are a whole number and a unit: `30s`, `10m`, `72h`, `2d`. `slipway lint` checks the file, and
checks it against `app.pipecd.yaml` and `taskdef.yaml`. Editors that know JSON Schema complete and check it with this first line:

```yaml
# yaml-language-server: $schema=<path or address of promotion.schema.json>
```

This page is made from the models in `slipway/app/spec.py` by `python -m slipway.app.spec_docs`.
"""


def schema(root: type[BaseModel] = ModelPromotion) -> str:
    """The JSON Schema of a file, by default of `promotion.yaml`."""
    document = root.model_json_schema(by_alias=True, mode="validation")
    for model in _models(root):
        place = document if model is root else document["$defs"][model.__name__]
        _describe(place["properties"], model)
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return json.dumps({**dialect, **document}, indent=2, ensure_ascii=False) + "\n"


def _describe(properties: dict[str, Any], model: type[BaseModel]) -> None:
    meanings = meanings_of(model)
    for name, field in model.model_fields.items():
        key = field.alias or name
        if name in meanings:
            properties[key] = dict(sorted({**properties[key], "description": meanings[name]}.items()))


def _models(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    yield model
    for field in model.model_fields.values():
        if inner := model_in(field.annotation):
            yield from _models(inner)


def reference(head: str = _HEAD, root: type[BaseModel] = ModelPromotion) -> str:
    """The reference of a file as Markdown, by default of `promotion.yaml`."""
    return "\n".join([head, *_sections(root, "", set())])


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
    meanings = meanings_of(model)
    for name, field in model.model_fields.items():
        yield f"| `{field.alias or name}` | {_type(field)} | {_default(field)} | {_paragraph(meanings.get(name))} |"
    yield from _rules(model)
    yield ""
    for name, field in model.model_fields.items():
        inner = model_in(field.annotation)
        if inner and inner not in seen:
            suffix = "[]" if get_origin(field.annotation) is tuple else ""
            yield from _sections(inner, f"{path}.{field.alias or name}{suffix}".lstrip("."), seen)


def _rules(model: type[BaseModel]) -> Iterator[str]:
    for validator in model.__pydantic_decorators__.model_validators.values():
        yield f"\n{_paragraph(validator.func.__doc__)}"


def _paragraph(text: str | None) -> str:
    return " ".join((text or "").split())


def _type(field: FieldInfo) -> str:
    return ", ".join([_named(field.annotation), *_bounds(field.metadata)])


def _named(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return " or ".join(f"`{value}`" for value in get_args(annotation))
    if get_origin(annotation) in (Union, types.UnionType):
        return " or ".join(_named(part) for part in get_args(annotation) if part is not type(None))
    if get_origin(annotation) is tuple:
        item = _named(get_args(annotation)[0])
        return f"list of ({item})" if "," in item else f"list of {item}"
    if hasattr(annotation, "__metadata__"):
        return ", ".join([_named(annotation.__origin__), *_bounds(annotation.__metadata__)])
    return {"str": "text", "int": "whole number", "float": "number", "bool": "true or false", "timedelta": "duration"}.get(
        annotation.__name__, "mapping"
    )


def _bounds(metadata: Iterable[Any]) -> Iterator[str]:
    """Bounds in words; the key's meaning describes a pattern, and the schema has it in full."""
    words = {"ge": "at least {}", "le": "at most {}", "min_length": "at least {} long", "max_length": "at most {} long"}
    for item in metadata:
        match item:
            case Bounds():
                yield from (text.format(bound) for name, text in words.items() if (bound := getattr(item, name)) is not None)
            case AfterValidator(func=check) if check.__doc__:
                yield check.__doc__
            case _:
                pass


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


if __name__ == "__main__":
    main()
