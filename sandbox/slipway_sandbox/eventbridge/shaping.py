"""The body that a target gets: the event, a part of it, a constant, or a filled-in template."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

PLACE = re.compile(r"<(?P<name>[^<>\s]+)>")
STEP = re.compile(r"\.(?P<name>[^.\[\]]+)|\[(?:'(?P<quoted>[^']+)'|(?P<index>\d+))\]")


def body_of(target: Mapping[str, Any], event: Mapping[str, Any], rule: Mapping[str, str]) -> str:
    """The text that a target gets.

    Args:
        target: As PutTargets has it.
        event: The whole event.
        rule: The variables that EventBridge itself knows, by name.
    """
    if target.get("Input"):
        return str(target["Input"])
    if target.get("InputPath"):
        return json.dumps(at(target["InputPath"], event))
    transformer = target.get("InputTransformer")
    if not transformer:
        return json.dumps(event)
    values: dict[str, Any] = {name: at(path, event) for name, path in transformer.get("InputPathsMap", {}).items()}
    values |= {**rule, "aws.events.event": {**event, "detail": None}, "aws.events.event.json": event}
    return filled(transformer["InputTemplate"], values)


def filled(template: str, values: Mapping[str, Any]) -> str:
    """A template with its variables put in: quoted where they stand for a value, bare within quotation marks."""

    def put(found: re.Match[str]) -> str:
        if found["name"] not in values:
            return found[0]
        value = values[found["name"]]
        if template.count('"', 0, found.start()) % 2:
            text = value if isinstance(value, str) else json.dumps(value)
            return json.dumps(text)[1:-1]
        return json.dumps(value) if not isinstance(value, str) or _is_json(template) else value

    return PLACE.sub(put, template)


def _is_json(template: str) -> bool:
    """Whether a template is an object or a list, in which values stand for themselves."""
    return template.lstrip().startswith(("{", "["))


def at(path: str, event: Mapping[str, Any]) -> Any:
    """What a path such as `$.detail.containers[0].name` leads to; None where there is nothing."""
    found: Any = event
    for step in STEP.finditer(path.removeprefix("$")):
        name = step["name"] or step["quoted"]
        try:
            found = found[name or int(step["index"])]
        except (KeyError, IndexError, TypeError):
            return None
    return found
