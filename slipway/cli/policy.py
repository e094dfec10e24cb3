"""`slipway policy lint`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from slipway.app.problems import FileError
from slipway.cli.common import AsJson
from slipway.cli.exits import Exit
from slipway.cli.out import Out
from slipway.errors import RefusedError
from slipway.policy.source import parse_policy
from slipway.text import pluralize


def policy(action: Literal["lint"], file: Path, /, *, as_json: AsJson = False) -> int:
    """Check a worker's policy (SLIPWAY_POLICY). Needs neither Temporal nor AWS.

    Args:
        action: What to do with the file.
        file: The policy.
        as_json: One problem a line, as JSON.
    """
    del action  # the only one
    if not file.is_file():
        raise RefusedError(f"looking for the policy {file}", "there is no such file", "name the file that SLIPWAY_POLICY names")
    out = Out(as_json=as_json)
    try:
        found = parse_policy(file.read_bytes(), str(file))
    except FileError as error:
        for problem in error.problems:
            out.say(str(problem))
            out.data(problem)
        out.say(pluralize(len(error.problems), "error"))
        return Exit.usage
    out.say(f"0 errors, {pluralize(len(found.apps), 'app')}")
    return Exit.ok
