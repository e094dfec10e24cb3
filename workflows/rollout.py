"""One model package to one endpoint. Its compensation is recorded by the promotion that started it."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.endpoints.activities import EndpointActivities
    from activities.endpoints.messages import (
        ChangeScaling,
        EndpointPlan,
        EndpointVerdict,
        FollowEndpoint,
        RolloutEnd,
        RolloutRequest,
        RolloutResult,
        Smoke,
        SmokeAnswer,
        UpdateEndpoint,
    )
    from activities.endpoints.scaling_activities import ScalingActivities
    from slipway.api import ServedEndpoint
    from slipway.text import markdown

from workflows.activity_options import CHANGE, READ, follow, shown
from workflows.payloads import read, refusal

SUMMARY_LIMIT = 100
"""Characters of an answer that the timeline shows beside a pause."""
CREATION = timedelta(hours=1)
"""Beyond an update's own time: what SageMaker may take to bring instances up."""


@workflow.defn
class RolloutWorkflow:
    """Update, follow, and ask the model one question.

    It takes hours, not days: where workers are versioned, the version that began a rollout ends it.
    """

    @workflow.run
    async def run(self, *payloads: Any) -> RolloutResult:
        """Roll one package out to one target: a `RolloutRequest`, sent by its promotion.

        Raises:
            ApplicationError: No promotion started it, or another than the request's.
            ActivityError: A step failed; the promotion parks, and starts this workflow again with the same request.
        """
        request = read(payloads, RolloutRequest, limit=None)
        plan = request.plan
        refuse_stranger(plan)
        self._show(plan, "preparing")
        await workflow.execute_activity_method(
            EndpointActivities.prepare_endpoint, plan, **shown(CHANGE, f"model and config {plan.config}")
        )
        self._show(plan, "updating")
        if request.scaling is None:
            verdict = await self._update(request)
        else:
            verdict = await self._update_without(request, ChangeScaling(plan=plan, scaling=request.scaling))
        if verdict.end is not RolloutEnd.served:
            self._show(plan, verdict.end)
            return result(plan, verdict)
        answer = await self._ask(request, request.smoke_payload) if request.smoke_payload else None
        if answer and not answer.ok:
            self._show(plan, "served, but did not answer")
            return result(plan, verdict, answer)
        marked = await self._mark(plan)
        self._show(plan, "served")
        return result(plan, verdict, answer).model_copy(update={"marked": marked})

    @staticmethod
    async def _mark(plan: EndpointPlan) -> bool:
        """Leave on the endpoint what it serves now. Its promotion may have a thousand, and would do so one after the other."""
        if not workflow.patched("mark-in-rollout"):
            return False
        end_if_aborted()
        summary = f"record what {plan.target.endpoint} serves"
        await workflow.execute_activity_method(EndpointActivities.mark_endpoint, plan, **shown(CHANGE, summary))
        return True

    async def _ask(self, request: RolloutRequest, payload: str) -> SmokeAnswer:
        """The first right answer, or the last one."""
        asked, tries = request.smoke, request.smoke.tries if request.smoke else 1
        answer = await self._smoke(request, payload)
        for number in range(2, tries + 1):
            if answer.ok or asked is None:
                break
            self._show(request.plan, f"served, asked {number} times of {tries}")
            await workflow.sleep(asked.pause, summary=f"try {number} of {tries}: {answer.error}"[:SUMMARY_LIMIT])
            answer = await self._smoke(request, payload)
        return answer

    @staticmethod
    async def _update(request: RolloutRequest) -> EndpointVerdict:
        plan = request.plan
        end_if_aborted()
        await workflow.execute_activity_method(
            EndpointActivities.update_endpoint,
            UpdateEndpoint(plan=plan, previous_config=request.previous_config, previous_modified=request.previous_modified),
            **shown(CHANGE, f"update {plan.target.endpoint}"),
        )
        end_if_aborted()
        timeout = plan.strategy.timeout + CREATION
        return await workflow.execute_activity_method(
            EndpointActivities.follow_endpoint,
            FollowEndpoint(plan=plan, timeout=timeout),
            **shown(follow(timeout), f"follow {plan.target.endpoint}"),
        )

    async def _update_without(self, request: RolloutRequest, scaling: ChangeScaling) -> EndpointVerdict:
        """Update while the automatic scaling is off, which is put back however the update ends.

        An abort cancels this workflow, and its promotion puts the scaling back.
        """
        end_if_aborted()
        name = request.plan.target.endpoint
        await workflow.execute_activity_method(
            ScalingActivities.take_off_scaling, scaling, **shown(CHANGE, f"take off the automatic scaling of {name}")
        )
        options = shown(CHANGE, f"put back the automatic scaling of {name}")
        try:
            verdict = await self._update(request)
        except ActivityError as error:
            # Somebody has to look first, and that may take long.
            if not is_cancelled_exception(error):
                with contextlib.suppress(ActivityError):
                    await workflow.execute_activity_method(ScalingActivities.put_back_scaling, scaling, **options)
            raise
        if not verdict.stopped:  # the update goes on until its way back stops it, which puts the scaling back
            await workflow.execute_activity_method(ScalingActivities.put_back_scaling, scaling, **options)
        return verdict

    @staticmethod
    async def _smoke(request: RolloutRequest, payload: str) -> SmokeAnswer:
        smoke = Smoke(
            plan=request.plan,
            app=request.app,
            commit=request.spec_commit,
            payload=payload,
            content_type=request.smoke_content_type,
            status=request.smoke.status if request.smoke else 200,
            values=request.smoke.values if request.smoke else (),
            answer_schema=request.smoke.answer_schema if request.smoke else None,
        )
        return await workflow.execute_activity_method(
            EndpointActivities.smoke_endpoint, smoke, **shown(READ, f"ask {request.plan.target.endpoint} with {payload}")
        )

    @staticmethod
    def _show(plan: EndpointPlan, state: str) -> None:
        workflow.set_current_details(
            f"**{markdown(plan.target.endpoint)}** in {markdown(plan.region)}: {state}\n\n"
            f"version {plan.package.version}, for the promotion {markdown(plan.promotion_id)}, where to retry and abort"
        )


