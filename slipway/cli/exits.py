"""Exit codes and error messages, decided in one place."""

from __future__ import annotations

from enum import IntEnum

from cyclopts import CycloptsError
from temporalio.client import WorkflowFailureError, WorkflowQueryFailedError, WorkflowUpdateFailedError
from temporalio.service import RPCError, RPCStatusCode

from slipway.api import Outcome, PromotionStatus
from slipway.errors import Ending, FailureReport, RefusedError, SlipwayError


class Exit(IntEnum):
    """What the command's exit code says."""

    ok = 0
    technical = 1
    usage = 2
    otherwise = 3
    waiting = 4


EXPLAINED = """Exit codes:

0: done; with --wait or watch, the promotion was promoted.
1: a technical error.
2: wrong usage, or an input that was refused.
3: the promotion ended otherwise: refused, rejected, expired, aborted or rolled back.
4: --timeout passed while the promotion was running, waiting or parked."""


def exit_code(ending: PromotionStatus | BaseException) -> Exit:
    """The exit code of a promotion that was followed, or of an error."""
    match ending:
        case PromotionStatus(outcome=Outcome.promoted):
            return Exit.ok
        case PromotionStatus(outcome=None):
            return Exit.waiting
        case PromotionStatus():
            return Exit.otherwise
        case CycloptsError() | RefusedError() | WorkflowUpdateFailedError():
            return Exit.usage
        case _:
            return Exit.technical


def explain(error: Exception) -> FailureReport:
    """What was tried, what came back, and what to do."""
    match error:
        case SlipwayError():
            return error.report
        case CycloptsError():
            return _report("reading the command line", str(error), "see `slipway --help` and `slipway <command> --help`")
        case WorkflowUpdateFailedError():
            answered = getattr(error.cause, "message", None) or str(error.cause)
            return _report("telling the promotion", answered, "`slipway status <id>` shows where it is and what it takes")
        case WorkflowFailureError() | WorkflowQueryFailedError():
            return _report("asking the promotion", str(error.__cause__ or error), "see its history in the Temporal UI")
        case RPCError():
            return _of_rpc(error)
        case _:
            return _report("running the command", f"{type(error).__name__}: {error}", "report this with the command that you ran")


def _of_rpc(error: RPCError) -> FailureReport:
    message = error.message.lower()
    if error.status is RPCStatusCode.NOT_FOUND and "namespace" in message:
        return _report("asking Temporal", error.message, "run `slipway setup`, or set TEMPORAL_NAMESPACE")
    if error.status is RPCStatusCode.NOT_FOUND and "completed" in message:
        return _report("telling the promotion", "it is over", "`slipway status <id>` shows how; start it anew with --attempt")
    if error.status is RPCStatusCode.NOT_FOUND:
        return _report("looking for the promotion", error.message, "`slipway list` shows the promotions that are known")
    if "search attribute" in message:
        return _report("asking Temporal", error.message, "run `slipway setup`")
    if error.status in {RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED, RPCStatusCode.FAILED_PRECONDITION}:
        return _report("asking the promotion", error.message, "see that a worker runs (`slipway-worker`), then try again")
    return _report("asking Temporal", f"{error.status.name}: {error.message}", "see that it runs, and TEMPORAL_ADDRESS")


def _report(tried: str, answered: str, remedy: str) -> FailureReport:
    return FailureReport(ending=Ending.needs_person, tried=tried, answered=answered, remedy=remedy)
