"""Answers what a promotion would do. It needs a worker, which has the credentials; who asks needs none."""

from __future__ import annotations

from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from activities.plans.activities import PlanActivities
    from slipway.errors import Ending, FailureReport
    from slipway.plan import PlanAnswer, PlanRequest
    from slipway.temporal.connect import PLAN_QUERY
    from slipway.temporal.failures import report_of

from workflows.activity_options import PLAN, shown
from workflows.payloads import read


@workflow.defn
class PlanWorkflow:
    """One look, within minutes. It changes nothing, and keeps nothing but its answer."""

    @workflow.init
    def __init__(self, *payloads: Any) -> None:
        del payloads
        self._answer: PlanAnswer | None = None

    @workflow.run
    async def run(self, *payloads: Any) -> PlanAnswer:
        """Answer a `PlanRequest`. It completes whatever the answer is."""
        self._answer = await self._plan(payloads)
        return self._answer

    @workflow.query(name=PLAN_QUERY)
    def plan(self) -> PlanAnswer | None:
        """The answer; none while it is looked for."""
        return self._answer

    @staticmethod
    async def _plan(payloads: tuple[Any, ...]) -> PlanAnswer:
        try:
            request = read(payloads, PlanRequest)
        except ApplicationError as error:
            return PlanAnswer(failure=_refused("reading what is to be planned", error.message, "ask with `slipway plan`"))
        if request.request.rollback:
            tried = f"planning {request.request.promotion_id}"
            return PlanAnswer(failure=_refused(tried, "it is a rollback", "start it: its approvers see what it would do"))
        try:
            summary = f"what would a promotion of {request.app.folder} do?"
            plan = await workflow.execute_activity_method(PlanActivities.plan_promotion, request, **shown(PLAN, summary))
        except ActivityError as error:
            return PlanAnswer(failure=report_of(error))
        return PlanAnswer(plan=plan)


def _refused(tried: str, answered: str, remedy: str) -> FailureReport:
    return FailureReport(ending=Ending.refused, tried=tried, answered=answered, remedy=remedy)
