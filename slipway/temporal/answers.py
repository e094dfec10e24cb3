"""What Temporal's server answers to a worker where it does not do what it is asked."""

from __future__ import annotations

import contextlib
from collections.abc import Generator

from temporalio.client import WorkflowQueryFailedError
from temporalio.service import RPCError, RPCStatusCode

from slipway.errors import NeedsPersonError, TransientError

_SHUT_OUT = frozenset({RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNAUTHENTICATED})
_UNKNOWN = frozenset({RPCStatusCode.NOT_FOUND, RPCStatusCode.INVALID_ARGUMENT})


@contextlib.contextmanager
def explained(tried: str) -> Generator[None]:
    """Turns Temporal's errors into Slipway's while the body runs.

    Args:
        tried: What the worker tries.

    Raises:
        NeedsPersonError: The worker may not do it, or it asks for a workflow that is not there or does not answer that.
        TransientError: Temporal, or the worker that it asks, did not answer.
    """
    try:
        yield
    except WorkflowQueryFailedError as error:
        raise NeedsPersonError(tried, str(error), "see the workflow in the Temporal UI, then retry or abort") from error
    except RPCError as error:
        answered = f"{error.status.name}: {error.message}"
        if error.status in _SHUT_OUT:
            remedy = "let the worker list, describe and query workflows, and read their histories; then retry"
            raise NeedsPersonError(tried, answered, remedy) from error
        if error.status in _UNKNOWN:
            raise NeedsPersonError(tried, answered, "see the workflow in the Temporal UI, then retry or abort") from error
        raise TransientError(tried, answered) from error
