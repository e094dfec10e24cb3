"""How what is live differs from what would be there afterwards, field by field. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from pydantic import BaseModel, ConfigDict

from slipway.errors import cap
from slipway.text import one_line

NONE = "(none)"
HIDDEN = "(not shown)"
VALUE_LIMIT = 300
"""Characters of one value."""
FIELDS_LIMIT = 100
"""Fields of one difference; more are counted."""
_NAMES = ("name", "Name", "VariantName", "ContainerHostname", "containerPath", "containerPort")
"""Members that name an entry of a list, whatever its place."""
_FILLED_IN: Mapping[str, Any] = {"essential": True, "protocol": "tcp"}
"""What AWS fills in where nothing is written."""
_VALUES_HIDDEN = "environment"
"""Values below a member of this name may be secrets. Their names are shown, and whether they change."""


class FieldChange(BaseModel):
    """One field that would change."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    field: str
    """As `ProductionVariants[AllTraffic].InstanceType`."""
    live: str
    """Empty where there is none now."""
    after: str
    """Empty where there is none afterwards."""

    @property
    def line(self) -> str:
        """The change in one line."""
        return f"{self.field}: {self.live or NONE} → {self.after or NONE}"


def changes_between(live: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[FieldChange, ...]:
    """The fields that differ, in the order of what would be there afterwards; what goes away comes last.

    What AWS fills in by itself is no difference. The values of environment variables are not shown.

    Args:
        live: What is there, as AWS describes it.
        after: What would be asked for.
    """
    before, wanted = dict(_fields(live, ())), dict(_fields(after, ()))
    found = [
        FieldChange(field=name, live=_shown(name, before.get(name)), after=_shown(name, value))
        for name, value in wanted.items()
        if name not in before or before[name] != value
    ]
    found += [
        FieldChange(field=name, live=_shown(name, value), after="")
        for name, value in before.items()
        if name not in wanted and not _is_filled_in(name, value)
    ]
    if len(found) > FIELDS_LIMIT:
        more = FieldChange(field=f"and {len(found) - FIELDS_LIMIT} fields more", live="", after="")
        return (*found[:FIELDS_LIMIT], more)
    return tuple(found)


def _fields(value: Any, path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """Every value that is not empty, by its path."""
    match value:
        case dict():
            for name, each in cast("dict[str, Any]", value).items():
                yield from _fields(each, (*path, name))
        case list() | tuple():
            items = list(cast("Sequence[Any]", value))
            if all(isinstance(each, Mapping) for each in items):
                for key, each in _named(cast("list[Mapping[str, Any]]", items)):
                    yield from _fields(each, (*path[:-1], f"{path[-1]}[{key}]") if path else (f"[{key}]",))
            else:
                yield ".".join(path), items
        case None | "":
            return
        case _:
            yield ".".join(path), value


def _named(items: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The entries of a list by their names, where each has one of its own; else by their places."""
    name = next((each for each in _NAMES if len({str(item.get(each, "")) for item in items} - {""}) == len(items)), None)
    for place, item in enumerate(items):
        key = str(item[name]) if name else str(place)
        yield key, {member: value for member, value in item.items() if member != name}


def _is_filled_in(name: str, value: Any) -> bool:
    return value in (False, 0) or _FILLED_IN.get(name.rpartition(".")[2]) == value


def _shown(name: str, value: Any) -> str:
    if value is None:
        return ""
    if any(part.partition("[")[0].lower() == _VALUES_HIDDEN for part in name.split(".")):
        return HIDDEN
    match value:
        case bool():
            text = str(value).lower()
        case list():
            text = ", ".join(map(str, cast("list[Any]", value)))
        case dict():
            text = json.dumps(value, default=str)
        case float():
            text = f"{value:.10g}"
        case _:
            text = str(value)
    return cap(one_line(text), VALUE_LIMIT)
