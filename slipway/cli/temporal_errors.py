"""What Temporal's errors mean to somebody who typed a command."""

from __future__ import annotations

from temporalio.api.errordetails.v1 import PermissionDeniedFailure
from temporalio.client import WorkflowFailureError, WorkflowQueryFailedError, WorkflowUpdateFailedError
from temporalio.service import RPCError, RPCStatusCode

from slipway.cli.exits import Exit, report
from slipway.errors import FailureReport

UNFOLLOWED = "TMPRL1100"
"""The SDK's code for a history that the workflow's code does not follow."""


def explain_temporal(error: BaseException) -> tuple[Exit, FailureReport]:
    """The exit code, and what to do."""
    match error:
        case WorkflowUpdateFailedError():
            answered = getattr(error.cause, "message", None) or str(error.cause)
            return Exit.usage, report("sending the command", answered, "`slipway status` shows where the promotion is")
        case WorkflowQueryFailedError() if UNFOLLOWED in str(error):
            remedy = "see its page in the Temporal UI, and `Workflow tasks that fail` in docs/operations.md"
            return Exit.technical, report("asking the promotion", f"no worker can follow its history: {error}", remedy)
        case WorkflowFailureError() | WorkflowQueryFailedError():
            return Exit.technical, report("asking the promotion", str(error.__cause__ or error), "see it in the Temporal UI")
        case RPCError():
            return _explain_rpc(error)
        case _:
            return Exit.technical, report("asking Temporal", f"{type(error).__name__}: {error}", "see the Temporal server's log")


def _explain_rpc(error: RPCError) -> tuple[Exit, FailureReport]:
    message = error.message.lower()
    match error.status:
        case RPCStatusCode.NOT_FOUND if "namespace" in message:
            return Exit.technical, report("asking Temporal", error.message, "run `slipway setup`, or set TEMPORAL_NAMESPACE")
        case RPCStatusCode.NOT_FOUND if "completed" in message:
            answered = "this promotion has already finished"
            return Exit.usage, report("sending the command", answered, "`slipway status` shows how it ended")
        case RPCStatusCode.NOT_FOUND:
            return Exit.technical, report("looking for the promotion", error.message, "`slipway list` shows all promotions")
        case RPCStatusCode.DEADLINE_EXCEEDED | RPCStatusCode.CANCELLED | RPCStatusCode.FAILED_PRECONDITION:
            return Exit.technical, report(
                "asking the promotion", error.message, "start a worker (`slipway-worker`), then try again"
            )
        case RPCStatusCode.PERMISSION_DENIED | RPCStatusCode.UNAUTHENTICATED:
            remedy = "check TEMPORAL_API_KEY and TEMPORAL_NAMESPACE, or ask who runs Temporal for the permission"
            return Exit.technical, report("asking Temporal", _reason(error) or error.message, remedy)
        case _ if "search attribute" in message:
            return Exit.technical, report("asking Temporal", error.message, "run `slipway setup`")
        case _:
            answered = f"{error.status.name}: {error.message}"
            return Exit.technical, report("asking Temporal", answered, "check that Temporal runs, and TEMPORAL_ADDRESS")


def _reason(error: RPCError) -> str:
    """Why an authorizer denied it; "" where it does not say."""
    failure = PermissionDeniedFailure()
    for detail in error.grpc_status.details:
        if detail.Unpack(failure):
            return failure.reason
    return ""
