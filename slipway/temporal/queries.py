"""Asks a workflow once more where an answer does not come, or the worker was too busy for it.

Temporal gives a query to a worker once. A worker drops a query that is older than its copy of the workflow (temporalio 1.35), and
nobody answers it. The command would wait until its time is over, and say that there is no worker. A worker also fails a query
that takes longer than two seconds, as on a machine that stands still for a moment. The command would end with that error.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from temporalio.client import Interceptor, OutboundInterceptor, QueryWorkflowInput, WorkflowQueryFailedError
from temporalio.service import RPCError, RPCStatusCode

WITHIN = timedelta(seconds=30)
"""How long an answer is waited for where nothing else is said."""
FIRST_TRY = 1 / 5
"""The part of that time after which it is asked again."""
TOO_SLOW = "[TMPRL1101]"
"""The SDK's code for what took a worker longer than two seconds."""
_TOO_LATE = frozenset({RPCStatusCode.CANCELLED, RPCStatusCode.DEADLINE_EXCEEDED})


class AskAgain(Interceptor):
    """For a client: each query is asked a second time where the first one is not answered soon, or was too slow."""

    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:  # noqa: A002 -- the SDK's name
        return _AskAgain(super().intercept_client(next))


class _AskAgain(OutboundInterceptor):
    async def query_workflow(self, input: QueryWorkflowInput) -> Any:  # noqa: A002 -- the SDK's name
        within = input.rpc_timeout or WITHIN
        first = within * FIRST_TRY
        try:
            return await super().query_workflow(replace(input, rpc_timeout=first))
        except RPCError as error:
            if error.status not in _TOO_LATE:
                raise
        except WorkflowQueryFailedError as error:
            if TOO_SLOW not in str(error):
                raise
        return await super().query_workflow(replace(input, rpc_timeout=within - first))
