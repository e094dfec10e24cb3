"""Temporal's errors, as a worker tells them."""

from __future__ import annotations

import pytest
from temporalio.client import WorkflowQueryFailedError
from temporalio.service import RPCError, RPCStatusCode

from slipway.errors import NeedsPersonError, TransientError
from slipway.temporal.answers import explained


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (RPCError("no", RPCStatusCode.PERMISSION_DENIED, b""), NeedsPersonError, "PERMISSION_DENIED: no -- let the worker list"),
        (RPCError("no", RPCStatusCode.UNAUTHENTICATED, b""), NeedsPersonError, "UNAUTHENTICATED: no -- let the worker list"),
        (RPCError("gone", RPCStatusCode.NOT_FOUND, b""), NeedsPersonError, "NOT_FOUND: gone"),
        (RPCError("busy", RPCStatusCode.RESOURCE_EXHAUSTED, b""), TransientError, "RESOURCE_EXHAUSTED: busy"),
        (RPCError("late", RPCStatusCode.DEADLINE_EXCEEDED, b""), TransientError, "DEADLINE_EXCEEDED: late"),
        (WorkflowQueryFailedError("no such query"), NeedsPersonError, "no such query"),
    ],
)
def test_given_an_error_of_temporal_when_it_is_told_then_it_says_whether_to_try_again(
    error: Exception, kind: type[Exception], said: str
) -> None:
    with pytest.raises(kind, match=f"looking: {said}"), explained("looking"):
        raise error
