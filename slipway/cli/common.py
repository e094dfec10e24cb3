"""What several commands take."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Annotated

from cyclopts import Parameter, Token

from slipway.app.durations import parse_duration
from slipway.errors import RefusedError

AsJson = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON, one object a line.")]
PromotionId = Annotated[str, Parameter(help="The promotion's id, as `slipway list` shows it.")]


def _duration(_kind: object, tokens: tuple[Token, ...]) -> timedelta:
    return parse_duration(tokens[0].value)


Length = Annotated[timedelta | None, Parameter(converter=_duration, n_tokens=1)]
"""As 30s, 10m, 72h or 2d. The command's own docstring says what for: a help text here would hide it."""
By = Annotated[
    str | None,
    Parameter(name="--by", help="Who acts. Absent: SLIPWAY_USER, or USER. Shown as claimed: nothing proves it."),
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