def refuse_stranger(plan: EndpointPlan) -> None:
    """A rollout is a promotion's: alone, nobody would have approved it.

    Raises:
        ApplicationError: Something else started it.
    """
    parent = workflow.info().parent
    if parent is None or parent.workflow_id != plan.promotion_id:
        started = f"the workflow {parent.workflow_id}" if parent else "no workflow"
        raise refusal(f"a rollout is started by its promotion {plan.promotion_id}, not by hand: {started} started this one")


def end_if_aborted() -> None:
    """End before the next step, if the promotion was aborted while a step was under way.

    A step that ends well all the same hides the cancellation: the SDK waits for its result and returns that.

    Raises:
        CancelledError: The promotion was aborted. It undoes what was done.
    """
    if workflow.cancellation_reason() is not None and workflow.patched("rollout-ends-before-next-step"):
        raise asyncio.CancelledError


def result(plan: EndpointPlan, verdict: EndpointVerdict, answer: SmokeAnswer | None = None) -> RolloutResult:
    """How the rollout ended. A model that is served and does not answer has to go back."""
    end, reason = verdict.end, verdict.reason
    if answer and not answer.ok:
        end, reason = RolloutEnd.rolled_back, f"the smoke request failed: {answer.error}"
    return RolloutResult(
        end=end,
        reason=reason,
        unjudged=verdict.unjudged,
        served=ServedEndpoint(
            endpoint=plan.target.endpoint,
            region=plan.region,
            config=verdict.config,
            package=verdict.package,
            answer=answer.body if answer and answer.ok else None,
        ),
    )
