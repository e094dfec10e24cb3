"""What several commands take, and what several say."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Annotated, TypeVar
from urllib.parse import quote

from cyclopts import Parameter, Token
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from slipway.app.durations import parse_duration
from slipway.errors import RefusedError

M = TypeVar("M", bound=BaseModel)
AsJson = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON, one object a line.")]
PromotionId = Annotated[str, Parameter(help="The promotion's id, as `slipway list` shows it.")]


def _duration(_kind: object, tokens: tuple[Token, ...]) -> timedelta:
    return parse_duration(tokens[0].value)


Length = Annotated[timedelta | None, Parameter(converter=_duration, n_tokens=1, metavar="DURATION")]
"""As 30s, 10m, 72h or 2d. The command's own docstring says what for: a help text here would hide it."""
By = Annotated[
    str | None,
    Parameter(
        name="--by",
        help="Who acts. Default: SLIPWAY_USER, or USER. Without a signature it is shown as claimed: nothing proves it.",
    ),
]
Reason = Annotated[str, Parameter(name="--reason", help="Why, for those who read it later.")]


def person(by: str | None) -> str:
    """Who acts.

    Raises:
        RefusedError: Nothing says it.
    """
    name = by or os.environ.get("SLIPWAY_USER") or os.environ.get("USER")
    if not name:
        raise RefusedError("finding out who you are", "neither --by nor SLIPWAY_USER is given", "add --by <your name>")
    return name


def checked(model: type[M], command: str, **values: object) -> M:
    """A model of what was typed.

    Args:
        model: The model; its fields have the names of the options.
        command: The command, for the error.
        **values: Its fields.

    Raises:
        RefusedError: A value is not allowed.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        wrong = "; ".join(map(_wrong, error.errors()))
        raise RefusedError("reading the command line", wrong, f"see `slipway {command} --help`") from error


def _wrong(error: ErrorDetails) -> str:
    """What is wrong with an option, or with several of them together."""
    option = f"--{str(error['loc'][0]).replace('_', '-')}: " if error["loc"] else ""
    return f"{option}{error['msg']}"


def ui_link(namespace: str, promotion_id: str) -> str:
    """The promotion's page in the Temporal UI that SLIPWAY_UI_URL names; empty where it names none."""
    address = os.environ.get("SLIPWAY_UI_URL", "").rstrip("/")
    return f"{address}/namespaces/{quote(namespace)}/workflows/{quote(promotion_id)}" if address else ""
