"""What an error means to somebody who typed a command. Imports no SDK: `slipway --help` needs none."""

from __future__ import annotations

from cyclopts import CycloptsError

from slipway.cli.exits import Exit, report
from slipway.errors import FailureReport, RefusedError, SlipwayError


def explain(error: BaseException) -> tuple[Exit, FailureReport]:
    """The exit code of an error; and what was tried, what came back, and what to do."""
    match error:
        case RefusedError():
            return Exit.usage, error.report
        case SlipwayError():
            return Exit.technical, error.report
        case CycloptsError():
            remedy = "see `slipway --help` and `slipway <command> --help`"
            return Exit.usage, report("reading the command line", str(error), remedy)
        case _ if type(error).__module__.startswith("temporalio."):
            # Only a command that has imported the SDK can raise its errors.
            from slipway.cli.temporal_errors import explain_temporal  # noqa: PLC0415

            return explain_temporal(error)
        case _:
            answered = f"{type(error).__name__}: {error}"
            return Exit.technical, report("running the command", answered, "report this with the command that you ran")
