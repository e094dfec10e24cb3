"""Exit codes, decided in one place."""

from __future__ import annotations

from enum import IntEnum

from slipway.errors import Ending, FailureReport


class Exit(IntEnum):
    """What the command's exit code says."""

    ok = 0
    technical = 1
    usage = 2
    not_promoted = 3
    waiting = 4


EXPLAINED = """Exit codes:

0: done; with --wait or watch, the promotion was promoted.
1: a technical error.
2: wrong usage, or an input or command that was refused; with plan, the promotion would be.
3: the promotion was not promoted: it was refused, rejected, expired, aborted or rolled back.
4: --timeout passed while the promotion was running, waiting or parked."""


def report(tried: str, answered: str, remedy: str) -> FailureReport:
    """An error as it is printed."""
    return FailureReport(ending=Ending.needs_person, tried=tried, answered=answered, remedy=remedy)
