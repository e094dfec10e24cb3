"""Reads what an application's targets served. It needs a worker, which has the credentials; who asks needs none."""

from __future__ import annotations

from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from activities.records import RecordActivities
    from slipway.served import HistoryAnswer, HistoryRequest
    from slipway.temporal.failures import report_of

from workflows.activity_options import IDENTIFY, shown
from workflows.payloads import read


@workflow.defn
class HistoryWorkflow:
    """One look, within seconds. It changes nothing."""

    @workflow.run
    async def run(self, *payloads: Any) -> HistoryAnswer:
        """Answer a `HistoryRequest`.

        Raises:
            ApplicationError: The request cannot be read.
        """
        request = read(payloads, HistoryRequest)
        try:
            history = await workflow.execute_activity_method(
                RecordActivities.read_history,
                request,
                **shown(IDENTIFY, f"what did {request.endpoint or request.app.folder} serve?"),
            )
        except ActivityError as error:
            return HistoryAnswer(failure=report_of(error))
        return HistoryAnswer(history=history)
