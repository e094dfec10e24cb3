"""`slipway lint`."""

from __future__ import annotations

from pathlib import Path

from slipway.app.lint import read_app
from slipway.app.problems import Severity
from slipway.cli.common import AsJson
from slipway.cli.exits import Exit
from slipway.cli.out import Out
from slipway.errors import RefusedError
from slipway.text import counted


def lint(folder: Path = Path(), /, *, as_json: AsJson = False) -> int:
    """Check an application's files as a promotion would. Needs neither Temporal nor AWS.

    Args:
        folder: The application's folder, with app.pipecd.yaml and promotion.yaml.
        as_json: One problem a line, as JSON.
    """
    if not folder.is_dir():
        raise RefusedError(f"looking for the folder {folder}", "it is not there", "name the folder that holds promotion.yaml")
    out = Out(as_json=as_json)

    def read(path: str) -> bytes | None:
        file = folder / path
        return file.read_bytes() if file.is_file() else None

    problems = read_app(read).problems
    for problem in problems:
        out.say(str(problem))
        out.data(problem)
    errors = [problem for problem in problems if problem.severity is Severity.error]
    out.say(f"{counted(len(errors), 'error')}, {counted(len(problems) - len(errors), 'warning')}")
    return Exit.usage if errors else Exit.ok
