"""What is wrong in a file that somebody wrote, and where."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from slipway.errors import RefusedError
from slipway.text import pluralize

_SHOWN = 120
_LISTED = 50


class Severity(StrEnum):
    """Whether a problem refuses a promotion or is only shown."""

    error = "error"
    warning = "warning"


class Problem(BaseModel):
    """One thing that is wrong at one place of a file.

    Lines and columns count from one; zero means that the problem has no place in the text, as for a file that is missing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str
    line: int
    column: int
    path: str
    message: str
    help: str
    severity: Severity = Severity.error

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        path = f" {self.path}:" if self.path else ""
        return f"{place}: {self.severity.value}:{path} {self.message}; {self.help}"


def shown(value: object) -> str:
    """A value that was found, short enough for a message."""
    text = {None: "nothing", True: "true", False: "false"}[value] if value is None or isinstance(value, bool) else repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


class FileError(RefusedError):
    """A file that cannot be used, with everything that is wrong in it.

    Args:
        tried: What was tried with the file, as "reading promotion.yaml".
        problems: Every problem found, in the order of the text.
    """

    def __init__(self, tried: str, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        listed = "\n".join(str(problem) for problem in self.problems[:_LISTED])
        if len(self.problems) > _LISTED:
            listed += f"\nand {len(self.problems) - _LISTED} more"
        super().__init__(
            tried,
            f"{pluralize(len(self.problems), 'problem')}\n{listed}",
            "correct the file on the deployment branch and start again",
        )


class SpecError(FileError):
    """A `promotion.yaml` that does not say what Slipway may do."""
