"""`slipway lint`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from slipway.app.lint import read_app
from slipway.app.problems import Problem, Severity
from slipway.cli.common import AsJson
from slipway.cli.exits import Exit
from slipway.cli.out import Out
from slipway.errors import RefusedError
from slipway.git.process import FILE_LIMIT
from slipway.text import pluralize, printable

Form = Annotated[Literal["text", "github"], Parameter(name="--format")]


def lint(folder: Path = Path(), /, *, form: Form = "text", as_json: AsJson = False) -> int:
    """Check an application's files as a promotion would. Needs neither Temporal nor AWS.

    Args:
        folder: The application's folder, with app.pipecd.yaml and promotion.yaml.
        form: How problems are written: for people, or as annotations of a GitHub Actions job.
        as_json: One problem a line, as JSON.
    """
    if not folder.is_dir():
        raise RefusedError(f"looking for the folder {folder}", "it does not exist", "name the folder that holds promotion.yaml")
    out = Out(as_json=as_json)

    def read(path: str) -> bytes | None:
        return file_in(folder, path)

    problems = [problem.model_copy(update={"file": str(folder / problem.file)}) for problem in read_app(read).problems]
    for problem in problems:
        if form == "github" and not as_json:
            sys.stdout.write(f"{annotation(problem)}\n")
        else:
            out.say(str(problem))
            out.data(problem)
    errors = sum(problem.severity is Severity.error for problem in problems)
    out.say(f"{pluralize(errors, 'error')}, {pluralize(len(problems) - errors, 'warning')}")
    return Exit.usage if errors else Exit.ok


def file_in(folder: Path, path: str) -> bytes | None:
    """A file of the folder as the worker would read it from git: no symbolic link on the way to it, and of a bounded size.

    Raises:
        RefusedError: The worker would refuse it.
    """
    file = folder / path
    tried = f"reading {file}"
    try:
        if any((folder / part).is_symlink() for part in (Path(path), *Path(path).parents[:-1])):
            raise RefusedError(tried, "it is a symbolic link, or in a folder that is one", "put a file there")
        if not file.is_file():
            return None
        size = file.stat().st_size
        if size > FILE_LIMIT:
            raise RefusedError(tried, f"it has {size:,} bytes", f"keep it under {FILE_LIMIT:,} bytes")
        return file.read_bytes()
    except OSError as error:
        # A name that is too long, or a file that this user may not read.
        raise RefusedError(tried, error.strerror or str(error), "put a file there that can be read") from error


def annotation(problem: Problem) -> str:
    """A workflow command of GitHub Actions, which marks the line in a pull request."""
    place = [f"file={_property(problem.file)}"]
    if problem.line:
        place += [f"line={problem.line}", f"col={problem.column}"]
    path = f"{problem.path}: " if problem.path else ""
    return f"::{problem.severity.value} {','.join(place)}::{_value(printable(f'{path}{problem.message}; {problem.help}'))}"


def _value(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _value(printable(text)).replace(":", "%3A").replace(",", "%2C")
