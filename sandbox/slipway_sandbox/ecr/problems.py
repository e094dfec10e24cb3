"""The first problem of an invalid manifest or policy."""

from __future__ import annotations

from pydantic import ValidationError


def first_problem(error: ValidationError, separator: str) -> tuple[str, str]:
    """Where the first problem is, by members with the separator between them (nothing for the whole text), and what it is."""
    problem = error.errors(include_url=False, include_input=False)[0]
    return separator.join(str(part) for part in problem["loc"]), problem["msg"]
