"""One model package to one endpoint. What has to be undone is on the ledger of the promotion that started it."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.endpoints.activities import EndpointActivities
    from activities.endpoints.messages import (
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
    from activities.endpoints.plan import plan_rollout
    from slipway.api import ServedEndpoint
    from workflows import policies
    from workflows.policies import step


CREATION = timedelta(hours=1)
"""Beyond an update's own time: what SageMaker may take to bring instances up."""
ANSWER_LIMIT = 1_000


@workflow.defn
class RolloutWorkflow:
    """Update, follow, and ask the model one question."""

    @workflow.run
    async def run(self, request: RolloutRequest) -> RolloutResult:
        """Roll one package out to one target.

        Raises:
            ActivityError: A step failed; the promotion parks, and starts this workflow again with the same request.
        """
        plan = plan_rollout(request)
        self._show(request, "preparing")
        plan = await step(EndpointActivities.prepare_endpoint, plan, policies.CHANGE, f"model and config {plan.config}")
        self._show(request, "updating")
        await step(
            EndpointActivities.update_endpoint,
            UpdateEndpoint(plan=plan, previous_config=request.previous_config),
            policies.CHANGE,
            f"update {plan.target.endpoint}",
        )
        timeout = plan.strategy.timeout + CREATION
        verdict = await step(
            EndpointActivities.follow_endpoint,
            FollowEndpoint(plan=plan, timeout=timeout),
            policies.follow(timeout),
            f"follow {plan.target.endpoint}",
        )
        if verdict.end is not RolloutEnd.served or not request.smoke_payload:
            self._show(request, verdict.end)
            return result(plan, verdict)
        answer = await self._smoke(request, plan, request.smoke_payload)
        self._show(request, "served" if answer.ok else "served, but did not answer")
        return result(plan, verdict, answer)

    @staticmethod
    async def _smoke(request: RolloutRequest, plan: EndpointPlan, payload: str) -> SmokeAnswer:
        smoke = Smoke(
            plan=plan,
            app=request.app,
            commit=request.spec_commit,
            payload=payload,
            content_type=request.smoke_content_type,
        )
        return await step(EndpointActivities.smoke_endpoint, smoke, policies.LOOK, f"ask {plan.target.endpoint} with {payload}")

    @staticmethod
    def _show(request: RolloutRequest, state: str) -> None:
        workflow.set_current_details(
            f"**{request.target.endpoint}** in {request.region}: {state}\n\n"
            f"version {request.package.version}, for the promotion {request.promotion_id}, where to retry and abort"
        )


def result(plan: EndpointPlan, verdict: EndpointVerdict, answer: SmokeAnswer | None = None) -> RolloutResult:
    """How the rollout ended. A model that is served and does not answer has to go back."""
    end, reason = verdict.end, verdict.reason
    if answer and not answer.ok:
        end, reason = RolloutEnd.rolled_back, f"the smoke request failed: {answer.error}"
    return RolloutResult(
        end=end,
        reason=reason,
        served=ServedEndpoint(
            endpoint=plan.target.endpoint,
            region=plan.region,
            config=verdict.config,
            package=verdict.package,
            answer=answer.body[:ANSWER_LIMIT] if answer and answer.ok else None,
        ),
    )
